# tries: to answer for itself early and run on; it can lie about nothing but its own end, and pays with its session
# expect: error: session had ended before this request: it broke the server's protocol
print("the output so far", flush=True)
os.write(CHANNEL, struct.pack("<IcQB", 9, b"D", 1, 0))
time.sleep(0.5)
# --- session b
time.sleep(1.5)
# --- session a again
print("not reached")
