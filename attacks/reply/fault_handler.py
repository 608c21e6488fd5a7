# tries: to answer from a handler of its own for a fault
# expect: error: session ended: segmentation fault
# expect reduced: error: session ended: the interpreter was ended by signal 11
# expect reduced-user: error: session ended: the interpreter was ended by signal 11
import faulthandler
faulthandler.enable(file=sys.stderr)
ctypes.memset(8, 1, 8)
