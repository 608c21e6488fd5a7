# tries: to run for ever in spite of its interrupt
# expect: error: execution timeout: 6 s of wall time are over; session state lost
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
while True:
    try:
        time.sleep(60)
    except BaseException:
        pass
