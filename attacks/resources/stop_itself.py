# tries: to stop its own process, so that it neither ends nor answers
# expect: held
# expect reduced: error: execution timeout: 6 s of wall time are over; session state lost
# expect reduced-user: error: execution timeout: 6 s of wall time are over; session state lost
os.kill(os.getpid(), signal.SIGSTOP)
print("held: pid 1 cannot be stopped from within")
