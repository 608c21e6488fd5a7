# tries: to find a thread or child of its own that stands outside the wall
# expect: held
# expect reduced: refused: reading /proc
# expect reduced-user: refused: reading /proc
def look(path):
    fields = dict(line.split(":", 1) for line in open(path).read().splitlines() if ":" in line)
    return {name: fields[name].strip() for name in ("NoNewPrivs", "Seccomp", "CapEff", "CapPrm", "CapInh", "CapAmb")}
wanted = dict(NoNewPrivs="1", Seccomp="2", CapEff="0" * 16, CapPrm="0" * 16, CapInh="0" * 16, CapAmb="0" * 16)
seen = []
thread = threading.Thread(target=lambda: seen.append(look("/proc/thread-self/status")))
thread.start(); thread.join()
seen.append(look("/proc/self/status"))
if not REDUCED:  # there a child's own /proc is closed to it
    text = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True).stdout
    fields = dict(line.split(":", 1) for line in text.splitlines())
    seen.append({name: fields[name].strip() for name in wanted})
print("held: all of them inside" if all(entry == wanted for entry in seen) else f"BREACH: {seen}")
