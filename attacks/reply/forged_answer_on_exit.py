# tries: to answer well and die, so that its death goes unnoticed
# expect: error: session had ended before this request: the interpreter exited with status 0
os.write(CHANNEL, struct.pack("<IcQB", 9, b"D", 1, 0))
time.sleep(0.3)
os._exit(0)
# --- session b
time.sleep(1)
# --- session a again
print("not reached")
