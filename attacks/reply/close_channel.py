# tries: to close its channel and live on
# expect: error: session ended: it broke the server's protocol or closed its channel
os.close(CHANNEL)
time.sleep(3)
