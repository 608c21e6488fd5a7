# tries: to run for ever
# expect: error: execution timeout: 6 s of wall time are over; session state kept
while True:
    pass
