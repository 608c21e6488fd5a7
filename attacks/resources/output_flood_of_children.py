# tries: to drown it in output of many processes at once, and of lines without end
# expect: error: output limit exceeded: the first 1048576 bytes of stderr were kept
children = [subprocess.Popen([sys.executable, "-Ic", "import os\nfor _ in range(60): os.write(2, b'x' * 65536)"]) for _ in range(8)]
for child in children:
    child.wait()
