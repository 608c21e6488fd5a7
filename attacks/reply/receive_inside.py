# tries: to take the next request itself, from within this execution
# expect: held
frame, native = sys._getframe(), None
while frame and native is None:
    native = frame.f_locals.get("native")
    frame = frame.f_back
print("held: it takes requests of its own session alone", flush=True)
threading.Thread(target=native.receive, daemon=True).start()
time.sleep(0.3)
