# tries: to open files of the host by handle, past every path (shocker)
# expect: held
handle = struct.pack("Ii128s", 8, 1, struct.pack("Q", 2))
for folder in ("/", "/usr", SCRATCH, "/etc/localtime"):
    at = os.open(folder, os.O_RDONLY if folder != "/" or not REDUCED else os.O_PATH)
    attempt(folder, lambda: syscall("open_by_handle_at", at, handle, os.O_RDONLY), ("EPERM",))
    attempt("name " + folder, lambda: syscall("name_to_handle_at", at, b"", handle, ctypes.byref(ctypes.c_int()), 0x1000), ("EPERM",))
verdict()
