# tries: to make a setuid program and gain by it
# expect: held
# expect reduced: refused: chmod, by which shutil.copy makes it a program
# expect reduced-user: refused: chmod, by which shutil.copy makes it a program
for folder in (SCRATCH, WORKSPACE):
    program = folder + "/id"
    shutil.copy("/usr/bin/id", program)
    try:
        os.chmod(program, 0o6777)
    except OSError as error:
        refusals.append(error.strerror)
    attempt("owner", lambda: os.chown(program, 0, 0))
    said = subprocess.run([program, "-u"], capture_output=True, text=True).stdout.strip()
    refusals.append(f"it ran as {said}")
    successes += [said] if said != str(os.getuid()) else []
verdict()
