//! The log of this process: what it says of itself on standard error.

use std::io::{self, IsTerminal};

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// How a line of it looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// For people; with colours on a terminal.
    #[default]
    Text,
    /// A JSON object.
    Json,
}

/// Sends the log to standard error from here on; `filter` has been checked.
pub(crate) fn start(filter: &str, format: LogFormat) {
    #[cfg(feature = "otel")]
    if crate::traces::start(filter, format) {
        return;
    }
    let log = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_writer(io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().flatten_event(true).with_span_list(false).init(),
    }
}
