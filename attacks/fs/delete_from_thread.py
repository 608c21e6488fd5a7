# tries: to win a race: threads that swap a link between scratch and workspace while another deletes through it
# expect: held
open("file", "w").write("egg")
os.mkdir(SCRATCH + "/decoy")
os.symlink(SCRATCH + "/decoy", SCRATCH + "/a"); os.symlink(WORKSPACE, SCRATCH + "/b")
stop = time.monotonic() + 1
def swap():
    while time.monotonic() < stop:
        syscall("renameat2", -100, (SCRATCH + "/a").encode(), -100, (SCRATCH + "/b").encode(), 2)
def delete():
    while time.monotonic() < stop:
        try:
            open(SCRATCH + "/decoy/file", "w").close()
            os.remove(SCRATCH + "/a/file")
        except OSError:
            pass
threads = [threading.Thread(target=call) for call in (swap, delete, delete)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("held: the file outlived the race" if os.path.exists("file") and open("file").read() == "egg" else "BREACH: it is gone")
