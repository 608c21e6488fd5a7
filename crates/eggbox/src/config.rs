//! What the program runs on: every setting resolved and checked. An option or its variable goes before the file, the
//! file before the default.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use eggbox_engine::{CheckpointLimits, EngineConfig, EnvironmentConfig, EnvironmentName, Hibernation, Limits, Preload};
use eggbox_sandbox::limits::SandboxLimits;
use eggbox_sandbox::policy::{Policy, PolicyError};
use eggbox_server::ServerConfig;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::cli::{List, Options};
use crate::file_config::{self, EnvironmentStanza, FileConfig};
use crate::log::LogFormat;
use crate::{key, key_stanza, nest, open_files, setting};

/// Each has an interpreter in memory, and sessions that are made ahead.
const ENVIRONMENTS_MAX: usize = 64;

#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) log_filter: String,
    pub(crate) log_format: LogFormat,
    /// Where to write down what is run, if anywhere.
    pub(crate) audit_log: Option<PathBuf>,
    pub(crate) shutdown_grace: Duration,
    pub(crate) server: ServerConfig,
    pub(crate) engine: EngineConfig,
}

/// What of the user who runs the program decides where its state goes.
#[derive(Debug, Default)]
pub(crate) struct User {
    pub(crate) is_root: bool,
    pub(crate) xdg_state_home: Option<PathBuf>,
    pub(crate) home: Option<PathBuf>,
    /// How many files its processes may have open; none for no limit.
    pub(crate) open_files_max: Option<u64>,
}

impl User {
    /// The one who runs this program.
    pub(crate) fn here() -> Self {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        Self {
            is_root: rustix::process::geteuid().is_root(),
            xdg_state_home: absolute("XDG_STATE_HOME"),
            home: absolute("HOME"),
            open_files_max: open_files::most(),
        }
    }
}

/// A setting that no program can run on. A number outside its range says so itself.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("{0}")]
    OutOfRange(String),
    #[error(
        "listen = {0}: other machines can reach that address, and without keys whoever reaches it runs code: make a key \
         by `eggbox key new`, listen on 127.0.0.1 or [::1], or accept it with --insecure"
    )]
    Exposed(SocketAddr),
    #[error("{0}")]
    Keys(String),
    #[error("environments: {0}")]
    Environments(String),
    #[error("preload: `{0}` is no module name such as numpy or os.path")]
    NotModule(String),
    #[error("log_filter = {0:?}: {1}")]
    LogFilter(String, String),
    #[error("python is empty: give a path, or a name to look up on PATH")]
    PythonEmpty,
    #[error("state_dir is empty: give a path")]
    StateDirEmpty,
    #[error(
        "there is no place for state_dir, as neither XDG_STATE_HOME nor HOME is an absolute path: give --state-dir"
    )]
    StateDirUnknown,
    #[error("the shipped policy of the wall is broken: {0}")]
    Policy(PolicyError),
}

impl Config {
    /// Reads the file that `options` name, if any, and the user's surroundings.
    pub(crate) fn load(options: Options) -> anyhow::Result<Self> {
        let file = match &options.config {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("failed to read the configuration file {}", path.display()))?;
                if let Some(line) = key::line_with_key(&text) {
                    anyhow::bail!(
                        "failed to parse the configuration file {}: line {line} has a key itself, which is nobody's \
                         to read: put its sha256 there, and make another key if somebody may have read it",
                        path.display()
                    );
                }
                let folder = path.parent().unwrap_or(Path::new(""));
                FileConfig::parse(&text, folder)
                    .with_context(|| format!("failed to parse the configuration file {}", path.display()))?
            }
            None => FileConfig::default(),
        };
        let place = match &options.config {
            Some(path) => format!("failed to configure, with the file {}", path.display()),
            None => "failed to configure".to_owned(),
        };
        let mut config = Self::resolve(options, file, User::here()).context(place)?;
        config.engine.state_dir =
            std::path::absolute(&config.engine.state_dir).context("failed to find the current folder")?;
        Ok(config)
    }

    fn resolve(options: Options, file: FileConfig, user: User) -> Result<Self, ConfigError> {
        let body_bytes_max = number(setting::BODY_BYTES_MAX, options.body_bytes_max, file.limits.body_bytes_max)?;
        let bodies_bytes_max: usize =
            number(setting::BODIES_BYTES_MAX, options.bodies_bytes_max, file.limits.bodies_bytes_max)?;
        let bodies_bytes_max = match options.bodies_bytes_max.is_some() || file.limits.bodies_bytes_max.is_some() {
            true if bodies_bytes_max < body_bytes_max => {
                return Err(ConfigError::OutOfRange(format!(
                    "bodies_bytes_max = {bodies_bytes_max}: give at least what one body may have (body_bytes_max = {body_bytes_max})"
                )));
            }
            _ => bodies_bytes_max.max(body_bytes_max),
        };
        let (limits, sandbox_limits) =
            (limits(&options, &file, body_bytes_max)?, sandbox_limits(&options, &file.limits)?);
        let environment = environment(&options, &file)?;
        let hibernation = Hibernation {
            idle: setting::HIBERNATE
                .resolve_if_given(options.hibernate_seconds, file.limits.hibernate_seconds)
                .map_err(ConfigError::OutOfRange)?,
            available_bytes_min: setting::HIBERNATE_AVAILABLE_BYTES
                .resolve_if_given(options.hibernate_available_bytes, file.limits.hibernate_available_bytes)
                .map_err(ConfigError::OutOfRange)?,
        };
        let is_sessions_max_given = options.sessions_max.is_some() || file.limits.sessions_max.is_some();
        let listen = options.listen.or(file.server.listen).unwrap_or((Ipv4Addr::LOCALHOST, 5000).into());
        let insecure = options.insecure.or(file.server.insecure).unwrap_or(false);
        if !insecure && file.keys.is_empty() && !listen.ip().to_canonical().is_loopback() {
            return Err(ConfigError::Exposed(listen));
        }
        let log_filter = options.log_filter.or(file.server.log_filter).unwrap_or_else(|| "info".to_owned());
        // A bare word that is no level would be taken for a target, and everything else be silenced.
        let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
        if let Some(word) = log_filter.split(',').map(str::trim).find(|word| !word.contains('=') && !is_level(word)) {
            let unknown = format!("`{word}` is no level: error, warn, info, debug, trace or off");
            return Err(ConfigError::LogFilter(log_filter.clone(), unknown));
        }
        if let Err(error) = EnvFilter::builder().parse(&log_filter) {
            return Err(ConfigError::LogFilter(log_filter, error.to_string()));
        }
        let allowed_hosts = options.allowed_hosts.map(|List(hosts)| hosts).or(file.server.allowed_hosts);
        let mut config = Self {
            listen,
            log_filter,
            log_format: options.log_format.or(file.server.log_format).unwrap_or_default(),
            audit_log: options.audit_log.or(file.server.audit_log),
            shutdown_grace: span(
                setting::SHUTDOWN_GRACE,
                options.shutdown_grace_seconds,
                file.server.shutdown_grace_seconds,
            )?,
            server: ServerConfig {
                body_bytes_max,
                bodies_bytes_max,
                connections_max: number(
                    setting::CONNECTIONS_MAX,
                    options.connections_max,
                    file.limits.connections_max,
                )?,
                allowed_hosts: allowed_hosts.unwrap_or_default(),
                keys: Vec::new(),
                ..ServerConfig::default()
            },
            engine: EngineConfig {
                sandbox_limits,
                limits,
                owners: BTreeMap::new(),
                state_dir: state_dir(options.state_dir.or(file.server.state_dir), &user)?,
                environments: environments(&file.environments, &environment)?,
                environment,
                isolation: options.isolation.or(file.server.isolation).unwrap_or_default(),
                control_groups: options.control_groups.or(file.server.control_groups).unwrap_or_default(),
                fail_step: options.fail_step,
                policy: Policy::shipped().map_err(ConfigError::Policy)?,
                checkpoints: CheckpointLimits {
                    bytes_max: number(
                        setting::CHECKPOINTS_BYTES_MAX,
                        options.checkpoints_bytes_max,
                        file.limits.checkpoints_bytes_max,
                    )?,
                    kept_max: span(
                        setting::CHECKPOINT,
                        options.checkpoint_seconds_max,
                        file.limits.checkpoint_seconds_max,
                    )?,
                },
                checkpointing: options.checkpoints.or(file.server.checkpoints).unwrap_or_default(),
                hibernation,
                build: nest::build(),
            },
        };
        if !is_sessions_max_given {
            let fit = user.open_files_max.map(|open_files| {
                open_files::sessions(open_files, config.engine.parked_max(), config.server.connections_max)
            });
            let sessions_max = &mut config.engine.limits.sessions_max;
            // Where not one fits, the start is refused by the number of files that the usual ones need.
            *sessions_max = fit.filter(|fit| *fit > 0).map_or(*sessions_max, |fit| fit.min(*sessions_max));
        }
        (config.server.keys, config.engine.owners) =
            key_stanza::resolve(&file.keys, &config.engine).map_err(ConfigError::Keys)?;
        Ok(config)
    }
}

/// A number, in the type that the engine has for it.
fn number<T: TryFrom<u64>>(setting: setting::Count, option: Option<u64>, file: Option<i64>) -> Result<T, ConfigError> {
    let key = setting.key;
    let value = setting.resolve(option, file).map_err(ConfigError::OutOfRange)?;
    T::try_from(value).map_err(|_| ConfigError::OutOfRange(format!("{key} = {value}: it is too much for this machine")))
}

fn span(setting: setting::Seconds, option: Option<Duration>, file: Option<f64>) -> Result<Duration, ConfigError> {
    setting.resolve(option, file).map_err(ConfigError::OutOfRange)
}

fn limits(options: &Options, file: &FileConfig, body_bytes_max: usize) -> Result<Limits, ConfigError> {
    let FileConfig { limits: file, environment, server, environments: _, keys: _ } = file;
    let cpu_max = setting::CPU.resolve_if_given(options.cpu_seconds_max, file.cpu_seconds_max);
    Ok(Limits {
        sessions_max: number(setting::SESSIONS_MAX, options.sessions_max, file.sessions_max)?,
        executions_max: number(setting::EXECUTIONS_MAX, options.executions_max, file.executions_max)?,
        queue_max: number(setting::QUEUE_MAX, options.queue_max, file.queue_max)?,
        // Code is a part of a body.
        code_bytes_max: body_bytes_max,
        wall_max: span(setting::WALL, options.wall_seconds_max, file.wall_seconds_max)?,
        cpu_max: cpu_max.map_err(ConfigError::OutOfRange)?,
        interrupt_grace: span(setting::INTERRUPT_GRACE, options.interrupt_grace_seconds, file.interrupt_grace_seconds)?,
        output_bytes_max: number(setting::OUTPUT_BYTES_MAX, options.output_bytes_max, file.output_bytes_max)?,
        idle_max: span(setting::IDLE, options.idle_seconds_max, file.idle_seconds_max)?,
        life_max: span(setting::LIFE, options.life_seconds_max, file.life_seconds_max)?,
        nest_start_max: span(setting::NEST_START, options.nest_start_seconds_max, environment.nest_start_seconds_max)?,
        abandoned_max: span(setting::ABANDONED, options.abandoned_seconds_max, server.abandoned_seconds_max)?,
    })
}

fn sandbox_limits(options: &Options, file: &file_config::Limits) -> Result<SandboxLimits, ConfigError> {
    Ok(SandboxLimits {
        memory_bytes_max: number(setting::MEMORY_BYTES_MAX, options.memory_bytes_max, file.memory_bytes_max)?,
        workspace_bytes_max: number(
            setting::WORKSPACE_BYTES_MAX,
            options.workspace_bytes_max,
            file.workspace_bytes_max,
        )?,
        scratch_bytes_max: number(setting::SCRATCH_BYTES_MAX, options.scratch_bytes_max, file.scratch_bytes_max)?,
        files_max: number(setting::FILES_MAX, options.files_max, file.files_max)?,
        file_bytes_max: number(setting::FILE_BYTES_MAX, options.file_bytes_max, file.file_bytes_max)?,
        processes_max: number(setting::PROCESSES_MAX, options.processes_max, file.processes_max)?,
        open_files_max: number(setting::OPEN_FILES_MAX, options.open_files_max, file.open_files_max)?,
        stack_bytes_max: number(setting::STACK_BYTES_MAX, options.stack_bytes_max, file.stack_bytes_max)?,
    })
}

/// The one that every server has.
fn environment(options: &Options, file: &FileConfig) -> Result<EnvironmentConfig, ConfigError> {
    let python = options.python.clone().or_else(|| file.environment.python.clone());
    let preloaded = options.preload.clone().map(|List(modules)| modules);
    let limits = &file.limits;
    let (parked_min, parked_max) = parked(
        (options.parked_sessions_min, limits.parked_sessions_min),
        (options.parked_sessions_max, limits.parked_sessions_max),
        options.parked_sessions_min.is_some() || limits.parked_sessions_min.is_some(),
    )?;
    Ok(EnvironmentConfig {
        python: checked_python(python.unwrap_or_else(|| "python3".into()))?,
        preload: preload(preloaded.or_else(|| file.environment.preload.clone()))?,
        parked_min,
        parked_max,
    })
}

/// The others. What one does not say is as `usual` has it, but for what is imported, which depends on the interpreter.
fn environments(
    stanzas: &BTreeMap<String, EnvironmentStanza>,
    usual: &EnvironmentConfig,
) -> Result<BTreeMap<EnvironmentName, EnvironmentConfig>, ConfigError> {
    if stanzas.len() > ENVIRONMENTS_MAX {
        let count = stanzas.len();
        let error = format!("there are {count} beside `default`, and a server may have {ENVIRONMENTS_MAX}");
        return Err(ConfigError::Environments(error));
    }
    let one = |(name, stanza): (&String, &EnvironmentStanza)| {
        let EnvironmentStanza { python, preload: modules, parked_sessions_min, parked_sessions_max } = stanza;
        let key = EnvironmentName::try_from(name.as_str())
            .map_err(|error| ConfigError::Environments(format!("{name:?}: {error}")))?;
        if key.is_default() {
            return Err(ConfigError::Environments("`default` is what [environment] describes: name another".into()));
        }
        let of_this = |error: ConfigError| ConfigError::Environments(format!("{name}.{error}"));
        let (parked_min, parked_max) = parked(
            (Some(u64::from(usual.parked_min)).filter(|_| parked_sessions_min.is_none()), *parked_sessions_min),
            (Some(u64::from(usual.parked_max)).filter(|_| parked_sessions_max.is_none()), *parked_sessions_max),
            parked_sessions_min.is_some(),
        )
        .map_err(of_this)?;
        let environment = EnvironmentConfig {
            python: checked_python(python.clone().unwrap_or_else(|| usual.python.clone())).map_err(of_this)?,
            preload: preload(modules.clone()).map_err(of_this)?,
            parked_min,
            parked_max,
        };
        Ok((key, environment))
    };
    stanzas.iter().map(one).collect()
}

/// How many sessions are kept ready at least and at most; each is given by an option or a file. A least that nobody has given is
/// no more than the most.
fn parked(
    least: (Option<u64>, Option<i64>),
    most: (Option<u64>, Option<i64>),
    is_min_given: bool,
) -> Result<(u32, u32), ConfigError> {
    let parked_min = number(setting::PARKED_SESSIONS_MIN, least.0, least.1)?;
    let parked_max = number(setting::PARKED_SESSIONS_MAX, most.0, most.1)?;
    if is_min_given && parked_min > parked_max {
        let both = format!("parked_sessions_min = {parked_min}: lower it, or raise parked_sessions_max = {parked_max}");
        return Err(ConfigError::OutOfRange(both));
    }
    Ok((parked_min, parked_max))
}

fn checked_python(python: PathBuf) -> Result<PathBuf, ConfigError> {
    if python.as_os_str().is_empty() { Err(ConfigError::PythonEmpty) } else { Ok(python) }
}

fn preload(given: Option<Vec<String>>) -> Result<Preload, ConfigError> {
    let Some(modules) = given else {
        return Ok(Preload::Available);
    };
    let is_identifier = |part: &str| {
        !part.starts_with(|first: char| first.is_ascii_digit())
            && !part.is_empty()
            && part.chars().all(|character| character.is_alphanumeric() || character == '_')
    };
    match modules.iter().find(|module| !module.split('.').all(is_identifier)) {
        Some(module) => Err(ConfigError::NotModule(module.clone())),
        None => Ok(Preload::Named(modules)),
    }
}

pub(crate) fn state_dir(given: Option<PathBuf>, user: &User) -> Result<PathBuf, ConfigError> {
    match (given, user) {
        (Some(given), _) if given.as_os_str().is_empty() => Err(ConfigError::StateDirEmpty),
        (Some(given), _) => Ok(given),
        (None, User { is_root: true, .. }) => Ok("/var/lib/eggbox".into()),
        (None, User { xdg_state_home: Some(state), .. }) => Ok(state.join("eggbox")),
        (None, User { home: Some(home), .. }) => Ok(home.join(".local/state/eggbox")),
        (None, _) => Err(ConfigError::StateDirUnknown),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::cli::{Cli, Command};

    fn resolve(arguments: &[&str], file: &str) -> Result<Config, ConfigError> {
        let cli = Cli::try_parse_from(["eggbox", "serve"].iter().chain(arguments)).unwrap();
        let Command::Serve(options) = cli.command else { panic!("serve parses as serve") };
        let file = FileConfig::parse(file, Path::new("/etc")).unwrap();
        Config::resolve(options, file, User { is_root: true, ..User::default() })
    }

    #[test]
    fn an_option_goes_before_the_file() {
        let file = "[server]\nlisten = '127.0.0.1:1'\n[limits]\nqueue_max = 2\nwall_seconds_max = 0.5";
        let config = resolve(&["--queue-max", "3", "--listen", "[::1]:4"], file).unwrap();
        assert_eq!(config.listen, "[::1]:4".parse().unwrap());
        assert_eq!(config.engine.limits.queue_max, 3);
        assert_eq!(config.engine.limits.wall_max, Duration::from_millis(500));
        assert_eq!(config.engine.limits.sessions_max, 1024);
    }

    #[test]
    fn an_address_that_others_reach_needs_insecure() {
        for listen in ["0.0.0.0:5000", "[::]:5000", "192.0.2.1:5000", "[::ffff:192.0.2.1]:5000"] {
            let error = resolve(&["--listen", listen], "").unwrap_err();
            assert_eq!(error, ConfigError::Exposed(listen.parse().unwrap()));
            assert!(resolve(&["--listen", listen, "--insecure"], "").is_ok());
            assert!(resolve(&["--listen", listen], "[server]\ninsecure = true").is_ok());
            assert!(resolve(&["--listen", listen, "--insecure=false"], "[server]\ninsecure = true").is_err());
            assert!(resolve(&["--listen", listen], &stanza("ann", 1, "")).is_ok());
        }
        for listen in ["127.0.0.1:0", "127.8.8.8:1", "[::1]:65535", "[::ffff:127.0.0.1]:1"] {
            assert!(resolve(&["--listen", listen], "").is_ok(), "{listen}");
        }
    }

    /// With a hash of the same digit all along.
    fn stanza(name: &str, digit: u8, rest: &str) -> String {
        format!("[keys.{name}]\nsha256 = '{}'\n{rest}\n", digit.to_string().repeat(64))
    }

    #[test]
    fn a_key_has_an_owner_for_its_sessions_and_less_of_the_operators_limits() {
        let file = stanza("ann", 1, "sessions_max = 3\nmemory_bytes = 100000000") + &stanza("bob", 2, "");
        let config = resolve(&["--memory-bytes-max", "100000000"], &file).unwrap();
        let names: Vec<_> = config.server.keys.iter().map(|key| key.owner.as_str()).collect();
        assert_eq!(names, ["ann", "bob"]);
        let [ann, bob] = ["ann", "bob"].map(|name| &config.engine.owners[&name.try_into().unwrap()]);
        assert_eq!((ann.sessions_max, ann.of_session.memory_bytes_max), (Some(3), Some(100_000_000)));
        assert_eq!(*bob, eggbox_engine::OwnerLimits::default());
    }

    #[test]
    fn what_is_wrong_with_a_key_is_named() {
        for (file, error) in [
            ("[keys.ann]", "keys.ann.sha256 is missing: `eggbox key new` prints it"),
            (
                "[keys.ann]\nsha256 = 'aa'",
                "keys.ann.sha256 must be 64 digits of 0-9 a-f, as `eggbox key new` prints them",
            ),
            (&stanza("'a b'", 1, ""), "keys.\"a b\": a name must be 1 to 64 characters of A-Z a-z 0-9 _ -"),
            (
                &(stanza("ann", 1, "") + &stanza("bob", 1, "")),
                "keys.bob.sha256 is that of keys.ann too: make another by `eggbox key new`",
            ),
            (
                &stanza("ann", 1, "memory_bytes = 536870913"),
                "keys.ann.memory_bytes = 536870913: it must be a whole number from 33554432 to 536870912 (bytes); \
                 the server's own limit is the most",
            ),
            (
                &stanza("ann", 1, "rate_per_minute = 0"),
                "keys.ann.rate_per_minute = 0: it must be a whole number from 1 to 1000000 (requests)",
            ),
            (
                &stanza("ann", 1, "sessions_max = 0"),
                "keys.ann.sessions_max = 0: it must be a whole number from 1 to 1024 (sessions); the server's own limit is the most",
            ),
            (
                &stanza("ann", 1, "wall_seconds = 31"),
                "keys.ann.wall_seconds = 31: it must be a number from 0.01 to 30 (seconds); the server's own limit is the most",
            ),
        ] {
            assert_eq!(resolve(&[], file).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn a_setting_of_the_file_outside_its_range_is_refused_by_name() {
        for section_keys in [
            ("limits", setting::COUNTS.map(|count| if count.least > 0 { count.key } else { "queue_max" }).as_slice()),
            (
                "limits",
                &[
                    "wall_seconds_max",
                    "cpu_seconds_max",
                    "interrupt_grace_seconds",
                    "idle_seconds_max",
                    "life_seconds_max",
                ],
            ),
            ("server", &["shutdown_grace_seconds", "abandoned_seconds_max"]),
            ("environment", &["nest_start_seconds_max"]),
        ] {
            let (section, keys) = section_keys;
            for (key, value) in keys.iter().flat_map(|key| ["0", "-1", "9007199254740993"].map(|value| (key, value))) {
                let error = resolve(&[], &format!("[{section}]\n{key} = {value}")).unwrap_err().to_string();
                assert!(error.starts_with(&format!("{key} = ")) && error.contains(" from "), "{error}");
            }
        }
        assert!(resolve(&[], "[limits]\nwall_seconds_max = nan").is_err());
        assert!(resolve(&[], "[limits]\nwall_seconds_max = inf").is_err());
    }

    #[test]
    fn modules_paths_and_filters_are_checked() {
        let preload = |text| resolve(&["--preload", text], "").map(|config| config.engine.environment.preload);
        assert_eq!(preload(""), Ok(Preload::Named(vec![])));
        assert_eq!(preload("numpy,os.path"), Ok(Preload::Named(vec!["numpy".into(), "os.path".into()])));
        for text in ["os;x", "a b", ".a", "a..b", "1a", "a-b"] {
            assert_eq!(preload(text), Err(ConfigError::NotModule(text.to_owned())));
        }
        assert_eq!(resolve(&[], "").unwrap().engine.environment.preload, Preload::Available);
        assert_eq!(resolve(&[], "[environment]\npython = ''").unwrap_err(), ConfigError::PythonEmpty);
        assert!(matches!(resolve(&["--log-filter", "a=b=c"], ""), Err(ConfigError::LogFilter(..))));
    }

    #[test]
    fn state_goes_where_the_user_may_write() {
        let user = |is_root, state: Option<&str>, home: Option<&str>| User {
            is_root,
            xdg_state_home: state.map(PathBuf::from),
            home: home.map(PathBuf::from),
            ..User::default()
        };
        for (user, expected) in [
            (user(true, Some("/s"), Some("/root")), Ok("/var/lib/eggbox")),
            (user(false, Some("/s"), Some("/h")), Ok("/s/eggbox")),
            (user(false, None, Some("/h")), Ok("/h/.local/state/eggbox")),
            (user(false, None, None), Err(ConfigError::StateDirUnknown)),
        ] {
            assert_eq!(state_dir(None, &user), expected.map(PathBuf::from));
        }
        assert_eq!(state_dir(Some("/x".into()), &User::default()), Ok("/x".into()));
    }

    #[test]
    fn an_environment_has_as_many_ready_as_all_unless_it_says_otherwise() {
        let parked = |arguments: &[&str], stanza: &str| {
            let config = resolve(arguments, &format!("[environments.lean]\n{stanza}"))?;
            let EnvironmentConfig { parked_min, parked_max, .. } =
                config.engine.environments[&"lean".try_into().unwrap()];
            Ok::<_, ConfigError>((parked_min, parked_max))
        };
        assert_eq!(parked(&[], ""), Ok((4, 32)));
        assert_eq!(parked(&["--parked-sessions-max", "7"], ""), Ok((4, 7)));
        assert_eq!(parked(&["--parked-sessions-max", "0"], ""), Ok((4, 0)));
        assert_eq!(parked(&[], "parked_sessions_max = 2"), Ok((4, 2)));
        assert_eq!(parked(&[], "parked_sessions_min = 1\nparked_sessions_max = 2"), Ok((1, 2)));
        assert!(parked(&["--parked-sessions-max", "0"], "parked_sessions_min = 1").is_err());
    }

    #[test]
    fn there_are_as_many_sessions_as_open_files_allow_unless_it_is_said_how_many() {
        let sessions_max = |arguments: &[&str], open_files_max| {
            let cli = Cli::try_parse_from(["eggbox", "serve"].iter().chain(arguments)).unwrap();
            let Command::Serve(options) = cli.command else { panic!("serve parses as serve") };
            let user = User { is_root: true, open_files_max, ..User::default() };
            Config::resolve(options, FileConfig::default(), user).unwrap().engine.limits.sessions_max
        };
        assert_eq!(sessions_max(&[], None), 1024);
        assert_eq!(sessions_max(&[], Some(1 << 20)), 1024);
        assert_eq!(sessions_max(&[], Some(4096)), (4096 - 1024 - 768 - 32 * 14) / 18);
        assert_eq!(sessions_max(&["--sessions-max", "500"], Some(4096)), 500);
        // Refused at the start.
        assert_eq!(sessions_max(&[], Some(1024)), 1024);
    }

    const REFERENCE: &str = include_str!("../../../docs/configuration.md");

    #[test]
    fn the_reference_has_every_option_variable_and_key() {
        let mut command = Cli::command();
        let serve = command.find_subcommand_mut("serve").unwrap();
        for option in serve.get_arguments().filter(|option| option.get_env().is_some()) {
            let key = option.get_id().as_str();
            let flag = option.get_long().unwrap();
            let variable = option.get_env().unwrap().to_str().unwrap();
            assert_eq!(flag, key.replace('_', "-"));
            assert_eq!(variable, format!("EGGBOX_{}", key.to_ascii_uppercase()));
            assert!(REFERENCE.contains(&format!("| `{key}` | `--{flag}` | `{variable}` |")), "{key}");
        }
    }

    #[test]
    fn the_reference_has_every_range_and_default() {
        let row = |key: &str| REFERENCE.lines().find(|line| line.starts_with(&format!("| `{key}` |"))).unwrap();
        for setting::Count { key, unit, default, least, most } in setting::COUNTS {
            let cells = format!("| {unit}, {least} to {most} | {default} |");
            assert!(row(key).contains(&cells), "{key}: {cells}");
        }
        for setting::Seconds { key, default, least, most } in setting::SPANS {
            let cells = format!("| seconds, {least} to {most} | {default} |");
            assert!(row(key).contains(&cells), "{key}: {cells}");
        }
    }

    #[test]
    fn the_example_in_the_reference_is_the_defaults() {
        let example = REFERENCE.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let (example, default) = (resolve(&[], example).unwrap(), resolve(&[], "").unwrap());
        assert_eq!(format!("{example:?}"), format!("{default:?}"));
    }
}
