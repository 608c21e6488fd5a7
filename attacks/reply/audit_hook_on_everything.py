# tries: the same on compile and exec, which every later execution needs
# expect: held
def hook(event, arguments):
    if event in ("compile", "exec"):
        raise RuntimeError("refused by a hook of the program's")
print("held: its later executions fail with its own exception", flush=True)
sys.addaudithook(hook)
