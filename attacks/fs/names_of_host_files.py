# tries: to learn the names and sizes of the host's files
# expect: held
# expect reduced: absent: no mount namespace, so what a path names can be asked (SECURITY.md says so)
# expect reduced-user: absent: no mount namespace, so what a path names can be asked (SECURITY.md says so)
attempt("stat", lambda: os.stat("@OPEN_FILE@").st_size)
attempt("access", lambda: os.access("@CLOSED_FILE@", os.F_OK) or checked(-1))
verdict()
