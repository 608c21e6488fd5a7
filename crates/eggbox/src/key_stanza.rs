//! What stands of a key in the configuration file: its hash, and what its sessions have less of than the operator lets
//! everybody have. A value outside its range is refused by name, as is more than the operator's.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;
use eggbox_engine::{AskedLimits, EngineConfig, EnvironmentName, Owner, OwnerLimits, ranges};
use eggbox_server::{KEYS_MAX, KeyConfig, KeyHash};
use serde::Deserialize;

use crate::setting::{self, Count, Seconds};

/// Requests a minute.
const RATE: [u64; 2] = [1, 1_000_000];

/// `[keys.NAME]`. What is left out is as it is for everybody.
#[derive(Debug, Default, Clone, PartialEq, Deserialize, Args)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct KeyStanza {
    #[arg(skip)]
    pub(crate) sha256: Option<String>,
    /// Let it read /metrics, which tell of what everybody does
    #[arg(long, help_heading = "Rights")]
    pub(crate) metrics: bool,
    /// Environments that its sessions may be of, with commas between them; the first is theirs unless they ask for another
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = "Rights")]
    pub(crate) environments: Option<Vec<String>>,
    /// Sessions alive at once
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    pub(crate) sessions_max: Option<i64>,
    /// Executions that run at once, in all its sessions together; further ones wait for their turn
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    pub(crate) executions_max: Option<i64>,
    /// Requests a minute, so many at once after a minute without any; a further one is answered 429
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    pub(crate) rate_per_minute: Option<i64>,
    /// Wall time of one execution
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    pub(crate) wall_seconds: Option<f64>,
    /// CPU time of one execution, all its processes together
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    pub(crate) cpu_seconds: Option<f64>,
    /// Memory of one session
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub(crate) memory_bytes: Option<i64>,
    /// Processes and threads of one session
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    pub(crate) processes: Option<i64>,
    /// Bytes kept of each of stdout and stderr of one execution
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub(crate) output_bytes: Option<i64>,
    /// How long a session that nobody uses is kept
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    pub(crate) idle_seconds: Option<f64>,
    /// How old a session may get
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    pub(crate) ttl_seconds: Option<f64>,
}

/// The limits of a stanza, checked.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct KeyLimits {
    pub(crate) rate_per_minute: Option<NonZeroU32>,
    pub(crate) of_owner: OwnerLimits,
}

/// The most that a stanza may give: the operator's own limits, or where those are not known the most there can be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Most<'a>(pub(crate) Option<&'a EngineConfig>);

impl Most<'_> {
    fn count(
        self,
        (key, unit): (&'static str, &'static str),
        value: Option<i64>,
        [least, most]: [u64; 2],
        operators: impl Fn(&EngineConfig) -> u64,
    ) -> Result<Option<u64>, String> {
        let most = self.0.map_or(most, operators);
        let setting = Count { key, unit, default: most, least, most };
        value.map(|value| setting.resolve(None, Some(value))).transpose().map_err(|error| self.explain(error))
    }

    fn span(
        self,
        key: &'static str,
        value: Option<f64>,
        [least, most]: [f64; 2],
        operators: impl Fn(&EngineConfig) -> Option<Duration>,
    ) -> Result<Option<Duration>, String> {
        let most = self.0.and_then(operators).map_or(most, |span| span.as_secs_f64());
        Seconds { key, default: most, least, most }.resolve_if_given(None, value).map_err(|error| self.explain(error))
    }

    fn explain(self, error: String) -> String {
        if self.0.is_some() { format!("{error}; the server's own limit is the most") } else { error }
    }
}

impl KeyStanza {
    /// Its limits, within `most`.
    pub(crate) fn limits(&self, most: Most<'_>) -> Result<KeyLimits, String> {
        let [sessions, executions] =
            [setting::SESSIONS_MAX, setting::EXECUTIONS_MAX].map(|Count { least, most, .. }| [least, most]);
        let sessions_max =
            most.count(("sessions_max", "sessions"), self.sessions_max, sessions, |of| of.limits.sessions_max.into())?;
        let executions_max = most.count(("executions_max", "executions"), self.executions_max, executions, |of| {
            of.limits.executions_max as u64
        })?;
        let rate = Most(None).count(("rate_per_minute", "requests"), self.rate_per_minute, RATE, |_| 0)?;
        Ok(KeyLimits {
            // All of these are within ranges that their types have room for.
            rate_per_minute: rate.and_then(|rate| NonZeroU32::new(u32::try_from(rate).ok()?)),
            of_owner: OwnerLimits {
                sessions_max: sessions_max.and_then(|count| u32::try_from(count).ok()),
                executions_max: executions_max.and_then(|count| usize::try_from(count).ok()),
                of_session: self.limits_of_session(most)?,
                environments: self.environments(most)?,
            },
        })
    }

    fn limits_of_session(&self, most: Most<'_>) -> Result<AskedLimits, String> {
        let processes = most.count(("processes", "processes"), self.processes, ranges::PROCESSES, |of| {
            of.sandbox_limits.processes_max.into()
        })?;
        let output_bytes = most.count(("output_bytes", "bytes"), self.output_bytes, ranges::OUTPUT_BYTES, |of| {
            of.limits.output_bytes_max as u64
        })?;
        Ok(AskedLimits {
            wall_max: most
                .span("wall_seconds", self.wall_seconds, ranges::WALL_SECONDS, |of| Some(of.limits.wall_max))?,
            cpu_max: most.span("cpu_seconds", self.cpu_seconds, ranges::CPU_SECONDS, |of| of.limits.cpu_max)?,
            memory_bytes_max: most.count(("memory_bytes", "bytes"), self.memory_bytes, ranges::MEMORY_BYTES, |of| {
                of.sandbox_limits.memory_bytes_max
            })?,
            processes_max: processes.and_then(|count| u32::try_from(count).ok()),
            output_bytes_max: output_bytes.and_then(|count| usize::try_from(count).ok()),
            idle_max: most
                .span("idle_seconds", self.idle_seconds, ranges::IDLE_SECONDS, |of| Some(of.limits.idle_max))?,
            life_max: most
                .span("ttl_seconds", self.ttl_seconds, ranges::LIFE_SECONDS, |of| Some(of.limits.life_max))?,
        })
    }

    /// Every name once, of those that `most` has where they are known.
    fn environments(&self, Most(most): Most<'_>) -> Result<Vec<EnvironmentName>, String> {
        let Some(names) = &self.environments else { return Ok(Vec::new()) };
        if names.is_empty() {
            return Err("environments is empty: name at least one, or leave it out for all of them".to_owned());
        }
        let mut environments = Vec::new();
        for name in names {
            let refused = |why: String| format!("environments = {name:?}: {why}");
            let environment = EnvironmentName::try_from(name.as_str()).map_err(|error| refused(error.to_string()))?;
            let known = most.map(|engine| engine.each_environment().map(|(name, _)| name).collect::<Vec<_>>());
            if let Some(known) = known.filter(|known| !known.contains(&environment)) {
                let known: Vec<_> = known.iter().map(EnvironmentName::as_str).collect();
                return Err(refused(format!("there is none of that name; there are: {}", known.join(", "))));
            }
            if environments.contains(&environment) {
                return Err(refused("it is there twice".to_owned()));
            }
            environments.push(environment);
        }
        Ok(environments)
    }

    fn hash(&self) -> Result<KeyHash, String> {
        let text = self.sha256.as_deref().ok_or("sha256 is missing: `eggbox key new` prints it")?;
        text.parse().map_err(|error| format!("sha256 {error}"))
    }
}

/// Every key of a file, for the server and for the engine, which has the limits of `engine` in all.
pub(crate) fn resolve(
    stanzas: &BTreeMap<String, KeyStanza>,
    engine: &EngineConfig,
) -> Result<(Vec<KeyConfig>, BTreeMap<Owner, OwnerLimits>), String> {
    if stanzas.len() > KEYS_MAX {
        return Err(format!("keys: there are {}, and a server may have {KEYS_MAX}", stanzas.len()));
    }
    let (mut keys, mut owners, mut names) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for (name, stanza) in stanzas {
        let owner = Owner::try_from(name.as_str()).map_err(|error| format!("keys.{name:?}: {error}"))?;
        let named = |error: String| format!("keys.{name}.{error}");
        let hash = stanza.hash().map_err(named)?;
        if let Some(other) = names.insert(hash, name) {
            return Err(named(format!("sha256 is that of keys.{other} too: make another by `eggbox key new`")));
        }
        let KeyLimits { rate_per_minute, of_owner } = stanza.limits(Most(Some(engine))).map_err(named)?;
        owners.insert(owner.clone(), of_owner);
        keys.push(KeyConfig { owner, hash, rate_per_minute, metrics: stanza.metrics });
    }
    Ok((keys, owners))
}

/// The lines under its head, as the file has them.
impl fmt::Display for KeyStanza {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sha256, metrics, environments, sessions_max, executions_max, rate_per_minute, .. } = self;
        let Self { wall_seconds, cpu_seconds, .. } = self;
        let Self { memory_bytes, processes, output_bytes, idle_seconds, ttl_seconds, .. } = self;
        if let Some(sha256) = sha256 {
            writeln!(formatter, "sha256 = \"{sha256}\"")?;
        }
        if *metrics {
            writeln!(formatter, "metrics = true")?;
        }
        if let Some(environments) = environments {
            // Names of such characters need no escapes.
            writeln!(formatter, "environments = {environments:?}")?;
        }
        let count = |value: &Option<i64>| value.map(|value| value.to_string());
        let span = |value: &Option<f64>| value.map(|value| value.to_string());
        for (key, value) in [
            ("sessions_max", count(sessions_max)),
            ("executions_max", count(executions_max)),
            ("rate_per_minute", count(rate_per_minute)),
            ("wall_seconds", span(wall_seconds)),
            ("cpu_seconds", span(cpu_seconds)),
            ("memory_bytes", count(memory_bytes)),
            ("processes", count(processes)),
            ("output_bytes", count(output_bytes)),
            ("idle_seconds", span(idle_seconds)),
            ("ttl_seconds", span(ttl_seconds)),
        ] {
            if let Some(value) = value {
                writeln!(formatter, "{key} = {value}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> KeyStanza {
        KeyStanza {
            sha256: Some("ab".repeat(32)),
            metrics: true,
            environments: Some(vec!["bare".to_owned(), "default".to_owned()]),
            sessions_max: Some(8),
            executions_max: Some(4),
            rate_per_minute: Some(600),
            wall_seconds: Some(2.5),
            cpu_seconds: Some(2.0),
            memory_bytes: Some(100_000_000),
            processes: Some(16),
            output_bytes: Some(4096),
            idle_seconds: Some(60.0),
            ttl_seconds: Some(3600.0),
        }
    }

    #[test]
    fn a_stanza_is_read_as_it_is_written() {
        for stanza in [KeyStanza::default(), full()] {
            let read: KeyStanza = toml::from_str(&stanza.to_string()).unwrap();
            assert_eq!(read, stanza);
        }
    }

    #[test]
    fn every_limit_of_it_is_had() {
        let KeyLimits { rate_per_minute, of_owner } = full().limits(Most(None)).unwrap();
        let seconds = |seconds| Some(Duration::from_secs_f64(seconds));
        let of_session = AskedLimits {
            wall_max: seconds(2.5),
            cpu_max: seconds(2.0),
            memory_bytes_max: Some(100_000_000),
            processes_max: Some(16),
            output_bytes_max: Some(4096),
            idle_max: seconds(60.0),
            life_max: seconds(3600.0),
        };
        let environments = ["bare", "default"].map(|name| EnvironmentName::try_from(name).unwrap()).to_vec();
        let expected = OwnerLimits { sessions_max: Some(8), executions_max: Some(4), of_session, environments };
        assert_eq!((rate_per_minute, of_owner), (NonZeroU32::new(600), expected));
        assert_eq!(KeyStanza::default().limits(Most(None)), Ok(KeyLimits::default()));
    }

    #[test]
    fn a_limit_out_of_its_range_is_refused_by_name() {
        for line in full().to_string().lines().skip(3) {
            let key = line.split(' ').next().unwrap();
            for value in ["0", "-1", "9007199254740993"] {
                let stanza: KeyStanza = toml::from_str(&format!("{key} = {value}")).unwrap();
                let error = stanza.limits(Most(None)).unwrap_err();
                assert!(error.starts_with(&format!("{key} = ")) && error.contains(" from "), "{error}");
            }
        }
    }
}
