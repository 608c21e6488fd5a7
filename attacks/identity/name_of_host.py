# tries: to learn the host's name
# expect: held
# expect reduced: absent: no uts namespace, so the name is the host's (the status of the layer says so)
# expect reduced-user: absent: no uts namespace, so the name is the host's (the status of the layer says so)
names = {socket.gethostname(), platform.node(), os.uname().nodename}
print("held: eggbox" if names == {"eggbox"} else f"BREACH: {names}")
