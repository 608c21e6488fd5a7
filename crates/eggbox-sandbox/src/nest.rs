//! The start of a nest: from a fresh process of our own binary, before any thread, to the interpreter that it becomes.
//!
//! The process that the server started forks once, so that the nest is pid 1 of its own pid namespace: when it ends,
//! the kernel ends every session. The first process writes the nest's id maps where that takes outside rights, then
//! leaves; the nest belongs to nobody and holds on to the server by its control channel alone.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::Pid;

use crate::control;
use crate::layers::{capabilities, folders, identity, mounts, namespaces, rlimits};
use crate::plan::{GroupsPlan, Plan};
use crate::steps::{FailStep, NestStep, made_to_fail};
use crate::sys;
use crate::wire::{
    FromNest, NEST_CONTROL_AT_START_FD, NEST_CONTROL_FD, NEST_PLAN_AT_START_FD, NEST_PLAN_FD, NestFailure,
};

/// What stands in a nest's runtime folder: names with contents.
pub type Runtime<'a> = &'a [(&'a str, &'a [u8])];

/// Turns this process into a nest. Returns only where not even the control channel works, with the reason.
pub fn main(runtime: Runtime<'_>) -> io::Error {
    let control = match adopt_control() {
        Ok(control) => control,
        Err(error) => return io::Error::other(format!("a nest is started by the server alone: {error}")),
    };
    let Err(failure) = run(&control, runtime);
    match control::send(control.as_fd(), &FromNest::Failed(failure), &[]) {
        Ok(()) => sys::exit_now(1),
        Err(error) => error,
    }
}

fn run(control: &OwnedFd, runtime: Runtime<'_>) -> Result<Infallible, NestFailure> {
    let unplanned = |cause: io::Error| NestFailure::Plan { cause: cause.to_string() };
    let plan = read_plan().map_err(unplanned)?;
    let mut nest = Nest { control, plan: &plan, runtime, root: None, outside: None };
    for &step in &plan.nest_steps {
        let fails = plan.fail_step == Some(FailStep::Nest(step));
        let done = if fails { Err(made_to_fail()) } else { nest.perform(step) };
        done.map_err(|cause| NestFailure::Step { step, cause: cause.to_string() })?;
    }
    Err(unplanned(io::Error::other("it does not end in an interpreter")))
}

/// Away from the standard streams, which the interpreter gets others for: should that fail, it has to be said here.
fn adopt_control() -> io::Result<OwnedFd> {
    let control = sys::adopt_inherited(NEST_CONTROL_AT_START_FD)?;
    Ok(rustix::io::fcntl_dupfd_cloexec(control, NEST_PLAN_FD + 1)?)
}

fn read_plan() -> io::Result<Plan> {
    let mut text = String::new();
    File::from(sys::adopt_inherited(NEST_PLAN_AT_START_FD)?).read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}

struct Nest<'a> {
    control: &'a OwnedFd,
    plan: &'a Plan,
    runtime: Runtime<'a>,
    root: Option<PathBuf>,
    /// To the process outside that maps ids on request.
    outside: Option<(PipeWriter, PipeReader)>,
}

impl Nest<'_> {
    fn perform(&mut self, step: NestStep) -> io::Result<()> {
        match step {
            NestStep::Detach => detach(),
            NestStep::JoinNestGroup => match &self.plan.groups {
                GroupsPlan::Own(group) => group.join_as_nest(),
                GroupsPlan::None { .. } => Ok(()),
            },
            NestStep::EnterPidNamespace => namespaces::enter_pid(),
            NestStep::EnterMountNamespace => namespaces::enter_mount(),
            NestStep::EnterAllNamespaces => namespaces::enter_all(&self.plan.identity),
            NestStep::Fork => self.fork(),
            NestStep::BuildRoot => {
                self.root = Some(mounts::build_root(self.plan, self.runtime)?);
                Ok(())
            }
            NestStep::PivotRoot => {
                let root = self.root.take().ok_or_else(|| io::Error::other("no root was built"))?;
                mounts::pivot(&root)
            }
            NestStep::EnterUserNamespace => self.enter_user_namespace(),
            NestStep::TakeNestIdentity => {
                // Before the user namespace is made, so that this id owns it: what a session uses up of the kernel's
                // per-user objects counts towards the owner too, and must not be root's.
                capabilities::keep_over_identity()?;
                identity::become_id(self.plan.identity.outside_uid)
            }
            NestStep::LimitKernelObjects => {
                let shared_by = if self.plan.session.has_own_user_namespace { self.plan.sessions_max } else { 0 };
                rlimits::limit_kernel_objects(shared_by)
            }
            NestStep::LimitCapabilities => capabilities::limit_to_nest(self.plan.session.may_drop_bounding_set),
            NestStep::ForbidNewPrivileges => Ok(rustix::thread::set_no_new_privs(true)?),
            NestStep::PrepareFolders => folders::prepare(self.plan, self.runtime),
            NestStep::AdoptOrphans => Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?),
            NestStep::ExecuteInterpreter => self.execute_interpreter(),
        }
    }

    /// The child goes on as pid 1; the parent serves it and ends.
    fn fork(&mut self) -> io::Result<()> {
        let (request_in, request_out) = io::pipe()?;
        let (answer_in, answer_out) = io::pipe()?;
        match sys::clone3(0, None)? {
            sys::Forked::Child => {
                self.outside = Some((request_out, answer_in));
                Ok(())
            }
            sys::Forked::Parent { child, pid } => {
                drop(request_out);
                control::send(self.control.as_fd(), &FromNest::Started, &[child.as_fd()])?;
                self.map_ids_on_request(request_in, answer_out, pid)
            }
        }
    }

    fn map_ids_on_request(&self, mut request: PipeReader, mut answer: PipeWriter, child: Pid) -> io::Result<()> {
        // It asks with one byte, or closes the pipe where it needs no maps.
        if request.read(&mut [0])? == 1 {
            namespaces::map_ids(&child.to_string(), &self.plan.identity)?;
            answer.write_all(&[0])?;
        }
        sys::exit_now(0)
    }

    fn enter_user_namespace(&mut self) -> io::Result<()> {
        let (mut request, mut answer) = self.outside.take().ok_or_else(|| io::Error::other("nobody is outside"))?;
        namespaces::enter_user()?;
        request.write_all(&[0])?;
        answer.read_exact(&mut [0]).map_err(|_| io::Error::other("the ids were not mapped"))
    }

    fn execute_interpreter(&self) -> io::Result<()> {
        let program = &self.plan.program;
        let plan = serde_json::to_vec(self.plan)?;
        let plan = sys::memory_file(c"plan", &plan)?;
        sys::place_at(self.control.as_fd(), NEST_CONTROL_FD, true)?;
        sys::place_at(plan.as_fd(), NEST_PLAN_FD, true)?;
        rlimits::choose_thread_stack()?;
        // So that what is kept of its sessions can go on in another nest, everything lies at the same addresses in each. Where that
        // is refused it cannot, and is told so. From whom code in a session hides nothing anyway, nothing is hidden.
        let _ = sys::fix_addresses();
        Err(Command::new(&program.executable)
            .args(&program.arguments)
            .stdin(Stdio::null())
            // What an import prints goes to the server's log.
            .stdout(io::stderr().as_fd().try_clone_to_owned()?)
            .env_clear()
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .exec())
    }
}

/// Leaves the server's terminal, priority, signal mask and limits behind.
fn detach() -> io::Result<()> {
    use rustix::process::{
        Resource, Rlimit, getpriority_process, getrlimit, setpriority_process, setrlimit, setsid, umask,
    };
    setsid()?;
    // The server goes before its sessions.
    if getpriority_process(None)? < 0 {
        setpriority_process(None, 0)?;
    }
    umask(rustix::fs::Mode::from_raw_mode(0o022));
    sys::unblock_all_signals()?;
    // A nest holds a descriptor per session.
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum })?;
    Ok(())
}
