# tries: to close stdout and stderr, and to have them be other things
# expect: error: session ended: the interpreter exited with status 7
for number in (1, 2):
    os.close(number)
sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = None
os.open("/dev/full", os.O_WRONLY); os.open("/dev/zero", os.O_RDONLY)
try:
    print("egg", flush=True)
except OSError:
    pass
os._exit(7)
