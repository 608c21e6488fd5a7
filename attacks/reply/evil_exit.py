# tries: to leave by SystemExit with codes of every kind
# expect: held
class Code(int):
    def __and__(self, other): raise KeyboardInterrupt
    __str__ = __repr__ = __index__ = lambda self: 1 / 0
class Leave(SystemExit):
    code = property(lambda self: Code(5))
print("held: it was asked to leave, and its session stays", flush=True)
raise Leave
