# tries: to print after its answer, so that another's execution seems to have said it
# expect: held
def late():
    time.sleep(0.2)
    print("BREACH: late output", flush=True)
threading.Thread(target=late).start()
# --- session b
time.sleep(0.5)
print("held: nothing of the other's")
# --- session a again
print("held: what came between two executions belongs to neither")
