# tries: to answer, to report itself ready, to refuse and to serve by the runner's own native module
# expect: held
frame, native = sys._getframe(), None
while frame and native is None:
    native = frame.f_locals.get("native")
    frame = frame.f_back
print("held: it answers for its own session alone", flush=True)
for call in (native.ready, lambda: native.serve("1", [], []), lambda: native.finish(99, 0)):
    try:
        call()
    except (RuntimeError, TypeError, OverflowError):
        pass
native.finish(0, 0)
native.finish(1, 0)
