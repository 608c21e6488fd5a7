# tries: to make its channel answer at once where it should wait
# expect: error: session had ended before this request: the interpreter exited with status 0
os.set_blocking(CHANNEL, False)
# --- session b
time.sleep(1)
# --- session a again
print("not reached")
