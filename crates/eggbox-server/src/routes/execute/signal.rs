//! The names of signals, for whoever reads that a session ended by one.

/// A signal as signal(7) and strsignal(3) name it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signal {
    pub(super) name: &'static str,
    pub(super) meaning: &'static str,
}

const fn signal(name: &'static str, meaning: &'static str) -> Signal {
    Signal { name, meaning }
}

/// Signals 1 to 31 in order; their numbers are the same on x86-64 and aarch64.
const SIGNALS: [Signal; 31] = [
    signal("SIGHUP", "hung up"),
    signal("SIGINT", "interrupted"),
    signal("SIGQUIT", "quit"),
    signal("SIGILL", "illegal instruction"),
    signal("SIGTRAP", "trace or breakpoint trap"),
    signal("SIGABRT", "aborted"),
    signal("SIGBUS", "bus error"),
    signal("SIGFPE", "arithmetic exception"),
    signal("SIGKILL", "killed"),
    signal("SIGUSR1", "user-defined signal 1"),
    signal("SIGSEGV", "segmentation fault"),
    signal("SIGUSR2", "user-defined signal 2"),
    signal("SIGPIPE", "broken pipe"),
    signal("SIGALRM", "alarm clock"),
    signal("SIGTERM", "terminated"),
    signal("SIGSTKFLT", "stack fault"),
    signal("SIGCHLD", "child exited"),
    signal("SIGCONT", "continued"),
    signal("SIGSTOP", "stopped by a signal"),
    signal("SIGTSTP", "stopped"),
    signal("SIGTTIN", "stopped by terminal input"),
    signal("SIGTTOU", "stopped by terminal output"),
    signal("SIGURG", "urgent condition on a socket"),
    signal("SIGXCPU", "processor time limit exceeded"),
    signal("SIGXFSZ", "file size limit exceeded"),
    signal("SIGVTALRM", "virtual timer expired"),
    signal("SIGPROF", "profiling timer expired"),
    signal("SIGWINCH", "window changed"),
    signal("SIGIO", "input or output possible"),
    signal("SIGPWR", "power failure"),
    signal("SIGSYS", "bad system call"),
];

/// The signal of this number; none for real-time signals and for what is no signal.
pub(super) fn find(number: i32) -> Option<&'static Signal> {
    usize::try_from(number).ok()?.checked_sub(1).and_then(|index| SIGNALS.get(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_names_of_the_manual() {
        for (number, name) in [
            (1, "SIGHUP"),
            (6, "SIGABRT"),
            (9, "SIGKILL"),
            (11, "SIGSEGV"),
            (15, "SIGTERM"),
            (24, "SIGXCPU"),
            (31, "SIGSYS"),
        ] {
            assert_eq!(find(number).map(|signal| signal.name), Some(name));
        }
        for number in [i32::MIN, -1, 0, 32, 64, i32::MAX] {
            assert_eq!(find(number), None);
        }
    }
}
