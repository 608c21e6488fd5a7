//! What the wall costs: a session forked and locked down against one that is only forked, from nests of the same
//! interpreter with the same modules, in turn.
//!
//!     cargo run --release --package eggbox --example wall -- [PYTHON [ROUNDS]]
//!
//! It takes the server's place: it starts two nests of the built binary (`target/release/eggbox`), one with the shipped
//! plan and one with a plan of its own that lacks every step but the first, asks each for sessions, and takes the time
//! from the request to the session's "ready". Prints p50 and p99 in milliseconds; judges nothing.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use eggbox_sandbox::cgroup::ControlGroups;
use eggbox_sandbox::interpreter::Interpreter;
use eggbox_sandbox::limits::SandboxLimits;
use eggbox_sandbox::plan::{GroupsPlan, Plan, SessionNamespaces};
use eggbox_sandbox::policy::{Isolation, Policy};
use eggbox_sandbox::prepare::{Wanted, prepare};
use eggbox_sandbox::steps::SessionStep;
use eggbox_sandbox::wire::{FromNest, FromSession, ToNest};
use eggbox_sandbox::{control, leftovers, memory_file};

type Outcome<T> = Result<T, Box<dyn Error>>;

struct Nest {
    control: OwnedFd,
    groups: GroupsPlan,
}

impl Nest {
    fn start(plan: &Plan) -> Outcome<Self> {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
        let (control, inner) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let file = memory_file(c"plan", &serde_json::to_vec(plan)?)?;
        let eggbox = std::env::current_exe()?.with_file_name("../eggbox");
        Command::new(eggbox).arg("nest").stdin(Stdio::from(inner)).stdout(Stdio::from(file)).spawn()?.wait()?;
        let nest = Self { control, groups: plan.groups.clone() };
        loop {
            match nest.hear()?.0 {
                FromNest::Started => {}
                FromNest::Up { .. } => return Ok(nest),
                other => return Err(format!("no nest: {other:?}").into()),
            }
        }
    }

    fn hear(&self) -> Outcome<(FromNest, Vec<OwnedFd>)> {
        Ok(control::receive(self.control.as_fd())?.ok_or("the nest is gone")?)
    }

    /// The time from the request to a session that is ready. The session is ended before this returns.
    fn spawn(&self) -> Outcome<Duration> {
        let ((inner_requests, requests), (mut answers, inner_answers)) = (io::pipe()?, io::pipe()?);
        let ((stdout, inner_stdout), (stderr, inner_stderr)) = (io::pipe()?, io::pipe()?);
        let code = memory_file(c"code", b"")?;
        let entrances = match &self.groups {
            GroupsPlan::Own(groups) => {
                groups.prepare(0)?;
                groups.entrances(0)?
            }
            GroupsPlan::None { .. } => Vec::new(),
        };
        let start = Instant::now();
        let mut descriptors = vec![
            inner_requests.as_fd(),
            inner_answers.as_fd(),
            inner_stdout.as_fd(),
            inner_stderr.as_fd(),
            code.as_fd(),
        ];
        descriptors.extend(entrances.iter().map(AsFd::as_fd));
        control::send(self.control.as_fd(), &ToNest::Spawn { slot: 0 }, &descriptors)?;
        drop((inner_requests, inner_answers, inner_stdout, inner_stderr));
        let mut received = Vec::new();
        let ready = loop {
            match FromSession::decode(&received)? {
                Some((FromSession::Ready(_), _)) => break start.elapsed(),
                Some((other, _)) => return Err(format!("no session: {other:?}").into()),
                None => {}
            }
            let mut piece = [0; 4096];
            match answers.read(&mut piece)? {
                0 => return Err("the session ended".into()),
                count => received.extend_from_slice(&piece[..count]),
            }
        };
        // It ends when its channel does.
        drop((requests, answers, stdout, stderr));
        while !matches!(self.hear()?.0, FromNest::Ended { .. }) {}
        Ok(ready)
    }
}

#[expect(clippy::print_stdout, reason = "a command-line program")]
fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let python = arguments.next().unwrap_or_else(|| "python3".into());
    let rounds: usize = arguments.next().map_or(Ok(200), |rounds| rounds.parse())?;
    let modules = ["available", "numpy", "pandas", "matplotlib.pyplot"].map(str::to_owned);
    let full = prepare(Wanted {
        isolation: Isolation::Strict,
        policy: &Policy::shipped()?,
        limits: &SandboxLimits::default(),
        control_groups: ControlGroups::Auto,
        build: "wall",
        interpreter: &Interpreter::describe(Path::new(&python))?,
        sessions_max: 4,
        state_dir: Path::new("/nonexistent"),
        runner_arguments: &modules,
        fail_step: None,
    })?;
    let mut bare = full.clone();
    bare.session_steps = vec![SessionStep::PlaceDescriptors];
    bare.session.namespaces = SessionNamespaces::Shared;
    bare.groups = GroupsPlan::None { why: String::new() };
    if let GroupsPlan::Own(groups) = &full.groups {
        groups.create()?;
    }
    let nests = [("fork alone", Nest::start(&bare)?), ("fork and wall", Nest::start(&full)?)];
    let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for round in 0..rounds + 5 {
        for (name, nest) in &nests {
            let took = nest.spawn()?;
            // The first few find cold caches.
            if round >= 5 {
                times.entry(name).or_default().push(took);
            }
        }
    }
    println!("{python}, {rounds} rounds{:>16}{:>10}", "p50 ms", "p99 ms");
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let mut medians = Vec::new();
    for (name, mut taken) in times {
        taken.sort();
        let (p50, p99) = (millis(taken[taken.len() / 2]), millis(taken[taken.len() * 99 / 100]));
        println!("{name:32}{p50:9.2}{p99:10.2}");
        medians.push(p50);
    }
    println!("{:32}{:9.2}", "the wall, at p50", medians[1] - medians[0]);
    Ok(leftovers::clear_groups(&full)?)
}
