//! What an operator writes into the configuration file. An unknown key is refused by name; a missing one is left to
//! the default. Ranges are checked where the values are resolved.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use eggbox_engine::Checkpointing;
use eggbox_sandbox::cgroup::ControlGroups;
use eggbox_sandbox::policy::Isolation;
use eggbox_server::AllowedHost;
use serde::Deserialize;

use crate::key_stanza::KeyStanza;
use crate::log::LogFormat;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FileConfig {
    pub(crate) server: Server,
    pub(crate) environment: Environment,
    /// Others beside it, by their names.
    pub(crate) environments: BTreeMap<String, EnvironmentStanza>,
    pub(crate) limits: Limits,
    /// By their names, which are whose sessions are.
    pub(crate) keys: BTreeMap<String, KeyStanza>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) insecure: Option<bool>,
    pub(crate) allowed_hosts: Option<Vec<AllowedHost>>,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) isolation: Option<Isolation>,
    pub(crate) checkpoints: Option<Checkpointing>,
    pub(crate) control_groups: Option<ControlGroups>,
    pub(crate) log_filter: Option<String>,
    pub(crate) log_format: Option<LogFormat>,
    pub(crate) audit_log: Option<PathBuf>,
    pub(crate) shutdown_grace_seconds: Option<f64>,
    pub(crate) abandoned_seconds_max: Option<f64>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Environment {
    pub(crate) python: Option<PathBuf>,
    pub(crate) preload: Option<Vec<String>>,
    pub(crate) nest_start_seconds_max: Option<f64>,
}

/// `[environments.NAME]`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EnvironmentStanza {
    pub(crate) python: Option<PathBuf>,
    pub(crate) preload: Option<Vec<String>>,
    pub(crate) parked_sessions_min: Option<i64>,
    pub(crate) parked_sessions_max: Option<i64>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    pub(crate) body_bytes_max: Option<i64>,
    pub(crate) bodies_bytes_max: Option<i64>,
    pub(crate) connections_max: Option<i64>,
    pub(crate) sessions_max: Option<i64>,
    pub(crate) parked_sessions_min: Option<i64>,
    pub(crate) parked_sessions_max: Option<i64>,
    pub(crate) executions_max: Option<i64>,
    pub(crate) queue_max: Option<i64>,
    pub(crate) wall_seconds_max: Option<f64>,
    pub(crate) cpu_seconds_max: Option<f64>,
    pub(crate) interrupt_grace_seconds: Option<f64>,
    pub(crate) output_bytes_max: Option<i64>,
    pub(crate) memory_bytes_max: Option<i64>,
    pub(crate) workspace_bytes_max: Option<i64>,
    pub(crate) scratch_bytes_max: Option<i64>,
    pub(crate) files_max: Option<i64>,
    pub(crate) file_bytes_max: Option<i64>,
    pub(crate) processes_max: Option<i64>,
    pub(crate) open_files_max: Option<i64>,
    pub(crate) stack_bytes_max: Option<i64>,
    pub(crate) idle_seconds_max: Option<f64>,
    pub(crate) life_seconds_max: Option<f64>,
    pub(crate) hibernate_seconds: Option<f64>,
    pub(crate) hibernate_available_bytes: Option<i64>,
    pub(crate) checkpoints_bytes_max: Option<i64>,
    pub(crate) checkpoint_seconds_max: Option<f64>,
}

impl FileConfig {
    /// The configuration in `text`, with relative paths taken from `folder`, where the file is.
    pub(crate) fn parse(text: &str, folder: &Path) -> Result<Self, toml::de::Error> {
        let mut config: Self = toml::from_str(text)?;
        if let Some(state_dir) = &mut config.server.state_dir {
            *state_dir = folder.join(&state_dir);
        }
        if let Some(audit_log) = &mut config.server.audit_log {
            *audit_log = folder.join(&audit_log);
        }
        // A name without a slash is looked up on PATH.
        let of_others = config.environments.values_mut().map(|environment| &mut environment.python);
        for python in of_others.chain([&mut config.environment.python]).flatten() {
            if python.components().count() > 1 {
                *python = folder.join(&python);
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<FileConfig, String> {
        FileConfig::parse(text, Path::new("/etc/eggbox")).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_file_leaves_everything_to_the_defaults() {
        assert_eq!(parse(""), Ok(FileConfig::default()));
        assert_eq!(parse("[server]\n[environment]\n[limits]"), Ok(FileConfig::default()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, parts) in [
            ("[limit]", ["unknown field `limit`", "line 1"]),
            ("listen = '127.0.0.1:1'", ["unknown field `listen`", "line 1"]),
            ("[server]\nlissten = '127.0.0.1:1'", ["unknown field `lissten`", "line 2"]),
            ("[server]\nlisten = 'localhost:1'", ["socket address", "listen = 'localhost:1'"]),
            ("[server]\nallowed_hosts = ['a b']", ["`a b` is not a host name", "line 2"]),
            ("[limits]\nqueue_max = '16'", ["invalid type: string", "queue_max = '16'"]),
            ("[limits]\nqueue_max = 1.5", ["invalid type: floating point", "queue_max = 1.5"]),
            ("[keys.ann]\nwall_seconds_max = 3", ["unknown field `wall_seconds_max`", "line 2"]),
            ("[keys.ann]\n[keys.ann]", ["duplicate key", "line 2"]),
            ("[limits]\nqueue_max = 1\nqueue_max = 2", ["duplicate key", "line 3"]),
        ] {
            let error = parse(text).unwrap_err();
            assert!(parts.iter().all(|part| error.contains(part)), "{text}: {error}");
        }
    }

    #[test]
    fn a_path_is_taken_from_the_files_folder_and_a_bare_interpreter_from_path() {
        let paths = |python: &str| {
            let config = parse(&format!("[server]\nstate_dir = 'state'\n[environment]\npython = '{python}'")).unwrap();
            (config.server.state_dir.unwrap(), config.environment.python.unwrap())
        };
        assert_eq!(paths("python3"), ("/etc/eggbox/state".into(), "python3".into()));
        assert_eq!(paths("venv/bin/python").1, PathBuf::from("/etc/eggbox/venv/bin/python"));
        assert_eq!(paths("/usr/bin/python3").1, PathBuf::from("/usr/bin/python3"));
    }

    #[test]
    fn a_whole_number_of_seconds_needs_no_point() {
        assert_eq!(parse("[limits]\nwall_seconds_max = 5").unwrap().limits.wall_seconds_max, Some(5.0));
    }
}
