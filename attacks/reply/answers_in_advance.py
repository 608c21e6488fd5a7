# tries: to put answers for its next executions into the channel
# expect: error: session had ended before this request: it broke the server's protocol
def later():
    time.sleep(0.3)
    for sequence in range(1, 10):
        os.write(CHANNEL, struct.pack("<IcQB", 9, b"D", sequence, 0))
threading.Thread(target=later, daemon=True).start()
# --- session b
time.sleep(1.5)
# --- session a again
print("not reached")
