//! `eggbox doctor`: starts what serve would start, and reports what of the wall a session found standing.

use std::fmt::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use eggbox_engine::{Engine, EngineConfig, EnvironmentName, StartError, WantedSession};
use eggbox_sandbox::status::{LayerStatus, State, Status};
use serde::Serialize;

use crate::cli;
use crate::config::Config;
use crate::host::Facts;
use crate::log;

/// Asks the interpreter who it is, from inside a session.
const WHO: &str =
    "import platform, sys\nprint(platform.python_implementation(), platform.python_version(), sys.executable)";

/// Everything that is printed, as a table or as JSON.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    kernel: String,
    /// That first which every server has.
    environments: Vec<Environment>,
    /// Whether sessions start and no layer is absent.
    ok: bool,
    isolation: Status,
    /// The step that failed, with its causes.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mends: Vec<&'static str>,
}

/// An environment, and what a session of it said.
#[derive(Debug, Serialize)]
struct Environment {
    name: String,
    /// The interpreter as the configuration has it.
    python: PathBuf,
    /// The same as it called itself inside a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    interpreter: Option<String>,
}

/// What sessions said, before doctor judges it.
#[derive(Debug)]
struct Finding {
    /// One for each environment.
    interpreters: Vec<String>,
    isolation: Status,
}

pub(crate) fn doctor(config: Config, json: bool) -> anyhow::Result<ExitCode> {
    log::start(&config.log_filter, config.log_format);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("failed to start the runtime")?;
    let configured: Vec<_> = config
        .engine
        .each_environment()
        .map(|(name, environment)| (name.to_string(), environment.python.clone()))
        .collect();
    let found = runtime.block_on(examine(config.engine));
    let report = Report::new(configured, found, &Facts::read());
    if json {
        cli::print(&format!("{}\n", serde_json::to_string_pretty(&report).context("failed to write the report")?));
    } else {
        cli::print(&report.to_string());
    }
    Ok(report.status())
}

/// Starts an engine beside the one that may be running in the same state directory, and ends it again.
async fn examine(mut config: EngineConfig) -> anyhow::Result<Finding> {
    let state_dir = config.state_dir.join(format!("doctor-{}", std::process::id()));
    config.state_dir.clone_from(&state_dir);
    let found = ask(config).await;
    remove(&state_dir);
    found
}

async fn ask(config: EngineConfig) -> anyhow::Result<Finding> {
    let engine = Engine::start(config).await.context("failed to start")?;
    let mut interpreters = Vec::new();
    for environment in engine.environments_of(None) {
        interpreters.push(who(&engine, environment).await);
    }
    let isolation = engine.status().clone();
    engine.shutdown(Duration::ZERO).await;
    let interpreters = interpreters.into_iter().collect::<Result<_, _>>();
    Ok(Finding { interpreters: interpreters.context("failed to ask an interpreter its version")?, isolation })
}

/// What the interpreter of an environment calls itself.
async fn who(engine: &Engine, environment: EnvironmentName) -> anyhow::Result<String> {
    let session = engine.create(None, WantedSession { environment, ..WantedSession::default() }).await?;
    let [stdout, _] = engine.execute(Some(session.id), WHO.into()).await?.output()?;
    Ok(String::from_utf8_lossy(&stdout.bytes).trim().replace(char::is_control, " "))
}

/// Only this process knew the folder, and its sessions are gone.
fn remove(state_dir: &Path) {
    if let Err(error) = std::fs::remove_dir_all(state_dir)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        cli::complain(&anyhow::Error::new(error).context(format!("failed to remove {}", state_dir.display())));
    }
}

impl Report {
    fn new(configured: Vec<(String, PathBuf)>, found: anyhow::Result<Finding>, facts: &Facts) -> Self {
        let uname = rustix::system::uname();
        let kernel = [uname.sysname(), uname.release(), uname.machine()].map(|part| part.to_string_lossy()).join(" ");
        let is_of_the_wall = match &found {
            Ok(_) => false,
            Err(error) => error.downcast_ref::<StartError>().is_none_or(StartError::is_of_the_wall),
        };
        let (interpreters, isolation, failure) = match found {
            Ok(Finding { interpreters, isolation }) => (interpreters, isolation, None),
            Err(error) => (Vec::new(), Status::default(), Some(format!("{error:#}"))),
        };
        let mut interpreters = interpreters.into_iter();
        let environment =
            |(name, python): (String, PathBuf)| Environment { name, python, interpreter: interpreters.next() };
        let environments = configured.into_iter().map(environment).collect();
        let is_absent = |state: &State| matches!(state, State::Absent { .. });
        let ok = failure.is_none() && !isolation.layers.iter().any(|layer| is_absent(&layer.state));
        let mends = if ok || !is_of_the_wall { Vec::new() } else { facts.mends() };
        Self { version: env!("CARGO_PKG_VERSION"), kernel, environments, ok, isolation, failure, mends }
    }
}

impl Report {
    /// For scripts: 1 where sessions do not start, 3 where they do without a layer (2 is a wrong option's).
    fn status(&self) -> ExitCode {
        match (&self.failure, self.ok) {
            (Some(_), _) => ExitCode::FAILURE,
            (None, true) => ExitCode::SUCCESS,
            (None, false) => ExitCode::from(3),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, value: &str| writeln!(formatter, "{name:<18} {value}");
        line("eggbox", self.version)?;
        line("kernel", &self.kernel)?;
        for Environment { name, python, interpreter } in &self.environments {
            // Where there is one alone it needs no name.
            if self.environments.len() > 1 {
                line("environment", name)?;
            }
            line("python", &python.display().to_string())?;
            line("interpreter", interpreter.as_deref().unwrap_or("did not start"))?;
        }
        if !self.isolation.layers.is_empty() {
            formatter.write_char('\n')?;
        }
        for layer in &self.isolation.layers {
            let (state, remark) = match &layer.state {
                State::Enforced => ("enforced", String::new()),
                State::Partial { missing } => ("partial", format!("missing: {missing}")),
                State::Absent { why } => ("absent", format!("because: {why}")),
            };
            let notes: Vec<&str> =
                [layer.detail.as_str(), &remark].into_iter().filter(|note| !note.is_empty()).collect();
            // `Layer` writes itself without heed to a width.
            let name = layer.layer.to_string();
            writeln!(formatter, "{}", format!("{name:<18} {state:<9} {}", notes.join("; ")).trim_end())?;
        }
        formatter.write_char('\n')?;
        match &self.failure {
            Some(failure) => writeln!(formatter, "{failure}")?,
            None if self.ok => {
                let is_partial = |layer: &&LayerStatus| matches!(layer.state, State::Partial { .. });
                match self.isolation.layers.iter().filter(is_partial).count() {
                    0 => writeln!(formatter, "sessions start, and every layer stands")?,
                    count => writeln!(formatter, "sessions start, and every layer stands, {count} of them in part")?,
                }
            }
            None => writeln!(formatter, "sessions start, but a layer is absent")?,
        }
        for mend in &self.mends {
            writeln!(formatter, "mend: {mend}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use eggbox_sandbox::status::Layer;

    use super::*;

    fn report(found: anyhow::Result<Vec<State>>, facts: &Facts) -> Report {
        let layers = [Layer::UserNamespace, Layer::Landlock, Layer::Seccomp];
        let found = found.map(|states| Finding {
            interpreters: vec!["CPython 3.13.5 /usr/bin/python3".to_owned()],
            isolation: Status {
                layers: std::iter::zip(layers, states)
                    .map(|(layer, state)| LayerStatus { layer, state, detail: "detail".to_owned() })
                    .collect(),
            },
        });
        Report {
            kernel: "Linux 6.18.0 x86_64".to_owned(),
            version: "0.0.0",
            ..Report::new(vec![("default".to_owned(), "python3".into())], found, facts)
        }
    }

    fn partial() -> State {
        State::Partial { missing: "signal scoping, which needs Linux 6.12".to_owned() }
    }

    #[test]
    fn a_partial_layer_is_well_and_an_absent_one_is_not() {
        let well = report(Ok(vec![State::Enforced, partial()]), &Facts::default());
        insta::assert_snapshot!("well", well);
        assert!(well.ok);
        let facts = Facts { security_modules: Some("yama".to_owned()), ..Facts::default() };
        let absent = State::Absent { why: "the kernel has no Landlock".to_owned() };
        let unwell = report(Ok(vec![State::Enforced, absent, State::Enforced]), &facts);
        insta::assert_snapshot!("absent", unwell);
        assert!(!unwell.ok);
    }

    #[test]
    fn a_failed_start_names_its_step_and_the_mend() {
        let facts = Facts { user_namespaces_max: Some(0), ..Facts::default() };
        let failed = report(Err(anyhow::anyhow!("No space left on device").context("failed to start")), &facts);
        insta::assert_snapshot!("failed", failed);
        assert!(!failed.ok);
    }

    #[test]
    fn the_json_has_the_same() {
        let well = report(Ok(vec![State::Enforced, partial()]), &Facts::default());
        insta::assert_snapshot!("json", serde_json::to_string_pretty(&well).unwrap());
    }
}
