# tries: to end its interpreter by a fault, without a core file in its folders
# expect: error: session ended: the interpreter
ctypes.string_at(0)
