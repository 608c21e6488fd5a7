# Comes before every attack: what they have in common. Part of the attack, not of the wall.
import ctypes, errno, os, platform, shutil, signal, socket, struct, subprocess, sys, threading, time

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
# A session's pipes from and to the server, and the file that its code comes in: just past the limit of open files.
REQUESTS, CHANNEL, VALUES, CODE = 256, 257, 258, 259
WORKSPACE = os.environ["HOME"]
SCRATCH = os.environ.get("TMPDIR", "/tmp")
WAY = "@WAY@"
REDUCED = WAY.startswith("reduced")
# A file of the host that all sessions of this server, and of no other that is attacked at the same time, read.
SHARED = "/usr/bin/" + {"root": "env", "user": "id", "reduced": "tr"}.get(WAY, "wc")
refusals, successes = [], []

# System call numbers on x86_64 and aarch64.
NUMBERS = dict(
    read=(0, 63), write=(1, 64), ioctl=(16, 29), socket=(41, 198), clone=(56, 220), kill=(62, 129), rename=(82, None),
    rmdir=(84, None), unlink=(87, None), ptrace=(101, 117), syslog=(103, 116), personality=(135, 92),
    pivot_root=(155, 41), prctl=(157, 167), acct=(163, 89), settimeofday=(164, 170), mount=(165, 40), umount2=(166, 39),
    swapon=(167, 224), reboot=(169, 142), sethostname=(170, 161), iopl=(172, None), init_module=(175, 105),
    quotactl=(179, 60), gettid=(186, 178), tkill=(200, 130), lookup_dcookie=(212, 18), clock_settime=(227, 112),
    tgkill=(234, 131), mbind=(237, 235), mq_open=(240, 180), mq_unlink=(241, 181), kexec_load=(246, 104),
    add_key=(248, 217), request_key=(249, 218), keyctl=(250, 219), ioprio_set=(251, 30), ioprio_get=(252, 31),
    openat=(257, 56), mknodat=(259, 33), unlinkat=(263, 35), renameat=(264, 38), unshare=(272, 97), vmsplice=(278, 75),
    move_pages=(279, 239), timerfd_create=(283, 85), perf_event_open=(298, 241), fanotify_init=(300, 262),
    name_to_handle_at=(303, 264), open_by_handle_at=(304, 265), clock_adjtime=(305, 266), syncfs=(306, 267),
    setns=(308, 268), process_vm_readv=(310, 270), process_vm_writev=(311, 271), kcmp=(312, 272),
    finit_module=(313, 273), renameat2=(316, 276), seccomp=(317, 277), bpf=(321, 280), userfaultfd=(323, 282),
    copy_file_range=(326, 285), pidfd_send_signal=(424, 424), io_uring_setup=(425, 425), open_tree=(428, 428),
    move_mount=(429, 429), fsopen=(430, 430), fsmount=(432, 432), pidfd_open=(434, 434), clone3=(435, 435),
    openat2=(437, 437), pidfd_getfd=(438, 438), process_madvise=(440, 440), mount_setattr=(442, 442),
    landlock_create_ruleset=(444, 444), memfd_secret=(447, 447), process_mrelease=(448, 448), statmount=(457, 457),
    listmount=(458, 458),
)


def syscall(name, *arguments):
    """The kernel's answer, or its refusal as an OSError."""
    number = NUMBERS[name][platform.machine() != "x86_64"] if isinstance(name, str) else name
    if number is None:
        raise OSError(errno.ENOSYS, "not on this machine")
    ctypes.set_errno(0)
    longs = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result = libc.syscall(ctypes.c_long(number), *longs)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def checked(result):
    """Of a call of the C library, as of `syscall`."""
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def attempt(what, call, only=None):
    """Makes a call that must be refused by the system: with one of the errors `only`, where they are named."""
    try:
        got = call()
    except OSError as error:
        name = errno.errorcode.get(error.errno, str(error))
        if only and name not in only:
            successes.append(f"{what}: {name}, not one of {only}")
        refusals.append(f"{what}: {name}")
    else:
        successes.append(f"{what}: {got!r:.200}")


def verdict():
    """The last line, by what `attempt` saw."""
    if successes:
        print("BREACH:", "; ".join(successes)[:2000])
    elif refusals:
        print("held:", "; ".join(refusals)[:2000])
    else:
        print("BREACH: nothing was tried")
