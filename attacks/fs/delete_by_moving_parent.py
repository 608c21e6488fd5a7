# tries: to move the folder that a file is in
# expect: held
os.makedirs("parent/child"); open("parent/child/file", "w").write("egg"); os.makedirs("elsewhere")
for source, target in (("parent", "moved"), ("parent", SCRATCH + "/moved"), ("parent/child", "child"), ("parent/child", "elsewhere/child"),
                       ("parent/child/file", "elsewhere/file"), ("parent/child", "elsewhere")):
    attempt(f"{source} to {target}", lambda: checked(libc.rename(source.encode(), target.encode())))
    attempt(f"{source} to {target}, os", lambda: os.rename(source, target))
if not os.path.exists("parent/child/file"):
    successes.append("it was moved")
verdict()
