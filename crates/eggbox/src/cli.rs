//! The command line, and the only place that writes to the terminal.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand};
use eggbox_engine::{Checkpointing, Owner};
use eggbox_sandbox::cgroup::ControlGroups;
use eggbox_sandbox::policy::Isolation;
use eggbox_sandbox::steps::FailStep;
use eggbox_server::AllowedHost;

use crate::key_stanza::KeyStanza;
use crate::log::LogFormat;
use crate::setting;
use crate::top::Top;

/// Runs Python that nobody has reviewed, in sandboxed sessions, and answers over HTTP
#[derive(Debug, Parser)]
#[command(name = "eggbox", version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the HTTP interface until interrupted
    ///
    /// Prints the URL on standard output when it is ready and logs to standard error. SIGINT or SIGTERM lets running
    /// code finish for --shutdown-grace-seconds; a second one ends at once. SIGHUP ends the server and leaves its sessions
    /// to the next one with the same --state-dir, as does a server that is killed.
    ///
    /// An option goes before its variable, the variable before the file of --config, the file before the default.
    Serve(Options),
    /// Say what of the sandbox stands on this host, and how to mend what does not
    ///
    /// Starts a session exactly as serve would with the same options, and prints what that session found from the
    /// inside. Exits with status 0 if every layer stands, 1 if sessions do not start, and 3 if they do but a layer is
    /// absent, as with --isolation reduced.
    Doctor(Doctor),
    /// Make the keys that clients show themselves with
    Key {
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Move checkpoints from one server to another
    Checkpoint {
        #[command(subcommand)]
        command: CheckpointCommand,
    },
    /// Watch the sessions of a running server, and what they use
    ///
    /// Asks the server's HTTP interface again and again. On a terminal it shows a table that follows, most memory first:
    /// arrows and Page Up and Down move through it, q ends it. Where standard output is no terminal it prints the table
    /// once, as with --once.
    Top(Top),
}

#[derive(Debug, Subcommand)]
pub(crate) enum CheckpointCommand {
    /// Write a checkpoint to a file, with all that it needs
    ///
    /// It can be loaded by a server of the same build of eggbox with the same interpreter and libraries, on a host with the same
    /// kernel and processor: what differs is said by whoever loads it. Has the whole memory of a session in it, secrets
    /// included.
    Export(ExportCheckpoint),
    /// Take a checkpoint from such a file
    ///
    /// Under the name and the key that it had. A server that runs there finds it when it is asked for.
    Import(ImportCheckpoint),
}

#[derive(Debug, Args)]
pub(crate) struct ExportCheckpoint {
    /// Its name
    pub(crate) checkpoint: String,

    /// Whose it is, where the server has keys
    #[arg(long, value_name = "NAME", value_parser = |text: &str| Owner::try_from(text))]
    pub(crate) key: Option<Owner>,

    /// The file; standard output where it is left out
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// The server's own folder [default: /var/lib/eggbox as root]
    #[arg(long, env = "EGGBOX_STATE_DIR", hide_env_values = true, value_name = "PATH")]
    pub(crate) state_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ImportCheckpoint {
    /// The file; standard input where it is left out
    pub(crate) file: Option<PathBuf>,

    /// The server's own folder [default: /var/lib/eggbox as root]
    #[arg(long, env = "EGGBOX_STATE_DIR", hide_env_values = true, value_name = "PATH")]
    pub(crate) state_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Print a new key, and what goes into the configuration file for it
    ///
    /// The key is printed once and kept nowhere: give it to whoever is to use it. The server gets its hash alone, in the
    /// stanza that is printed below it, which goes into the file of --config. To replace a key, put the hash of a new one
    /// into its stanza: sessions belong to the name.
    New(NewKey),
}

#[derive(Debug, Args)]
pub(crate) struct NewKey {
    /// Whose key it is: 1 to 64 characters of A-Z a-z 0-9 _ -
    #[arg(value_parser = |text: &str| Owner::try_from(text))]
    pub(crate) name: Owner,

    // Each goes into the stanza as it is given.
    #[command(flatten, next_help_heading = "Limits (without one, that of the server holds)")]
    pub(crate) limits: KeyStanza,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) options: Options,
}

/// The value of `--checkpoints`, spelled as in the file.
fn checkpoints(text: &str) -> Result<Checkpointing, String> {
    serde_json::from_value(text.into()).map_err(|_| "must be off, on_idle or each".to_owned())
}

/// The value of `--isolation`, spelled as in the file.
fn isolation(text: &str) -> Result<Isolation, String> {
    serde_json::from_value(text.into()).map_err(|_| "must be strict or reduced".to_owned())
}

/// The value of `--control-groups`, spelled as in the file.
fn control_groups(text: &str) -> Result<ControlGroups, String> {
    serde_json::from_value(text.into()).map_err(|_| "must be auto, v1, v2 or off".to_owned())
}

/// The value of `--log-format`, spelled as in the file.
fn log_format(text: &str) -> Result<LogFormat, String> {
    serde_json::from_value(text.into()).map_err(|_| "must be text or json".to_owned())
}

/// Every setting, as an option or its variable gives it.
#[derive(Debug, Default, Args)]
pub(crate) struct Options {
    /// TOML file with any of these settings; see docs/configuration.md
    #[arg(long, env = "EGGBOX_CONFIG", hide_env_values = true, value_name = "FILE", help_heading = "Server")]
    pub(crate) config: Option<PathBuf>,

    /// Address and port to serve on; port 0 takes a free one [default: 127.0.0.1:5000]
    #[arg(long, env = "EGGBOX_LISTEN", hide_env_values = true, value_name = "ADDRESS:PORT", help_heading = "Server")]
    pub(crate) listen: Option<SocketAddr>,

    /// Allow an address that other machines can reach without keys, so that whoever reaches it runs code
    /// [default: false]
    #[arg(long, env = "EGGBOX_INSECURE", hide_env_values = true, value_name = "BOOL", help_heading = "Server",
        num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new(),
        hide_possible_values = true)]
    pub(crate) insecure: Option<bool>,

    /// Further names that clients may use in Host and Origin: `name` for any port or `name:port`, separated by
    /// commas [default: none beside localhost, 127.0.0.1, [::1] and the address served on]
    #[arg(long, env = "EGGBOX_ALLOWED_HOSTS", hide_env_values = true, value_name = "HOSTS", help_heading = "Server",
        value_parser = list::<AllowedHost>)]
    pub(crate) allowed_hosts: Option<List<AllowedHost>>,

    /// Folder for the server's own files, made if missing [default: /var/lib/eggbox as root, else
    /// $XDG_STATE_HOME/eggbox or ~/.local/state/eggbox]
    #[arg(long, env = "EGGBOX_STATE_DIR", hide_env_values = true, value_name = "DIR", help_heading = "Server")]
    pub(crate) state_dir: Option<PathBuf>,

    /// How much of the sandbox must stand: with `strict` every layer, or the server does not start; `reduced` does
    /// without namespaces and mounts, for hosts that refuse them, and says what is missing [default: strict]
    #[arg(long, env = "EGGBOX_ISOLATION", hide_env_values = true, value_name = "strict|reduced",
        help_heading = "Server", value_parser = isolation)]
    pub(crate) isolation: Option<Isolation>,

    /// Which control groups of the kernel limit sessions: `v1`, `v2`, `auto` for what the host has, or `off`, which leaves
    /// it to limits per process and a watchdog [default: auto]
    #[arg(long, env = "EGGBOX_CONTROL_GROUPS", hide_env_values = true, value_name = "auto|v1|v2|off",
        help_heading = "Server", value_parser = control_groups)]
    pub(crate) control_groups: Option<ControlGroups>,

    // For tests of what happens when the wall cannot be put up. It can only ever make a start fail.
    #[arg(long, hide = true)]
    pub(crate) fail_step: Option<FailStep>,

    /// What to log, as `level` or `target=level`, separated by commas; levels are error, warn, info, debug, trace
    /// [default: info]
    #[arg(long, env = "EGGBOX_LOG_FILTER", hide_env_values = true, value_name = "FILTER", help_heading = "Server")]
    pub(crate) log_filter: Option<String>,

    /// How a line of the log looks: `text` for people, or `json` [default: text]
    #[arg(long, env = "EGGBOX_LOG_FORMAT", hide_env_values = true, value_name = "text|json", help_heading = "Server",
        value_parser = log_format)]
    pub(crate) log_format: Option<LogFormat>,

    /// File that a line is appended to for everything that is run: when, in which session and by which request, with the
    /// digest of the code and never its text [default: none]
    #[arg(long, env = "EGGBOX_AUDIT_LOG", hide_env_values = true, value_name = "FILE", help_heading = "Server")]
    pub(crate) audit_log: Option<PathBuf>,

    /// How long running code may go on after a request to stop [default: 30]
    #[arg(long, env = "EGGBOX_SHUTDOWN_GRACE_SECONDS", hide_env_values = true, value_name = "SECONDS",
        help_heading = "Server", allow_hyphen_values = true,
        value_parser = |text: &str| setting::SHUTDOWN_GRACE.parse(text))]
    pub(crate) shutdown_grace_seconds: Option<Duration>,

    /// How long sessions outlive a server that was killed, for another one to take them over [default: 600]
    #[arg(long, env = "EGGBOX_ABANDONED_SECONDS_MAX", hide_env_values = true, value_name = "SECONDS",
        help_heading = "Server", allow_hyphen_values = true,
        value_parser = |text: &str| setting::ABANDONED.parse(text))]
    pub(crate) abandoned_seconds_max: Option<Duration>,

    /// The interpreter: a path, or a name to look up on PATH; CPython 3.9 or later, virtual environments too
    /// [default: python3]
    #[arg(long, env = "EGGBOX_PYTHON", hide_env_values = true, value_name = "PATH", help_heading = "Environment")]
    pub(crate) python: Option<PathBuf>,

    /// Modules that every session starts with already imported, separated by commas; '' for none [default: the data
    /// packages that the interpreter has]
    #[arg(long, env = "EGGBOX_PRELOAD", hide_env_values = true, value_name = "MODULES",
        help_heading = "Environment", value_parser = list::<String>)]
    pub(crate) preload: Option<List<String>>,

    /// How long the interpreter may take to start and import these [default: 120]
    #[arg(long, env = "EGGBOX_NEST_START_SECONDS_MAX", hide_env_values = true, value_name = "SECONDS",
        help_heading = "Environment", allow_hyphen_values = true,
        value_parser = |text: &str| setting::NEST_START.parse(text))]
    pub(crate) nest_start_seconds_max: Option<Duration>,

    /// Size of a request's body [default: 8388608]
    #[arg(long, env = "EGGBOX_BODY_BYTES_MAX", hide_env_values = true, value_name = "BYTES",
        help_heading = "Limits", allow_hyphen_values = true,
        value_parser = |text: &str| setting::BODY_BYTES_MAX.parse(text))]
    pub(crate) body_bytes_max: Option<u64>,

    /// Bodies of all requests under way together, beyond 64 KiB of each [default: 268435456]
    #[arg(long, env = "EGGBOX_BODIES_BYTES_MAX", hide_env_values = true, value_name = "BYTES",
        help_heading = "Limits", allow_hyphen_values = true,
        value_parser = |text: &str| setting::BODIES_BYTES_MAX.parse(text))]
    pub(crate) bodies_bytes_max: Option<u64>,

    /// Connections open at once; further ones wait [default: 1024]
    #[arg(long, env = "EGGBOX_CONNECTIONS_MAX", hide_env_values = true, value_name = "COUNT",
        help_heading = "Limits", allow_hyphen_values = true,
        value_parser = |text: &str| setting::CONNECTIONS_MAX.parse(text))]
    pub(crate) connections_max: Option<u64>,

    /// Sessions alive at once; a further one is answered 503 [default: 1024]
    #[arg(long, env = "EGGBOX_SESSIONS_MAX", hide_env_values = true, value_name = "COUNT",
        help_heading = "Limits", allow_hyphen_values = true,
        value_parser = |text: &str| setting::SESSIONS_MAX.parse(text))]
    pub(crate) sessions_max: Option<u64>,

    /// Sessions kept ready where nobody has asked for a new one for long; at most the next [default: 4]
    #[arg(long, env = "EGGBOX_PARKED_SESSIONS_MIN", hide_env_values = true, value_name = "COUNT",
        help_heading = "Limits", allow_hyphen_values = true,
        value_parser = |text: &str| setting::PARKED_SESSIONS_MIN.parse(text))]
    pub(crate) parked_sessions_min: Option<u64>,

    /// Sessions kept ready for those who ask for new ones, beside those in use; 0 for none [default: 32]
    #[arg(long, env = "EGGBOX_PARKED_SESSIONS_MAX", hide_env_values = true, value_name = "COUNT",
        help_heading = "Limits", allow_hyphen_values = true,
        value_parser = |text: &str| setting::PARKED_SESSIONS_MAX.parse(text))]
    pub(crate) parked_sessions_max: Option<u64>,

    /// Executions that run at once, in all sessions together; further ones wait for their turn [default: 256]
    #[arg(long, env = "EGGBOX_EXECUTIONS_MAX", hide_env_values = true, value_name = "COUNT",
        help_heading = "Limits", allow_hyphen_values = true,
        value_parser = |text: &str| setting::EXECUTIONS_MAX.parse(text))]
    pub(crate) executions_max: Option<u64>,

    /// Executions that may wait for one session; a further one is answered 503 [default: 16]
    #[arg(long, env = "EGGBOX_QUEUE_MAX", hide_env_values = true, value_name = "COUNT",
        help_heading = "Limits", allow_hyphen_values = true,
        value_parser = |text: &str| setting::QUEUE_MAX.parse(text))]
    pub(crate) queue_max: Option<u64>,

    /// Wall time of one execution; then it gets a KeyboardInterrupt [default: 30]
    #[arg(long, env = "EGGBOX_WALL_SECONDS_MAX", hide_env_values = true, value_name = "SECONDS",
        help_heading = "Limits", allow_hyphen_values = true,
        value_parser = |text: &str| setting::WALL.parse(text))]
    pub(crate) wall_seconds_max: Option<Duration>,

    /// CPU time of one execution, all its processes together; then it gets a KeyboardInterrupt [default: none beside wall time]
    #[arg(long, env = "EGGBOX_CPU_SECONDS_MAX", hide_env_values = true, value_name = "SECONDS",
        help_heading = "Limits", allow_hyphen_values = true,
        value_parser = |text: &str| setting::CPU.parse(text))]
    pub(crate) cpu_seconds_max: Option<Duration>,

    /// How long code may go on after its KeyboardInterrupt before its session is killed [default: 1]
    #[arg(long, env = "EGGBOX_INTERRUPT_GRACE_SECONDS", hide_env_values = true, value_name = "SECONDS",
        help_heading = "Limits", allow_hyphen_values = true,
        value_parser = |text: &str| setting::INTERRUPT_GRACE.parse(text))]
    pub(crate) interrupt_grace_seconds: Option<Duration>,

    /// Bytes kept of each of stdout and stderr of one execution; the rest is counted and dropped
    /// [default: 1048576]
    #[arg(long, env = "EGGBOX_OUTPUT_BYTES_MAX", hide_env_values = true, value_name = "BYTES",
        help_heading = "Limits", allow_hyphen_values = true,
        value_parser = |text: &str| setting::OUTPUT_BYTES_MAX.parse(text))]
    pub(crate) output_bytes_max: Option<u64>,

    /// Memory of one session, all its processes and files in memory together, without swap [default: 536870912]
    #[arg(long, env = "EGGBOX_MEMORY_BYTES_MAX", hide_env_values = true, value_name = "BYTES",
        help_heading = "Limits", allow_hyphen_values = true,
        value_parser = |text: &str| setting::MEMORY_BYTES_MAX.parse(text))]
    pub(crate) memory_bytes_max: Option<u64>,

    /// Size of a session's /workspace [default: 268435456]
    #[arg(long, env = "EGGBOX_WORKSPACE_BYTES_MAX", hide_env_values = true, value_name = "BYTES",
        help_heading = "Limits", allow_hyphen_values = true,
        value_parser = |text: &str| setting::WORKSPACE_BYTES_MAX.parse(text))]
    pub(crate) workspace_bytes_max: Option<u64>,

    /// Size of a session's /tmp, and of its /dev/shm [default: 67108864]
    #[arg(long, env = "EGGBOX_SCRATCH_BYTES_MAX", hide_env_values = true, value_name = "BYTES",
        help_heading = "Limits", allow_hyphen_values = true,
        value_parser = |text: &str| setting::SCRATCH_BYTES_MAX.parse(text))]
    pub(crate) scratch_bytes_max: Option<u64>,

    /// Files, folders and links in each of these [default: 16384]
    #[arg(long, env = "EGGBOX_FILES_MAX", hide_env_values = true, value_name = "COUNT",
        help_heading = "Limits", allow_hyphen_values = true,
        value_parser = |text: &str| setting::FILES_MAX.parse(text))]
    pub(crate) files_max: Option<u64>,

    /// Size of one file [default: 268435456]
    #[arg(long, env = "EGGBOX_FILE_BYTES_MAX", hide_env_values = true, value_name = "BYTES",
        help_heading = "Limits", allow_hyphen_values = true,
        value_parser = |text: &str| setting::FILE_BYTES_MAX.parse(text))]
    pub(crate) file_bytes_max: Option<u64>,

    /// Processes and threads of one session [default: 64]
    #[arg(long, env = "EGGBOX_PROCESSES_MAX", hide_env_values = true, value_name = "COUNT",
        help_heading = "Limits", allow_hyphen_values = true,
        value_parser = |text: &str| setting::PROCESSES_MAX.parse(text))]
    pub(crate) processes_max: Option<u64>,

    /// Files that one process may have open [default: 256]
    #[arg(long, env = "EGGBOX_OPEN_FILES_MAX", hide_env_values = true, value_name = "COUNT",
        help_heading = "Limits", allow_hyphen_values = true,
        value_parser = |text: &str| setting::OPEN_FILES_MAX.parse(text))]
    pub(crate) open_files_max: Option<u64>,

    /// Stack of a process's first thread [default: 8388608]
    #[arg(long, env = "EGGBOX_STACK_BYTES_MAX", hide_env_values = true, value_name = "BYTES",
        help_heading = "Limits", allow_hyphen_values = true,
        value_parser = |text: &str| setting::STACK_BYTES_MAX.parse(text))]
    pub(crate) stack_bytes_max: Option<u64>,

    /// How long a session that nobody uses is kept [default: 1800]
    #[arg(long, env = "EGGBOX_IDLE_SECONDS_MAX", hide_env_values = true, value_name = "SECONDS",
        help_heading = "Limits", allow_hyphen_values = true,
        value_parser = |text: &str| setting::IDLE.parse(text))]
    pub(crate) idle_seconds_max: Option<Duration>,

    /// How old a session may get [default: 86400]
    #[arg(long, env = "EGGBOX_LIFE_SECONDS_MAX", hide_env_values = true, value_name = "SECONDS",
        help_heading = "Limits", allow_hyphen_values = true,
        value_parser = |text: &str| setting::LIFE.parse(text))]
    pub(crate) life_seconds_max: Option<Duration>,

    /// Put a session on the disk, until somebody asks for it, once nobody has used it for this long [default: never]
    #[arg(long, env = "EGGBOX_HIBERNATE_SECONDS", hide_env_values = true, value_name = "SECONDS",
        help_heading = "Checkpoints", allow_hyphen_values = true,
        value_parser = |text: &str| setting::HIBERNATE.parse(text))]
    pub(crate) hibernate_seconds: Option<Duration>,

    /// Put those sessions on the disk that were used longest ago while the host has less memory to give than this [default:
    /// never]
    #[arg(long, env = "EGGBOX_HIBERNATE_AVAILABLE_BYTES", hide_env_values = true, value_name = "BYTES",
        help_heading = "Checkpoints", allow_hyphen_values = true,
        value_parser = |text: &str| setting::HIBERNATE_AVAILABLE_BYTES.parse(text))]
    pub(crate) hibernate_available_bytes: Option<u64>,

    /// Whether sessions take checkpoints by themselves: off, on_idle or each (before every execution, which is undone where it
    /// ends the interpreter); a request may say otherwise for its session [default: off]
    #[arg(long, env = "EGGBOX_CHECKPOINTS", hide_env_values = true, value_name = "WHEN",
        help_heading = "Checkpoints", value_parser = checkpoints)]
    pub(crate) checkpoints: Option<Checkpointing>,

    /// What checkpoints and hibernated sessions may take of the disk, beneath the state directory [default: 17179869184]
    #[arg(long, env = "EGGBOX_CHECKPOINTS_BYTES_MAX", hide_env_values = true, value_name = "BYTES",
        help_heading = "Checkpoints", allow_hyphen_values = true,
        value_parser = |text: &str| setting::CHECKPOINTS_BYTES_MAX.parse(text))]
    pub(crate) checkpoints_bytes_max: Option<u64>,

    /// How old a checkpoint may get; a hibernated session may get as old as any [default: 604800]
    #[arg(long, env = "EGGBOX_CHECKPOINT_SECONDS_MAX", hide_env_values = true, value_name = "SECONDS",
        help_heading = "Checkpoints", allow_hyphen_values = true,
        value_parser = |text: &str| setting::CHECKPOINT.parse(text))]
    pub(crate) checkpoint_seconds_max: Option<Duration>,
}

/// The values of one option, written with commas between them; a type of its own because clap takes a `Vec` for an
/// option that is repeated, and cannot tell an empty list from none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

fn list<T: std::str::FromStr>(text: &str) -> Result<List<T>, T::Err> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::parse).collect::<Result<_, _>>().map(List)
}

/// Writes `text` to standard output; whoever closed it does not want to read it.
pub(crate) fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    let _closed = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Writes an error and its causes to standard error.
pub(crate) fn complain(error: &anyhow::Error) {
    let _closed = writeln!(io::stderr(), "eggbox: {error:#}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn serve(arguments: &[&str]) -> Result<Options, String> {
        match Cli::try_parse_from(["eggbox", "serve"].iter().chain(arguments)) {
            Ok(Cli { command: Command::Serve(options) }) => Ok(options),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_number_outside_its_range_is_refused_by_name() {
        for arguments in [["--queue-max", "0"], ["--queue-max", "-1"], ["--queue-max", "99999999999999999999"]] {
            let error = serve(&arguments).unwrap_err();
            assert!(error.contains("--queue-max <COUNT>"), "{error}");
            assert!(error.contains("from 1 to 10000 (executions)"), "{error}");
        }
        for text in ["0", "-1", "NaN", "inf"] {
            let error = serve(&["--wall-seconds-max", text]).unwrap_err();
            assert!(error.contains("--wall-seconds-max <SECONDS>") && error.contains("from 0.01 to 86400"), "{error}");
        }
    }

    #[test]
    fn insecure_is_a_switch_that_can_be_turned_off() {
        for (arguments, expected) in [
            (vec![], None),
            (vec!["--insecure"], Some(true)),
            (vec!["--insecure=no"], Some(false)),
            (vec!["--insecure", "--listen", "[::1]:0"], Some(true)),
        ] {
            assert_eq!(serve(&arguments).unwrap().insecure, expected, "{arguments:?}");
        }
        assert!(serve(&["--insecure=maybe"]).is_err());
    }

    #[test]
    fn a_list_is_split_at_commas_and_may_be_empty() {
        let preload = |text| serve(&["--preload", text]).unwrap().preload.unwrap().0;
        assert_eq!(preload("numpy, pandas"), ["numpy", "pandas"]);
        assert!(preload("").is_empty());
        assert!(serve(&["--allowed-hosts", "eggs.example,a b"]).unwrap_err().contains("`a b` is not a host name"));
    }

    #[test]
    fn the_help_has_the_defaults_that_hold() {
        let help = |key: &str| {
            let mut command = Cli::command();
            let serve = command.find_subcommand_mut("serve").unwrap();
            let option = serve.get_arguments().find(|option| option.get_id() == key).unwrap();
            option.get_help().unwrap().to_string()
        };
        for count in setting::COUNTS {
            assert!(help(count.key).ends_with(&format!("[default: {}]", count.default)), "{}", count.key);
        }
        for span in setting::SPANS {
            assert!(help(span.key).ends_with(&format!("[default: {}]", span.default)), "{}", span.key);
        }
    }
}
