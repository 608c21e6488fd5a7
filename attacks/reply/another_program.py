# tries: to put another program in the interpreter's place, which answers for it
# expect: error: session ended: 
code = f"import os, struct; os.write({CHANNEL}, struct.pack('<IcQB', 9, b'D', 1, 0)); print('forged', flush=True)"
os.set_inheritable(CHANNEL, False)
os.execv(sys.executable, [sys.executable, "-Ic", code])
