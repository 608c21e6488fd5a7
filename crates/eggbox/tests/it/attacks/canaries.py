"""Things of the host that an attack may look for, and whether anybody touched them.

    canaries.py FOLDER MARKER

Sets them up, prints their names as a JSON object, waits for the end of its input, then prints a JSON list of those that
were touched and removes them. Runs as the user that the server runs as, so that ids alone keep nobody out.
"""

import ctypes
import json
import os
import resource
import socket
import subprocess
import sys

folder, marker = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
touched = []


def path(name):
    return os.path.join(folder, name)


def file(name, mode):
    with open(path(name), "w") as out:
        out.write(f"{name} {marker}\n")
    os.chmod(path(name), mode)
    return path(name)


def checked(result):
    if result == -1:
        raise OSError(ctypes.get_errno(), "a canary cannot be set up")
    return result


closed, open_to_all, writable = file("closed", 0o600), file("open", 0o644), file("writable", 0o666)
os.chmod(writable, 0o666)
os.mkdir(path("drop"))
os.chmod(path("drop"), 0o777)
os.mkfifo(path("fifo"))
os.chmod(path("fifo"), 0o666)
fifo = os.open(path("fifo"), os.O_RDWR | os.O_NONBLOCK)
looks = {name: os.stat(path(name)) for name in ("closed", "open", "writable", "drop", "fifo")}

sockets = {}
for name, family, kind, address in (
    ("tcp", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
    ("tcp6", socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0)),
    ("udp", socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
    ("path", socket.AF_UNIX, socket.SOCK_STREAM, path("socket")),
    ("abstract", socket.AF_UNIX, socket.SOCK_STREAM, f"\0eggbox-canary-{marker}"),
    ("abstract-dgram", socket.AF_UNIX, socket.SOCK_DGRAM, f"\0eggbox-canary-dgram-{marker}"),
):
    listener = socket.socket(family, kind)
    listener.bind(address)
    listener.setblocking(False)
    if kind == socket.SOCK_STREAM:
        listener.listen()
    sockets[name] = listener
os.chmod(path("socket"), 0o777)

# Before the shared memory, which it would attach for a moment.
process = subprocess.Popen(
    [sys.executable, "-Ic", "import time; time.sleep(600)", f"argument-{marker}"],
    env={"CANARY": f"environment-{marker}"},
    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    preexec_fn=lambda: libc.prctl(1, 9),  # PR_SET_PDEATHSIG: it ends with this program, however that ends
)

shm_file = f"/dev/shm/eggbox-canary-{marker[:12]}"
with open(shm_file, "w") as out:
    out.write(f"shm {marker}\n")
os.chmod(shm_file, 0o666)
key = int(marker[:7], 16) | 1
create = 0o1000 | 0o666
shm = checked(libc.shmget(key, 4096, create))
address = libc.shmat(shm, None, 0)
ctypes.memmove(address, marker.encode(), len(marker))
semaphore = checked(libc.semget(key, 1, create))
queue = checked(libc.msgget(key, create))


def condition():
    pid = process.pid
    with open(f"/proc/{pid}/oom_score_adj") as adjust:
        return [
            [resource.prlimit(pid, getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")],
            os.getpriority(os.PRIO_PROCESS, pid), sorted(os.sched_getaffinity(pid)), os.sched_getscheduler(pid),
            libc.syscall({"x86_64": 252, "aarch64": 31}[os.uname().machine], 1, pid),  # ioprio_get
            adjust.read(), os.getpgid(pid), os.getsid(pid),
        ]


before = condition()
print(json.dumps({
    "CLOSED_FILE": closed, "OPEN_FILE": open_to_all, "WRITABLE_FILE": writable, "DROP_FOLDER": path("drop"),
    "FIFO": path("fifo"), "UNIX_SOCKET": path("socket"), "TCP_PORT": sockets["tcp"].getsockname()[1],
    "TCP6_PORT": sockets["tcp6"].getsockname()[1], "UDP_PORT": sockets["udp"].getsockname()[1],
    "ABSTRACT": f"eggbox-canary-{marker}", "ABSTRACT_DGRAM": f"eggbox-canary-dgram-{marker}",
    "SHM_FILE": shm_file, "IPC_KEY": key, "SHM_ID": shm, "CANARY_PID": process.pid,
}), flush=True)
sys.stdin.read()

for name, look in looks.items():
    now = os.stat(path(name))
    # Reading counts as well, where the file system keeps access times; the secret in an answer would show it too.
    if (now.st_mtime_ns, now.st_ctime_ns, now.st_ino, now.st_mode) != (look.st_mtime_ns, look.st_ctime_ns, look.st_ino, look.st_mode):
        touched.append(f"{name} was changed")
if sorted(os.listdir(folder)) != ["closed", "drop", "fifo", "open", "socket", "writable"] or os.listdir(path("drop")):
    touched.append("something was put into the folder, or taken")
try:
    if os.read(fifo, 1):
        touched.append("the FIFO was written to")
except BlockingIOError:
    pass
for name, listener in sockets.items():
    try:
        listener.accept() if listener.type == socket.SOCK_STREAM else listener.recv(1)
        touched.append(f"the {name} socket was reached")
    except BlockingIOError:
        pass
with open(shm_file) as text:
    if text.read() != f"shm {marker}\n":
        touched.append("the file in /dev/shm was changed")
if ctypes.string_at(address, len(marker)) != marker.encode():
    touched.append("the shared memory was changed")
with open("/proc/sysvipc/shm") as table:
    rows = [line.split() for line in table][1:]
    [row] = [row for row in rows if row[1] == str(shm)]
    if row[5] != str(os.getpid()) or row[6] != "1":
        touched.append(f"the shared memory was attached: {row}")
# The time of the last operation on the semaphore; what the queue holds.
with open("/proc/sysvipc/sem") as table:
    [row] = [line.split() for line in table if line.split()[1] == str(semaphore)]
    if row[8] != "0":
        touched.append("the semaphore was used")
with open("/proc/sysvipc/msg") as table:
    [row] = [line.split() for line in table if line.split()[1] == str(queue)]
    if row[3:7] != ["0", "0", "0", "0"]:
        touched.append("the message queue was used")
if process.poll() is not None:
    touched.append(f"the process was ended: {process.returncode}")
elif condition() != before:
    touched.append(f"the process was changed: {before} {condition()}")
process.kill()
process.wait()
libc.shmctl(shm, 0, None)
libc.semctl(semaphore, 0, 0)
libc.msgctl(queue, 0, None)
os.unlink(shm_file)
print(json.dumps(touched))
