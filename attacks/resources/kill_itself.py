# tries: to end its own process by SIGKILL
# expect: held
# expect reduced: error: session ended: the interpreter was ended by signal 9
# expect reduced-user: error: session ended: the interpreter was ended by signal 9
os.kill(os.getpid(), signal.SIGKILL)
print("held: pid 1 cannot be killed from within")
