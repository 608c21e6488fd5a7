# tries: to close both of the channel's pipes
# expect: error: session ended: it broke the server's protocol or closed its channel
os.close(REQUESTS)
os.close(CHANNEL)
time.sleep(1)
