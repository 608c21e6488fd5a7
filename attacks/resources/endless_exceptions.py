# tries: to run for ever by catching its interrupt again and again, in finally clauses and destructors
# expect: error: execution timeout: 6 s of wall time are over; session state lost
class Again:
    def __del__(self):
        while True:
            try:
                time.sleep(1)
            except BaseException:
                pass
def again():
    try:
        time.sleep(60)
    finally:
        again()
try:
    again()
finally:
    Again()
