//! `eggbox top`: the sessions of a running server and what they use, asked for by its HTTP interface. Changes nothing there.

mod client;
mod exposition;
mod sample;
mod screen;
mod table;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use hyper::Uri;

use self::client::Client;
use crate::cli;

/// What a request must bring along where the server has keys.
const KEY_VARIABLE: &str = "EGGBOX_KEY";

#[derive(Debug, Args)]
pub(crate) struct Top {
    /// Where the server is. Where it has keys, the variable EGGBOX_KEY has the one to use
    #[arg(long, env = "EGGBOX_URL", hide_env_values = true, value_name = "URL",
        default_value = "http://127.0.0.1:5000", value_parser = url)]
    pub(crate) url: Uri,

    /// Print the table once and end
    #[arg(long)]
    pub(crate) once: bool,

    /// How often to look
    #[arg(long, value_name = "SECONDS", default_value = "1", allow_hyphen_values = true, value_parser = interval)]
    pub(crate) interval: Duration,
}

fn url(text: &str) -> Result<Uri, String> {
    let wanted = "must be such as http://127.0.0.1:5000, without a path";
    let url: Uri = text.parse().map_err(|_| wanted.to_owned())?;
    let is_plain =
        url.scheme_str() == Some("http") && url.host().is_some() && url.path_and_query().is_none_or(|rest| rest == "/");
    // What stands before an @ would be left out in silence.
    let has_user = url.authority().is_some_and(|authority| authority.as_str().contains('@'));
    if is_plain && !has_user { Ok(url) } else { Err(wanted.to_owned()) }
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=3600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "must be a number from 0.1 to 3600 (seconds)".to_owned())
}

pub(crate) fn top(options: &Top) -> anyhow::Result<ExitCode> {
    let key = std::env::var(KEY_VARIABLE).ok().filter(|key| !key.is_empty());
    let client = Client::new(&options.url, key).context("failed to start")?;
    if options.once || !io::stdout().is_terminal() {
        let sample = client.sample()?;
        cli::print(&format!("{}\n{}", table::summary(&options.url, None, &sample), table::text(&sample)));
    } else {
        screen::run(client, &options.url, options.interval)?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_place_of_a_server_is_a_url() {
        for text in ["http://127.0.0.1:5000", "http://[::1]:1/", "http://eggs.example"] {
            assert!(url(text).is_ok(), "{text}");
        }
        for text in ["", "127.0.0.1:5000", "https://eggs.example", "http://a/b", "http://a?b", "http://u:p@a", "/a"] {
            assert!(url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_interval_has_a_range() {
        assert_eq!(interval("0.5"), Ok(Duration::from_millis(500)));
        for text in ["0", "-1", "nan", "inf", "3601", "1s"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }
}
