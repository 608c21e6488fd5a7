# tries: to have the runner fail while it reports an exception
# expect: held
import builtins, io, traceback
print("held: whatever the report says", flush=True)
class Evil(Exception):
    def __str__(self): raise SystemExit(3)
    __repr__ = __unicode__ = __format__ = __str__
    args = property(lambda self: 1 / 0)
    __traceback__ = None
traceback.format_exception = traceback.format_exception_only = lambda *_, **__: 1 / 0
builtins.PermissionError = None
sys.stderr = Evil()
raise Evil
