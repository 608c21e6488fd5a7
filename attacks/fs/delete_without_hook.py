# tries: to take the refusal away from Python: audit hooks, builtins and os rebound
# expect: held
open("file", "w").write("egg")
import builtins, posix
builtins.PermissionError = Exception
sys.addaudithook(lambda *_: None)
os.unlink = posix.unlink
sys.modules["os"] = posix
for call in (lambda: posix.unlink("file"), lambda: posix.remove("file"), lambda: posix.rename("file", "new"), lambda: checked(libc.unlink(b"file"))):
    attempt("call", call)
sys.modules["os"] = os
print("held: " + "; ".join(refusals) if os.path.exists("file") and not successes else "BREACH: it is gone")
