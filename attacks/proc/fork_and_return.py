# tries: to have two processes answer for one session: a forked child that goes on after the code
# expect: held
child = os.fork()
if child:
    _, status = os.waitpid(child, 0)
    print(f"held: the child ended with the code, status {status}")
