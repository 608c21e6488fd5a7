# tries: to delete by a program that it compiles itself
# expect: held
# expect reduced: refused: chmod, without which the program cannot be executed
# expect reduced-user: refused: chmod, without which the program cannot be executed
open("file", "w").write("egg")
program = SCRATCH + "/program"
open(program + ".c", "w").write('#include <unistd.h>\n#include <stdio.h>\nint main(){unlink("file");rename("file","new");return remove("file");}')
if shutil.which("gcc") and subprocess.run(["gcc", "-o", program, program + ".c"], capture_output=True).returncode == 0:
    assert subprocess.run([program]).returncode != 0
    how = "compiled and run"
else:
    how = "there is no working compiler; a script instead"
    open(program, "w").write("#!/bin/sh\nrm -f file\n")
    os.chmod(program, 0o755)
    subprocess.run([program], stderr=-3)
print(f"held: {how}, the file is there" if os.path.exists("file") else "BREACH: it is gone")
