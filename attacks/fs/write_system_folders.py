# tries: to change programs, libraries and settings that other sessions use
# expect: held
import sysconfig
places = ["/usr", "/usr/bin", "/usr/lib", "/usr/local/bin", "/lib", "/bin", "/etc", "/etc/ssl/certs", "/", "/dev", "/run", "/proc",
          "/opt", sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), os.path.dirname(sys.executable)]
for place in places:
    attempt("make in " + place, lambda: open(place + "/eggbox-planted", "w"))
    attempt("folder in " + place, lambda: os.mkdir(place + "/eggbox-planted"))
for path in (sys.executable, os.__file__, "/etc/passwd", "/etc/ld.so.cache", "/etc/ld.so.preload", "/usr/bin/env"):
    attempt("write " + path, lambda: open(path, "r+b"))
    attempt("truncate " + path, lambda: os.truncate(path, 0))
    attempt("remove " + path, lambda: checked(libc.unlink(path.encode())))
verdict()
