# tries: to open devices of the machine
# expect: held
for name in ("mem", "kmem", "port", "kmsg", "sda", "vda", "nvme0n1", "loop-control", "kvm", "fuse", "net/tun", "ptmx",
             "pts/0", "tty", "tty0", "console", "input/event0", "snapshot", "vhost-net", "vsock", "userfaultfd", "hpet",
             "rtc0", "cpu/0/msr", "mapper/control", "uinput", "btrfs-control", "shm/../mem"):
    attempt(name, lambda: os.open("/dev/" + name, os.O_RDONLY | os.O_NONBLOCK), ("ENOENT", "EACCES", "ENOTDIR"))
verdict()
