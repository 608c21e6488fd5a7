# tries: the same, and hands it the channel
# expect: error: session ended: it broke the server's protocol
code = f"import os, time; os.write({CHANNEL}, b'forged frame'); time.sleep(3)"
os.set_inheritable(CHANNEL, True)
os.execv(sys.executable, [sys.executable, "-Ic", code])
