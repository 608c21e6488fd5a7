# tries: to pass a descriptor to the server by its channel, and have it kept open there
# expect: error: session ended: it broke the server's protocol
import array
channel = socket.socket(fileno=CHANNEL)
for _ in range(20):
    channel.sendmsg([b"\xff\xff\xff\xff?"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
time.sleep(2)
