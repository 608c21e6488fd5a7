//! What a session is wanted to be, within what whoever wants it may have.

use std::collections::BTreeMap;
use std::time::Duration;

use eggbox_engine::{
    AskedLimits, Checkpointing, Engine, EnvironmentName, LABELS_BYTES_MAX, LABELS_MAX, SessionLimits, WantedSession,
    ranges,
};
use eggbox_sandbox::policy::WorkspacePolicy;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use crate::auth::Caller;
use crate::error::Error;
use crate::fields::{Bound, Fields};
use crate::openapi;

/// Of the variables that a session is to have, names and values together: they go by way of the file with its code.
const VARIABLES_BYTES_MAX: usize = 64 * 1024;
pub(super) const LIMITS: [&str; 5] = ["wall_seconds", "cpu_seconds", "memory_bytes", "processes", "output_bytes"];

/// What a session may have, whoever makes it, and what those of this caller may.
#[derive(Debug)]
pub(super) struct Most {
    operators: SessionLimits,
    callers: SessionLimits,
    /// That first which a session is of unless another is asked for.
    environments: Vec<EnvironmentName>,
    /// What sessions do about checkpoints of which nothing is said.
    checkpoints: Checkpointing,
}

impl Most {
    pub(super) fn of(engine: &Engine, caller: &Caller) -> Self {
        let owner = caller.0.as_ref();
        Self {
            operators: engine.limits(),
            callers: engine.limits_of(owner),
            environments: engine.environments_of(owner),
            checkpoints: engine.checkpointing(),
        }
    }

    /// The bound of one of the limits, which is called `setting` where it is the operator's.
    fn bound<T: PartialOrd>(&self, least: T, limit: impl Fn(&SessionLimits) -> T, setting: &'static str) -> Bound<T> {
        let most = limit(&self.callers);
        let setting = if most < limit(&self.operators) { "of your key" } else { setting };
        Bound { least, most, setting: Some(setting) }
    }

    /// What an execution of such a session may take.
    pub(super) fn wall_max(&self, wanted: &WantedSession) -> Duration {
        self.callers.lowered(&wanted.limits).wall_max
    }

    fn seconds(&self, least: f64, limit: fn(&SessionLimits) -> Duration, setting: &'static str) -> Bound<f64> {
        self.bound(least, |limits| limit(limits).as_secs_f64(), setting)
    }

    /// There may be none but the range.
    fn cpu_seconds(&self) -> Bound<f64> {
        let [least, most] = ranges::CPU_SECONDS;
        let limit = |limits: &SessionLimits| limits.cpu_max.map_or(most, |cpu_max| cpu_max.as_secs_f64());
        let bound = self.bound(least, limit, "cpu_seconds_max");
        Bound { setting: self.callers.cpu_max.and(bound.setting), ..bound }
    }
}

/// All of it, but for its id.
pub(super) fn session(fields: &Fields<'_>, most: &Most) -> Result<WantedSession, Error> {
    let (limits, labels) = (limits(fields, most)?, labels(fields)?.unwrap_or_default());
    let environment = environment(fields, &most.environments)?;
    let (variables, files) = (variables(fields)?, files(fields)?);
    let checkpoints = checkpoints(fields)?.unwrap_or(most.checkpoints);
    Ok(WantedSession { environment, limits, labels, variables, files, checkpoints, from: None })
}

/// Whether it takes checkpoints by itself; none where nothing is said of it.
pub(super) fn checkpoints(fields: &Fields<'_>) -> Result<Option<Checkpointing>, Error> {
    let known = fields.string("checkpoints")?.map(|wanted| match wanted.as_str() {
        "off" => Ok(Checkpointing::Off),
        "on_idle" => Ok(Checkpointing::OnIdle),
        "each" => Ok(Checkpointing::Each),
        _ => {
            let wanted = "`off`, `on_idle` or `each`".to_owned();
            Err(Error::OutOfRange { field: "checkpoints".to_owned(), wanted })
        }
    });
    known.transpose()
}

/// The same for programs.
pub(super) fn text(checkpoints: Checkpointing) -> &'static str {
    match checkpoints {
        Checkpointing::Off => "off",
        Checkpointing::OnIdle => "on_idle",
        Checkpointing::Each => "each",
    }
}

/// The one that is asked for of those that there are for whoever asks, or the first of them.
fn environment(fields: &Fields<'_>, known: &[EnvironmentName]) -> Result<EnvironmentName, Error> {
    let Some(name) = fields.string("environment")? else { return Ok(known.first().cloned().unwrap_or_default()) };
    known.iter().find(|environment| environment.as_str() == name).cloned().ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
        Error::UnknownEnvironment { known: names.join(" or ") }
    })
}

/// What code may do to the files of its workspace; none where nothing is said of it.
fn files(fields: &Fields<'_>) -> Result<Option<WorkspacePolicy>, Error> {
    let wanted = || "`keep` or `full`".to_owned();
    let policy = fields.object("policy", &["files"])?;
    let files = policy.string("files")?;
    let known = files.map(|files| match files.as_str() {
        "keep" => Ok(WorkspacePolicy::Keep),
        "full" => Ok(WorkspacePolicy::Full),
        _ => Err(Error::OutOfRange { field: "policy.files".to_owned(), wanted: wanted() }),
    });
    known.transpose()
}

/// A policy as clients are told of it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Policy)]
#[expect(dead_code, reason = "a request is read field by field, so that a refusal can name the one at fault")]
pub(super) struct PolicySchema {
    /// What code may do to the files of its workspace: with `keep` nothing is deleted or renamed away.
    #[schema(required = false, schema_with = files_policy)]
    files: String,
}

fn files_policy() -> RefOr<Schema> {
    openapi::one_of(&["keep", "full"])
}

/// None where nothing is said of them.
pub(super) fn labels(fields: &Fields<'_>) -> Result<Option<BTreeMap<String, String>>, Error> {
    let Some(labels) = fields.strings("labels")? else { return Ok(None) };
    let is_plain = |text: &String| !text.contains(char::is_control);
    let are_plain = labels.iter().all(|(name, value)| !name.is_empty() && is_plain(name) && is_plain(value));
    if labels.len() > LABELS_MAX || bytes(&labels) > LABELS_BYTES_MAX || !are_plain {
        let wanted = format!(
            "at most {LABELS_MAX} labels of {LABELS_BYTES_MAX} bytes together, with names and without control characters"
        );
        return Err(Error::OutOfRange { field: "labels".to_owned(), wanted });
    }
    Ok(Some(labels))
}

fn variables(fields: &Fields<'_>) -> Result<BTreeMap<String, String>, Error> {
    let variables = fields.strings("env")?.unwrap_or_default();
    let is_valid =
        |(name, value): (&String, &String)| !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0');
    if bytes(&variables) > VARIABLES_BYTES_MAX || !variables.iter().all(is_valid) {
        let wanted = format!(
            "variables of at most {VARIABLES_BYTES_MAX} bytes together, with names without `=`, and no NUL in them"
        );
        return Err(Error::OutOfRange { field: "env".to_owned(), wanted });
    }
    Ok(variables)
}

fn bytes(texts: &BTreeMap<String, String>) -> usize {
    texts.iter().map(|(name, value)| name.len() + value.len()).sum()
}

/// How long it may stay unused, and in all.
pub(super) fn idle_and_life(fields: &Fields<'_>, most: &Most) -> Result<[Option<Duration>; 2], Error> {
    let idle = most.seconds(ranges::IDLE_SECONDS[0], |limits| limits.idle_max, "idle_seconds_max");
    let life = most.seconds(ranges::LIFE_SECONDS[0], |limits| limits.life_max, "life_seconds_max");
    Ok([fields.seconds("idle_seconds", idle)?, fields.seconds("ttl_seconds", life)?])
}

fn limits(fields: &Fields<'_>, most: &Most) -> Result<AskedLimits, Error> {
    let limits = fields.object("limits", &LIMITS)?;
    let count = |field, [least, _]: [u64; 2], limit: fn(&SessionLimits) -> u64, setting| {
        limits.count(field, most.bound(least, limit, setting))
    };
    let processes = count("processes", ranges::PROCESSES, |limits| limits.processes_max.into(), "processes_max")?;
    let output_bytes =
        count("output_bytes", ranges::OUTPUT_BYTES, |limits| limits.output_bytes_max as u64, "output_bytes_max")?;
    let memory_bytes_max =
        count("memory_bytes", ranges::MEMORY_BYTES, |limits| limits.memory_bytes_max, "memory_bytes_max")?;
    let wall = most.seconds(ranges::WALL_SECONDS[0], |limits| limits.wall_max, "wall_seconds_max");
    let [idle_max, life_max] = idle_and_life(fields, most)?;
    Ok(AskedLimits {
        wall_max: limits.seconds("wall_seconds", wall)?,
        cpu_max: limits.seconds("cpu_seconds", most.cpu_seconds())?,
        memory_bytes_max,
        // Neither is more than the operator's, which has the same type.
        processes_max: processes.map(|count| u32::try_from(count).unwrap_or(most.callers.processes_max)),
        output_bytes_max: output_bytes.map(|count| usize::try_from(count).unwrap_or(most.callers.output_bytes_max)),
        idle_max,
        life_max,
    })
}
