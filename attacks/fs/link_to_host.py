# tries: to read and write the host through links of its own
# expect: held
for name, target in (("l1", "@OPEN_FILE@"), ("l2", "/etc/shadow"), ("l3", "@WRITABLE_FILE@"), ("l4", "/proc/1/root@OPEN_FILE@")):
    os.symlink(target, f"{SCRATCH}/{name}")
    attempt("read " + target, lambda: open(f"{SCRATCH}/{name}").read())
    attempt("write " + target, lambda: open(f"{SCRATCH}/{name}", "a").write("egg"))
os.symlink("/", WORKSPACE + "/root")
attempt("through a folder", lambda: open(WORKSPACE + "/root@OPEN_FILE@").read())
verdict()
