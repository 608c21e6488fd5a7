# tries: to make its channel answer at once where it should wait
# expect: error: session had ended before this request: the interpreter exited with status 71
os.set_blocking(REQUESTS, False)
# --- session b
time.sleep(1)
# --- session a again
print("not reached")
