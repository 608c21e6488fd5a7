"""Runs the server under a seccomp filter that refuses namespaces and mounts, as Docker's own profile does.

unshare, setns, the mount family, and clone with any CLONE_NEW* flag answer EPERM. clone3 is left alone: its flags lie
behind a pointer, where no filter can look (Docker answers ENOSYS, which would also refuse the plain fork that the nest
makes by it). Nothing is lost by that: a nest asks for its own namespaces by unshare, and gets no further.
"""

import ctypes
import os
import platform
import struct
import sys

SYSTEM_CALLS = {
    "x86_64": dict(
        arch=0xC000003E, clone=56,
        refused=(272, 308, 165, 166, 155, 428, 429, 430, 431, 432, 433, 442),
    ),
    "aarch64": dict(
        arch=0xC00000B7, clone=220,
        refused=(97, 268, 40, 39, 41, 428, 429, 430, 431, 432, 433, 442),
    ),
}[platform.machine()]
# unshare, setns, mount, umount2, pivot_root, open_tree, move_mount, fsopen, fsconfig, fsmount, fspick, mount_setattr

CLONE_NEW = 0x7E020080 | 0x00020000
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 1


def program():
    refused = SYSTEM_CALLS["refused"]
    code = [(LOAD, 0, 0, 0)]  # the system call's number
    for at, number in enumerate(refused):
        code.append((EQUAL, len(refused) - at + 3, 0, number))
    code += [
        (EQUAL, 0, 2, SYSTEM_CALLS["clone"]),
        (LOAD, 0, 0, 16),  # the low half of its first argument
        (ANY_BIT, 1, 0, CLONE_NEW),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, REFUSE),
    ]
    return code


def refuse():
    code = program()
    packed = b"".join(struct.pack("HBBI", *instruction) for instruction in code)
    buffer = ctypes.create_string_buffer(packed)

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, seccomp, filter_mode = 38, 22, 2
    argument = Program(len(code), ctypes.cast(buffer, ctypes.c_void_p))
    for call in ((no_new_privileges, 1, 0, 0, 0), (seccomp, filter_mode, ctypes.byref(argument))):
        if libc.prctl(*call):
            raise OSError(ctypes.get_errno(), "prctl")
    if libc.unshare(0x00020000) != -1 or libc.mount(b"none", b"/", b"tmpfs", 0x1000, None) != -1:
        raise SystemExit("the filter does not refuse")


refuse()
# Sessions with ids of their own must be able to pass through to their folders.
if os.geteuid() == 0 and "--state-dir" in sys.argv:
    os.chmod(os.path.dirname(sys.argv[sys.argv.index("--state-dir") + 1]), 0o711)
os.execv(BINARY, [BINARY, *sys.argv[1:]])
