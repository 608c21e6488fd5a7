# tries: to overflow the interpreter's stack in C
# expect: error: session ended: the interpreter
sys.setrecursionlimit(10 ** 9)
@ctypes.CFUNCTYPE(None)
def deeper():
    deeper()
deeper()
