# tries: to read what tells this machine from others
# expect: held
for path in ("/etc/machine-id", "/var/lib/dbus/machine-id", "/sys/class/dmi/id/product_uuid", "/etc/ssh/ssh_host_rsa_key.pub", "/proc/cmdline" if REDUCED else "/etc/fstab"):
    attempt(path, lambda: open(path).read())
verdict()
