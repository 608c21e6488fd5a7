# tries: to keep the interpreter in one call of C that no interrupt ends
# expect: error: execution timeout: 6 s of wall time are over; session state lost
import collections, itertools
collections.deque(itertools.repeat(None), maxlen=0)
