# tries: to rebind what answers are made with: builtins, json, sys, os
# expect: held
import builtins, json
print("held: the answer is made elsewhere", flush=True)
def lie(*_, **__):
    return '{"id": "another", "error": "forged", "stdout": "forged"}'
for name in ("exec", "compile", "eval", "print", "open", "isinstance", "type", "len", "repr", "str", "int", "getattr", "setattr", "super"):
    setattr(builtins, name, lie)
json.dumps = json.loads = json.JSONEncoder.encode = lie
os.write = os._exit = os.read = sys.exit = lie
sys.stdout = sys.stderr = sys.__stdout__ = sys.excepthook = lie
sys.modules.clear()
