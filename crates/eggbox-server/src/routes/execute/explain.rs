//! What the `error` of an answer says about an execution: each thing that went wrong, then what became of the state.

use eggbox_engine::{Death, Outcome, SessionState, TimeLimit};

use super::signal;

/// The text for a refused deletion, to the letter of the contract.
const DENIED: &str = "[Errno 13] Permission denied: filesystem access restricted";

/// The text, empty where nothing went wrong that `stderr` does not say. Of stdout and stderr: how many bytes of output are
/// kept, and how many were dropped.
pub(in crate::routes) fn error(outcome: &Outcome, output: [(u64, u64); 2]) -> String {
    let mut parts: Vec<String> = cause(outcome).into_iter().collect();
    parts.extend(dropped_output(output));
    // A refusal needs no word on the state, and the contract has none.
    if parts.is_empty() || parts == [DENIED] {
        return parts.concat();
    }
    parts.push(match outcome.state() {
        SessionState::Kept => "session state kept".to_owned(),
        SessionState::Lost => "session state lost".to_owned(),
        SessionState::Rewound => "session state as before this execution".to_owned(),
    });
    if let Outcome::Gone(_) = outcome {
        parts.push("the next request with this id starts afresh".to_owned());
    }
    parts.join("; ")
}

fn cause(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Ok | Outcome::Exception => None,
        Outcome::Denied => Some(DENIED.to_owned()),
        Outcome::Interrupted => Some("execution interrupted".to_owned()),
        Outcome::Timeout { limit, .. } => Some(format!("execution timeout: {}", describe_limit(limit))),
        Outcome::OutOfMemory { memory_bytes_max, .. } => Some(describe_memory(*memory_bytes_max)),
        Outcome::Died(death) | Outcome::Rewound(death) => Some(format!("session ended: {}", describe(death))),
        Outcome::Gone(death) => {
            Some(format!("session had ended before this request: {}; the code was not run", describe(death)))
        }
    }
}

fn describe_limit(limit: &TimeLimit) -> String {
    match limit {
        TimeLimit::Wall(wall_max) => format!("{} s of wall time are over", wall_max.as_secs_f64()),
        TimeLimit::Cpu(cpu_max) => format!("{} s of CPU time are over", cpu_max.as_secs_f64()),
    }
}

fn describe_memory(memory_bytes_max: u64) -> String {
    format!("memory limit exceeded: a session may have {memory_bytes_max} bytes (memory_bytes_max)")
}

/// Why a session has ended, for people.
pub(in crate::routes) fn describe(death: &Death) -> String {
    match death {
        Death::OutOfMemory { memory_bytes_max } => describe_memory(*memory_bytes_max),
        Death::TooManyProcesses { processes_max } => {
            format!("process limit exceeded: a session may have {processes_max} processes and threads (processes_max)")
        }
        Death::Timeout { limit } => format!("execution timeout: {}", describe_limit(limit)),
        Death::Unobserved => "it ended while the server was away or could not serve it".to_owned(),
        Death::Life { life_max } => {
            format!("it was {} s old, which is as long as one may live", life_max.as_secs_f64())
        }
        Death::Exited { status } => match exit_signal(*status) {
            // A session is the init process of its pid namespace, which a signal sent from inside cannot end by
            // default (pid_namespaces(7)); what is caught of it becomes an exit status in the shells' convention.
            Some(signal) => format!("{} ({}, exit status {status})", signal.meaning, signal.name),
            None => format!("the interpreter exited with status {status}"),
        },
        Death::Signal { number } => match signal::find(*number) {
            Some(signal) => {
                format!("the interpreter was ended by signal {number} ({}, {})", signal.name, signal.meaning)
            }
            None => format!("the interpreter was ended by signal {number}"),
        },
        Death::Protocol => "it broke the server's protocol or closed its channel, and was killed".to_owned(),
        Death::Nest => "the process that all sessions come from ended, and they with it".to_owned(),
        Death::Deleted => "it was deleted".to_owned(),
        Death::Restarted => "it was given a fresh interpreter".to_owned(),
        Death::Shutdown => "the server was shut down".to_owned(),
        Death::Idle { idle_max } => format!("nobody had used it for {} s", idle_max.as_secs_f64()),
    }
}

/// The signal that an exit status stands for: 128 and its number.
fn exit_signal(status: i32) -> Option<&'static signal::Signal> {
    status.checked_sub(128).and_then(signal::find)
}

fn dropped_output([stdout, stderr]: [(u64, u64); 2]) -> Option<String> {
    let streams: Vec<String> = [("stdout", stdout), ("stderr", stderr)]
        .into_iter()
        .filter(|(_, (_, dropped))| *dropped > 0)
        .map(|(name, (kept, dropped))| format!("the first {kept} bytes of {name} were kept, {dropped} dropped"))
        .collect();
    (!streams.is_empty()).then(|| format!("output limit exceeded: {}", streams.join(", ")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn explain(outcome: Outcome, dropped_bytes: [u64; 2]) -> String {
        error(&outcome, dropped_bytes.map(|dropped| (8, dropped)))
    }

    fn timeout(millis: u64, state: SessionState) -> Outcome {
        Outcome::Timeout { limit: TimeLimit::Wall(Duration::from_millis(millis)), state }
    }

    #[test]
    fn every_outcome_has_its_text() {
        let idle = Death::Idle { idle_max: Duration::from_secs(1800) };
        for (outcome, text) in [
            (Outcome::Ok, ""),
            (Outcome::Exception, ""),
            (Outcome::Denied, "[Errno 13] Permission denied: filesystem access restricted"),
            (timeout(30_000, SessionState::Kept), "execution timeout: 30 s of wall time are over; session state kept"),
            (timeout(500, SessionState::Lost), "execution timeout: 0.5 s of wall time are over; session state lost"),
            (
                Outcome::Timeout { limit: TimeLimit::Cpu(Duration::from_secs(2)), state: SessionState::Kept },
                "execution timeout: 2 s of CPU time are over; session state kept",
            ),
            (
                Outcome::OutOfMemory { memory_bytes_max: 1024, state: SessionState::Lost },
                "memory limit exceeded: a session may have 1024 bytes (memory_bytes_max); session state lost",
            ),
            (
                Outcome::Died(Death::TooManyProcesses { processes_max: 64 }),
                "session ended: process limit exceeded: a session may have 64 processes and threads (processes_max); \
                 session state lost",
            ),
            (
                Outcome::Died(Death::Exited { status: 3 }),
                "session ended: the interpreter exited with status 3; session state lost",
            ),
            (
                timeout(500, SessionState::Rewound),
                "execution timeout: 0.5 s of wall time are over; session state as before this execution",
            ),
            (
                Outcome::Rewound(Death::Exited { status: 3 }),
                "session ended: the interpreter exited with status 3; session state as before this execution",
            ),
            (
                Outcome::Died(Death::Signal { number: 11 }),
                "session ended: the interpreter was ended by signal 11 (SIGSEGV, segmentation fault); session state lost",
            ),
            (
                Outcome::Died(Death::Protocol),
                "session ended: it broke the server's protocol or closed its channel, and was killed; session state lost",
            ),
            (
                Outcome::Died(Death::Nest),
                "session ended: the process that all sessions come from ended, and they with it; session state lost",
            ),
            (Outcome::Died(idle.clone()), "session ended: nobody had used it for 1800 s; session state lost"),
            (
                Outcome::Gone(idle),
                "session had ended before this request: nobody had used it for 1800 s; the code was not run; \
                 session state lost; the next request with this id starts afresh",
            ),
        ] {
            assert_eq!(explain(outcome, [0, 0]), text);
        }
    }

    #[test]
    fn an_exit_status_is_read_in_the_shells_convention() {
        for (status, text) in [
            (0, "the interpreter exited with status 0"),
            (128, "the interpreter exited with status 128"),
            (129, "hung up (SIGHUP, exit status 129)"),
            (134, "aborted (SIGABRT, exit status 134)"),
            (139, "segmentation fault (SIGSEGV, exit status 139)"),
            (159, "bad system call (SIGSYS, exit status 159)"),
            (160, "the interpreter exited with status 160"),
            (255, "the interpreter exited with status 255"),
            (i32::MIN, "the interpreter exited with status -2147483648"),
        ] {
            assert_eq!(describe(&Death::Exited { status }), text);
        }
        assert_eq!(describe(&Death::Signal { number: 40 }), "the interpreter was ended by signal 40");
    }

    #[test]
    fn dropped_output_is_counted_beside_the_outcome() {
        let stdout = "output limit exceeded: the first 8 bytes of stdout were kept, 5 dropped";
        let both = format!("{stdout}, the first 8 bytes of stderr were kept, 7 dropped");
        for (outcome, dropped_bytes, text) in [
            (Outcome::Ok, [5, 0], format!("{stdout}; session state kept")),
            (Outcome::Exception, [5, 7], format!("{both}; session state kept")),
            (Outcome::Denied, [5, 0], format!("{DENIED}; {stdout}; session state kept")),
            (
                timeout(1000, SessionState::Kept),
                [5, 7],
                format!("execution timeout: 1 s of wall time are over; {both}; session state kept"),
            ),
            (
                Outcome::Died(Death::Exited { status: 3 }),
                [5, 0],
                format!("session ended: the interpreter exited with status 3; {stdout}; session state lost"),
            ),
        ] {
            assert_eq!(explain(outcome, dropped_bytes), text);
        }
    }
}
