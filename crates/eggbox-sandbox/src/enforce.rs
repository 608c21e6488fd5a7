//! Carries a session's part of a plan out: the only place where a session's wall is put up, in the plan's order.
//! A nest's part is [`nest`](crate::nest)'s.

use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use rustix::fs::{Dir, Mode, OFlags};

use crate::cgroup::{GroupPlan, Version};
use crate::layers::{capabilities, files, folders, identity, mounts, namespaces, network, rlimits};
use crate::plan::{GroupsPlan, OwnTrees, Plan, SessionNamespaces, SessionPlan};
use crate::policy::WorkspacePolicy;
use crate::status::{Layer, LayerStatus, State, Status};
use crate::steps::{FailStep, SessionStep, made_to_fail};
use crate::sys;

/// A step that failed, and why: enough for the log line that an operator reads.
#[derive(Debug, thiserror::Error)]
#[error("step `{step}`: {cause}")]
pub struct StepError {
    pub step: String,
    pub cause: io::Error,
    /// The channel is at its numbers already.
    pub channel_is_placed: bool,
}

/// What a session is handed when it is forked.
#[derive(Debug)]
pub struct Descriptors {
    pub requests: OwnedFd,
    pub answers: OwnedFd,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
    /// For what it has to show beside its output.
    pub values: OwnedFd,
    /// The file that the code of each execution stands in.
    pub code: OwnedFd,
    /// As [`GroupPlan::entrances`] gives them.
    pub entrances: Vec<OwnedFd>,
}

impl SessionPlan {
    /// The numbers in a session of the pipe that requests come from, of those that answers and values go to and of the file
    /// with the code: just past the limit of open files, where code that closes "all" descriptors does not reach them.
    #[must_use]
    pub fn channel_fds(&self) -> [RawFd; 4] {
        let first = self.rlimits.open_files_max.cast_signed();
        [first, first + 1, first + 2, first + 3]
    }
}

/// Locks this process down as the session of `slot`, with another policy for its workspace than the plan's where one is
/// given; afterwards nothing of the nest's is open but memory.
///
/// # Errors
/// The first step that failed. The process must then end: part of the wall is up, part is not.
pub fn lock_down(
    plan: &Plan,
    slot: u32,
    files: Option<WorkspacePolicy>,
    descriptors: Descriptors,
) -> Result<Status, StepError> {
    let Plan { session: session_plan, session_steps, fail_step, .. } = plan;
    let own_id = if session_plan.id_is_own { slot } else { 0 };
    let mut session = Session {
        plan: session_plan,
        groups: &plan.groups,
        id: session_plan.id_first + own_id,
        trees: session_plan.trees.of(slot).with_policy(files),
        view: None,
        descriptors: Some(descriptors),
    };
    let mut layers = session_plan.inherited.clone();
    for &step in session_steps {
        let fails = *fail_step == Some(FailStep::Session(step));
        let done = if fails { Err(made_to_fail()) } else { session.perform(step) };
        let channel_is_placed = session.descriptors.is_none();
        layers.extend(done.map_err(|cause| StepError { step: step.to_string(), cause, channel_is_placed })?);
    }
    Ok(Status { layers })
}

struct Session<'a> {
    plan: &'a SessionPlan,
    groups: &'a GroupsPlan,
    id: u32,
    trees: OwnTrees,
    view: Option<View>,
    /// Until they are placed.
    descriptors: Option<Descriptors>,
}

fn enforced(layer: Layer, detail: impl Into<String>) -> LayerStatus {
    LayerStatus { layer, state: State::Enforced, detail: detail.into() }
}

impl Session<'_> {
    fn perform(&mut self, step: SessionStep) -> io::Result<Vec<LayerStatus>> {
        let plan = self.plan;
        Ok(match step {
            SessionStep::JoinControlGroup => vec![self.join_control_group()?],
            SessionStep::EnterOwnUserNamespace => {
                if plan.has_own_user_namespace {
                    namespaces::map_own_id(self.id)?;
                    rlimits::limit_kernel_objects(1)?;
                }
                vec![]
            }
            SessionStep::EnterCgroupNamespace => {
                namespaces::enter_cgroup()?;
                vec![enforced(Layer::CgroupNamespace, "own root of control groups")]
            }
            SessionStep::PlaceDescriptors => {
                self.place_descriptors()?;
                vec![]
            }
            SessionStep::NameHost => {
                rustix::system::sethostname(b"eggbox")?;
                vec![enforced(Layer::UtsNamespace, "host name eggbox")]
            }
            SessionStep::MountOwnFileSystems => {
                mounts::mount_own(&plan.trees, self.id)?;
                vec![
                    enforced(Layer::MountNamespace, "read-only root; /workspace, /tmp, /dev/shm and /proc of its own"),
                    enforced(Layer::IpcNamespace, "own message queues, semaphores, shared memory"),
                ]
            }
            SessionStep::MakeOwnFolders => {
                folders::make_own(&self.trees, plan.id_is_own.then_some(self.id))?;
                vec![]
            }
            SessionStep::EnterWorkspace => {
                let workspace = &self.trees.workspace.path;
                // By its whole path, to be sure that this identity can come back to it.
                rustix::process::chdir(workspace).map_err(|error| {
                    let mend = "the state directory must be in a place that every user may pass through";
                    io::Error::other(format!("{}: {error}; {mend}", workspace.display()))
                })?;
                vec![]
            }
            SessionStep::AdoptOrphans => {
                rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
                // The nest may be killed where no namespace would end this process with it.
                rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
                vec![]
            }
            SessionStep::RaiseLoopback => {
                network::raise_loopback()?;
                vec![enforced(Layer::NetworkNamespace, "own loopback, nothing else")]
            }
            SessionStep::LimitResources => {
                rlimits::limit(&plan.rlimits)?;
                vec![self.resource_limits()]
            }
            SessionStep::TakeOwnIdentity => vec![self.take_own_identity()?],
            SessionStep::DropCapabilities => {
                capabilities::drop_all(plan.may_drop_bounding_set)?;
                vec![enforced(Layer::Capabilities, "none, in any set")]
            }
            SessionStep::ForbidNewPrivileges => {
                rustix::thread::set_no_new_privs(true)?;
                vec![enforced(Layer::NoNewPrivileges, "setuid programs gain nothing")]
            }
            SessionStep::JoinOwnKeyring => vec![join_own_keyring()?],
            SessionStep::RestrictFiles => {
                self.view = Some(View::open()?);
                let own = [&self.trees.workspace].into_iter().chain(&self.trees.scratch);
                files::restrict(plan.landlock_abi, plan.landlock_rules.iter().chain(own))?;
                vec![self.landlock()]
            }
            SessionStep::StandInForSignals => {
                sys::unbuffer_c_streams();
                sys::stand_in_for_default_actions()?;
                vec![]
            }
            SessionStep::FilterSystemCalls => {
                sys::install_seccomp(&plan.seccomp)?;
                vec![enforced(Layer::Seccomp, format!("allow-list of {} instructions", plan.seccomp.len()))]
            }
            SessionStep::CheckFromInside => {
                let view = self.view.take().ok_or_else(|| io::Error::other("nothing to check by"))?;
                check_from_inside(plan, view)?;
                match plan.namespaces {
                    SessionNamespaces::Own => vec![enforced(Layer::PidNamespace, "pid 1 of its own")],
                    SessionNamespaces::Shared => vec![],
                }
            }
        })
    }

    fn join_control_group(&self) -> io::Result<LayerStatus> {
        let group = match self.groups {
            GroupsPlan::Own(group) => group,
            GroupsPlan::None { why } => {
                let missing = format!("limits of the kernel's for the whole tree, {why}");
                let detail = "a watchdog adds up the memory of its processes".to_owned();
                return Ok(LayerStatus { layer: Layer::ControlGroup, state: State::Partial { missing }, detail });
            }
        };
        let entrances = self.descriptors.as_ref().map(|given| given.entrances.as_slice()).unwrap_or_default();
        if entrances.is_empty() {
            return Err(io::Error::other("the server gave no group to join"));
        }
        let GroupPlan { version, memory_bytes_max, processes_max, .. } = group;
        // With version 2 it was born there.
        if *version == Version::One {
            for entrance in entrances {
                rustix::io::write(entrance, b"0")?;
            }
        }
        let mib = memory_bytes_max >> 20;
        Ok(enforced(
            Layer::ControlGroup,
            format!("{mib} MiB of memory without swap, {processes_max} processes and threads"),
        ))
    }

    fn place_descriptors(&mut self) -> io::Result<()> {
        let Some(given) = &self.descriptors else { return Err(io::ErrorKind::NotConnected.into()) };
        let [requests, answers, values, code] = self.plan.channel_fds();
        let nothing = fs::OpenOptions::new().read(true).open("/dev/null")?;
        // The channel's numbers may be those of others here until these have moved out of the way.
        let moved = [&given.requests, &given.answers, &given.values, &given.code]
            .map(|fd| rustix::io::fcntl_dupfd_cloexec(fd, code + 1));
        sys::place_at(nothing.as_fd(), 0, true)?;
        sys::place_at(given.stdout.as_fd(), 1, true)?;
        sys::place_at(given.stderr.as_fd(), 2, true)?;
        for (number, fd) in [requests, answers, values, code].into_iter().zip(moved) {
            let fd = fd?;
            sys::place_at(fd.as_fd(), number, false)?;
            // Its number is closed with everything else that the nest had open.
            std::mem::forget(fd);
        }
        std::mem::forget((nothing, self.descriptors.take()));
        sys::close_range(3, requests.cast_unsigned() - 1)?;
        sys::close_range(code.cast_unsigned() + 1, u32::MAX)?;
        rustix::process::setsid()?;
        Ok(())
    }

    fn resource_limits(&self) -> LayerStatus {
        let limits = &self.plan.rlimits;
        let detail =
            format!("{} open files, {} MiB of data, no core dumps", limits.open_files_max, limits.data_bytes_max >> 20);
        let missing = "a limit of processes: the uid is shared, so the count would be everybody's".to_owned();
        match limits.processes_max {
            Some(count) => enforced(Layer::Rlimits, format!("{detail}, {count} processes and threads")),
            None => LayerStatus { layer: Layer::Rlimits, state: State::Partial { missing }, detail },
        }
    }

    fn take_own_identity(&self) -> io::Result<LayerStatus> {
        if self.plan.id_is_own {
            if self.plan.may_drop_bounding_set {
                capabilities::keep_over_identity()?;
            }
            identity::become_id(self.id)?;
            return Ok(enforced(Layer::Identity, "uid and gid of its own, no supplementary groups"));
        }
        let missing = "a uid of its own and the dropping of groups: the server does not run as root".to_owned();
        let detail = "the server's uid, without its rights".to_owned();
        Ok(LayerStatus { layer: Layer::Identity, state: State::Partial { missing }, detail })
    }

    fn landlock(&self) -> LayerStatus {
        let abi = self.plan.landlock_abi;
        let detail = format!("ABI {abi}, rights per tree");
        if abi >= files::ABI_SCOPES {
            return enforced(Layer::Landlock, detail + ", signals and abstract sockets scoped");
        }
        let missing =
            format!("scoping of signals and abstract sockets, which ABI {} brings (Linux 6.12)", files::ABI_SCOPES);
        LayerStatus { layer: Layer::Landlock, state: State::Partial { missing }, detail }
    }
}

fn join_own_keyring() -> io::Result<LayerStatus> {
    match sys::join_new_session_keyring() {
        Ok(()) => Ok(enforced(Layer::Keyring, "own session keyring")),
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => Ok(enforced(Layer::Keyring, "the kernel has none")),
        Err(error) => Err(error),
    }
}

/// The kernel's view of this process: opened before Landlock, which may leave no /proc to open.
struct View {
    status: fs::File,
    descriptors: OwnedFd,
}

impl View {
    fn open() -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            status: fs::File::open("/proc/self/status")?,
            descriptors: rustix::fs::open("/proc/self/fd", flags, Mode::empty())?,
        })
    }
}

/// Looks at this process as the kernel shows it: the last word on whether the wall stands.
fn check_from_inside(plan: &SessionPlan, mut view: View) -> io::Result<()> {
    let mut status = String::new();
    view.status.read_to_string(&mut status)?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap_or_default()
    };
    const NO_CAPABILITIES: &str = "0000000000000000";
    let pid = (plan.namespaces == SessionNamespaces::Own).then_some(("Pid", "1"));
    let bounding = plan.may_drop_bounding_set.then_some(("CapBnd", NO_CAPABILITIES));
    let wanted = [
        ("Threads", "1"),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
        ("CapInh", NO_CAPABILITIES),
        ("CapPrm", NO_CAPABILITIES),
        ("CapEff", NO_CAPABILITIES),
        ("CapAmb", NO_CAPABILITIES),
    ];
    for (name, value) in wanted.into_iter().chain(pid).chain(bounding) {
        let found = field(name);
        if found != value {
            return Err(io::Error::other(format!("{name} is {found:?} inside, not {value:?}")));
        }
    }
    if plan.id_is_own && !field("Groups").is_empty() {
        return Err(io::Error::other(format!("supplementary groups {} are left", field("Groups"))));
    }
    check_descriptors(plan.channel_fds(), view)
}

fn check_descriptors(channel: [RawFd; 4], View { status, descriptors }: View) -> io::Result<()> {
    let expected = [&[0, 1, 2][..], &channel, &[status.as_raw_fd(), descriptors.as_raw_fd()]].concat();
    // Without opening the folder anew.
    for entry in Dir::new(descriptors)? {
        let entry = entry?;
        let number = entry.file_name().to_str().ok().and_then(|name| name.parse::<RawFd>().ok());
        if let Some(stray) = number.filter(|number| !expected.contains(number)) {
            return Err(io::Error::other(format!("descriptor {stray} of the nest is left open")));
        }
    }
    Ok(())
}
