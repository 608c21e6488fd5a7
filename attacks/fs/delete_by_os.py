# tries: to delete by every function of os
# expect: held
os.mkdir("empty"); open("file", "w").write("egg"); open("other", "w").write("other")
here = os.open(".", os.O_RDONLY)
for call in (lambda: os.remove("file"), lambda: os.unlink(b"file"), lambda: os.unlink("file", dir_fd=here), lambda: os.rmdir("empty"),
             lambda: os.rmdir("empty", dir_fd=here), lambda: os.removedirs("empty"), lambda: os.rename("file", "new"),
             lambda: os.replace("file", "other"), lambda: os.renames("file", "a/b"), lambda: os.rename("empty", "moved"),
             lambda: os.rename("file", "other", src_dir_fd=here, dst_dir_fd=here), lambda: os.remove(WORKSPACE + "/./file"),
             lambda: os.remove("file/"), lambda: os.rmdir("empty/."), lambda: os.remove("empty/../file")):
    attempt("call", call)
if open("file").read() != "egg" or open("other").read() != "other" or not os.path.isdir("empty"):
    successes.append("something is gone")
verdict()
