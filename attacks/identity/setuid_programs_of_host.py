# tries: to gain by the host's own setuid programs
# expect: held
ran = []
for name in ("su", "sudo", "mount", "umount", "passwd", "chsh", "chfn", "gpasswd", "newgrp", "newuidmap", "pkexec", "fusermount", "fusermount3", "ping"):
    path = shutil.which(name)
    if path:
        arguments = {"su": ["-c", "id -u"], "sudo": ["-n", "id", "-u"], "mount": ["-t", "tmpfs", "none", SCRATCH], "umount": ["/proc"]}.get(name, ["--help"])
        done = subprocess.run([path, *arguments], stdin=-3, capture_output=True, text=True, timeout=4)
        if done.stdout.strip() == "0" or name in ("su", "sudo", "mount", "umount") and done.returncode == 0:
            successes.append(f"{name}: {done}")
        refusals.append(f"{name}: {done.returncode}")
refusals.append("none of them gains")
verdict()
