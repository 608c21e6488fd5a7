# tries: to use up the kernel's memory for names and inodes
# expect: held
# expect reduced: absent: the folders are the host's, and how many files a session makes is not limited
# expect reduced-user: absent: the folders are the host's, and how many files a session makes is not limited
count = 0
folder = os.open(SCRATCH, os.O_RDONLY)
try:
    for count in range(1000 if REDUCED else 17000):
        os.close(os.open(str(count), os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    print(f"BREACH: {count} files and no end")
except OSError as error:
    print(f"held: {error.strerror} after {count} files")
