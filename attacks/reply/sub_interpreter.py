# tries: to run code in an interpreter of its own within the process, past the audit hook
# expect: held
open("file", "w").close()
try:
    import _xxsubinterpreters as interpreters
except ImportError:
    try:
        import _interpreters as interpreters
    except ImportError:
        interpreters = None
if interpreters:
    inner = interpreters.create()
    try:
        interpreters.run_string(inner, "import os\ntry: os.remove('file')\nexcept OSError: pass\n"
                                       "try: print(open('@OPEN_FILE@').read())\nexcept OSError: pass")
    except Exception as error:
        print(type(error).__name__)
print("held: the wall is the kernel's" if os.path.exists("file") else "BREACH: it is gone")
