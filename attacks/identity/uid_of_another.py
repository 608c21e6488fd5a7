# tries: to be the same user as another session
# expect: held
# expect user: absent: the server is an ordinary user and has one uid for all (the status of the layer says so)
# expect reduced: refused: reading /proc
# expect reduced-user: refused: reading /proc
open("uid-@MARKER@", "w").write("egg")
os.setpriority(os.PRIO_PROCESS, 0, 7)
# --- session b
# Its own file as the host would name its owner: by the last of the ids behind the map.
inside, outside, count = (int(word) for word in open("/proc/self/uid_map").readline().split())
shared = count == 1 or WAY == "reduced-user"
print(f"BREACH: one uid, {outside + os.getuid() - inside}" if shared else f"held: one of {count} uids")
