# tries: to close the descriptors that programs usually close
# expect: held
print("held: the channel lies beyond", flush=True)
os.closerange(3, os.sysconf("SC_OPEN_MAX"))
