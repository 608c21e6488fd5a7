# tries: to pass a value to other sessions by changing what they are forked from
# expect: held
import builtins, json
builtins.egg = "@MARKER@"
json.dumps = lambda *_: "@MARKER@"
sys.modules["egg"] = json
# --- session b
import builtins, json
found = hasattr(builtins, "egg") or "egg" in sys.modules or json.dumps(1) != "1"
print("BREACH: it is the same interpreter" if found else "held: an interpreter of its own")
