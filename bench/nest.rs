//! A nest without a server: what `wall` and `load` share to fork sessions by hand. It takes the server's place.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use eggbox_sandbox::cgroup::ControlGroups;
use eggbox_sandbox::interpreter::Interpreter;
use eggbox_sandbox::limits::SandboxLimits;
use eggbox_sandbox::plan::{GroupsPlan, Plan, SessionNamespaces};
use eggbox_sandbox::policy::{Isolation, Policy};
use eggbox_sandbox::prepare::{Wanted, prepare};
use eggbox_sandbox::steps::SessionStep;
use eggbox_sandbox::wire::{FromNest, FromSession, ToNest, execute_request};
use eggbox_sandbox::{control, memory_file};

/// How long a nest may take to say what it is asked for; its start takes longest.
const HEAR_MAX: Duration = Duration::from_secs(60);

/// The shipped plan for this interpreter, with the data packages that it has.
pub(crate) fn shipped_plan(python: &Path) -> Result<Plan> {
    let modules = ["available", "numpy", "pandas", "matplotlib.pyplot"].map(str::to_owned);
    let plan = prepare(Wanted {
        isolation: Isolation::Strict,
        policy: &Policy::shipped()?,
        limits: &SandboxLimits::default(),
        control_groups: ControlGroups::Auto,
        build: "bench",
        interpreter: &Interpreter::describe(python)?,
        sessions_max: 4,
        state_dir: Path::new("/nonexistent"),
        runner_arguments: &modules,
        fail_step: None,
    })?;
    Ok(plan)
}

/// The same with sessions that are forked and nothing else.
pub(crate) fn bare_plan(shipped: &Plan) -> Plan {
    let mut bare = shipped.clone();
    bare.session_steps = vec![SessionStep::PlaceDescriptors];
    bare.session.namespaces = SessionNamespaces::Shared;
    bare.groups = GroupsPlan::None { why: String::new() };
    bare
}

/// A nest, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Nest {
    control: OwnedFd,
    groups: GroupsPlan,
}

/// A session of a nest, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Forked {
    /// When it was asked for.
    pub(crate) asked: Instant,
    requests: PipeWriter,
    answers: PipeReader,
    stdout: PipeReader,
    _others: [PipeReader; 2],
    code: File,
    /// What of its answers was read and not understood yet.
    received: Vec<u8>,
}

impl Nest {
    pub(crate) fn start(eggbox: &Path, plan: &Plan) -> Result<Self> {
        use rustix::net::sockopt::{Timeout, set_socket_timeout};
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
        let (control, inner) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        set_socket_timeout(&control, Timeout::Recv, Some(HEAR_MAX))?;
        let file = memory_file(c"plan", &serde_json::to_vec(plan)?)?;
        Command::new(eggbox)
            .arg("nest")
            .stdin(Stdio::from(inner))
            .stdout(Stdio::from(file))
            .spawn()
            .with_context(|| format!("failed to start {}: build it first", eggbox.display()))?
            .wait()?;
        let nest = Self { control, groups: plan.groups.clone() };
        loop {
            match nest.hear()?.0 {
                FromNest::Started => {}
                FromNest::Up { .. } => return Ok(nest),
                other => bail!("no nest: {other:?}"),
            }
        }
    }

    fn hear(&self) -> Result<(FromNest, Vec<OwnedFd>)> {
        control::receive(self.control.as_fd()).context("failed to hear of the nest")?.context("the nest is gone")
    }

    /// Returns when the session is ready.
    pub(crate) fn fork(&self) -> Result<Forked> {
        let ((inner_requests, requests), (answers, inner_answers)) = (pipe()?, pipe()?);
        let ((stdout, inner_stdout), (stderr, inner_stderr)) = (pipe()?, pipe()?);
        let (values, inner_values) = pipe()?;
        let code = memory_file(c"code", b"")?;
        let entrances = match &self.groups {
            GroupsPlan::Own(groups) => {
                groups.prepare(0)?;
                groups.entrances(0)?
            }
            GroupsPlan::None { .. } => Vec::new(),
        };
        let asked = Instant::now();
        let mut descriptors = vec![
            inner_requests.as_fd(),
            inner_answers.as_fd(),
            inner_stdout.as_fd(),
            inner_stderr.as_fd(),
            inner_values.as_fd(),
            code.as_fd(),
        ];
        descriptors.extend(entrances.iter().map(AsFd::as_fd));
        control::send(self.control.as_fd(), &ToNest::Spawn { slot: 0, files: None }, &descriptors)?;
        drop((inner_requests, inner_answers, inner_stdout, inner_stderr, inner_values));
        let mut forked =
            Forked { asked, requests, answers, stdout, _others: [stderr, values], code, received: Vec::new() };
        match forked.hear()? {
            FromSession::Ready(_) => Ok(forked),
            other => bail!("no session: {other:?}"),
        }
    }

    /// Returns when the session has ended. There is one at a time.
    pub(crate) fn end(&self, forked: Forked) -> Result<()> {
        // It ends when its channel does.
        drop(forked);
        while !matches!(self.hear()?.0, FromNest::Ended { .. }) {}
        Ok(())
    }
}

impl Forked {
    fn hear(&mut self) -> Result<FromSession> {
        loop {
            if let Some((frame, taken)) = FromSession::decode(&self.received)? {
                self.received.drain(..taken);
                return Ok(frame);
            }
            let mut piece = [0; 4096];
            match self.answers.read(&mut piece)? {
                0 => bail!("the session ended"),
                count => self.received.extend_from_slice(&piece[..count]),
            }
        }
    }

    /// What the session's first execution prints to stdout: no more than a pipe holds, and something.
    pub(crate) fn execute(&mut self, code: &str) -> Result<String> {
        self.code.write_all_at(code.as_bytes(), 0)?;
        self.requests.write_all(&execute_request(1, code.len() as u64, None, 0)?)?;
        loop {
            match self.hear()? {
                FromSession::Done { .. } => break,
                FromSession::Renewed { .. } => {}
                other => bail!("out of turn: {other:?}"),
            }
        }
        let mut printed = vec![0; 4096];
        let count = self.stdout.read(&mut printed)?;
        printed.truncate(count);
        Ok(String::from_utf8(printed)?)
    }
}
