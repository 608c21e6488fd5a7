# tries: to break the answer by bytes that are no UTF-8, surrogates, controls and halves of characters
# expect: held
os.write(1, bytes(range(256)) * 4 + b"\xf0\x9f\xa5" + b"\xed\xa0\x80" + b"\xc0\xaf" + b"\xf8\x88\x80\x80\x80" + b"\n")
print("\ud800\udfff\ufeff\u2028\u2029\x1b[2J\x00")
sys.stderr.write("\ud83e" * 1000)
print("held: the answer is JSON")
