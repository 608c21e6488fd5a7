# tries: to follow the runner by tracing and profiling functions, and to raise in its midst
# expect: held
seen = []
def trace(frame, event, argument):
    seen.append(frame.f_code.co_name)
    if frame.f_code.co_name in ("flush", "finish", "leave"):
        raise SystemExit(9)
    return trace
sys.settrace(trace)
sys.setprofile(trace)
threading.settrace(trace)
frame = sys._getframe().f_back
while frame:
    frame.f_trace = trace
    frame = frame.f_back
# --- session a again
sys.settrace(None); sys.setprofile(None); threading.settrace(None)
print("held: answered all the same")
