# tries: to delete by shutil and tempfile
# expect: held
import tempfile
os.makedirs("tree/inner"); open("tree/leaf", "w").write("egg")
attempt("rmtree", lambda: shutil.rmtree("tree"))
attempt("move", lambda: shutil.move("tree/leaf", SCRATCH + "/leaf"))
attempt("move a tree", lambda: shutil.move("tree", SCRATCH + "/tree"))
shutil.rmtree("tree", ignore_errors=True)
def temporary():
    with tempfile.TemporaryDirectory(dir=WORKSPACE) as folder:
        open(folder + "/leaf", "w").close()
attempt("temporary folder", temporary)
if not os.path.exists("tree/leaf") or not os.path.isdir("tree/inner"):
    successes.append("something is gone")
verdict()
