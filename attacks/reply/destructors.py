# tries: to run code in destructors between two executions
# expect: held
class Thing:
    def __del__(self):
        os.write(1, b"said by a destructor\n")
        raise KeyboardInterrupt
kept = [Thing()]
kept.append(kept)
del kept
# --- session a again
import gc
gc.collect()
print("held: a session of its own trouble")
