# tries: to have everything that is printed go to the channel
# expect: error: session ended: it broke the server's protocol
os.dup2(CHANNEL, 1)
print("egg", flush=True)
time.sleep(3)
