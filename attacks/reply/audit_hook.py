# tries: to be called at every event of the interpreter for ever, and to refuse what the runner does
# expect: held
refusing = True
def hook(event, arguments):
    if refusing and event in ("open", "os.remove", "import", "sys._getframe"):
        raise RuntimeError("refused by a hook of the program's")
print("held: its own trouble", flush=True)
sys.addaudithook(hook)
