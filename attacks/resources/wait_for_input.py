# tries: to wait for input that never comes
# expect: held
try:
    input()
except EOFError:
    print("held: EOFError; and", repr(sys.stdin.read()))
