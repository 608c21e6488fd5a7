# tries: to say that a deletion was refused: about itself alone
# expect: error: session had ended before this request: it broke the server's protocol
os.write(CHANNEL, struct.pack("<IcQB", 9, b"D", 1, 1))
time.sleep(0.5)
# --- session b
time.sleep(1.5)
# --- session a again
print("not reached")
