# tries: to replace the runner's own functions and objects on the stack
# expect: held
frame = sys._getframe()
while frame:
    if "interpreter" in frame.f_locals:
        interpreter = frame.f_locals["interpreter"]
        interpreter.run = lambda source, native: 2
        frame.f_globals.update(flush=lambda: None, say=None, DENIAL=None)
    frame = frame.f_back
print("held: it says of itself what it likes, and the server answers")
