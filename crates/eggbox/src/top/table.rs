//! What is shown, as text: the server in a few lines, and a row a session.

use hyper::Uri;
use jiff::Timestamp;

use super::sample::{Sample, Session};

pub(super) const HEADINGS: [&str; 8] = ["SESSION", "STATE", "RUNS", "MEMORY", "CPU", "AGE", "UNUSED", "LABELS"];

/// What is shown where the server does not say.
const UNKNOWN: &str = "-";

/// What stands in the place of the server's own numbers.
const NO_METRICS: &str =
    "of the server as a whole nothing: the key may not read /metrics (`metrics = true` in its stanza)";

/// The server: what it is, what it has, and how fast it works since `before`.
pub(super) fn summary(url: &Uri, before: Option<&Sample>, sample: &Sample) -> String {
    let Some(metrics) = &sample.metrics else {
        let url = url.to_string();
        let url = url.trim_end_matches('/');
        return format!("eggbox at {url}: the sessions of your key\n{NO_METRICS}\n");
    };
    let number = |name: &str| metrics.sum(name).map_or(UNKNOWN.to_owned(), |value| value.to_string());
    let sessions = |state: &str| {
        let count = metrics.labelled("eggbox_sessions", "state", state);
        format!("{} {state}", count.map_or(UNKNOWN.to_owned(), |count| count.to_string()))
    };
    let bytes = |name: &str| metrics.sum(name).map_or(UNKNOWN.to_owned(), size);
    let rate = before.and_then(|before| sample.rate(before, "eggbox_executions_total"));
    let rate = rate.map_or(String::new(), |rate| format!(", {rate:.1} a second"));
    format!(
        "eggbox {version} at {url}up {up}\n\
         sessions: {states}; memory {memory}, of the server {own}; {parked} of {wanted} made ahead\n\
         executions: {executions}{rate}; {running} running, {waiting} waiting; {rejections} requests refused\n",
        version = clean(metrics.label("eggbox_build_info").unwrap_or_default()),
        up = metrics.sum("eggbox_uptime_seconds").map_or(UNKNOWN.to_owned(), span),
        url = format_args!("{} ", url.to_string().trim_end_matches('/')),
        states = ["running", "idle", "starting", "ended"].map(sessions).join(", "),
        memory = bytes("eggbox_sessions_memory_bytes"),
        own = bytes("process_resident_memory_bytes"),
        parked = number("eggbox_pool_parked"),
        wanted = number("eggbox_pool_wanted"),
        executions = number("eggbox_executions_total"),
        running = number("eggbox_executions_running"),
        waiting = number("eggbox_queue_length"),
        rejections = metrics.sum("eggbox_rejections_total").unwrap_or(0.0),
    )
}

pub(super) fn row(session: &Session, now: Timestamp) -> [String; HEADINGS.len()] {
    let since = |time: Option<Timestamp>| {
        time.map_or(UNKNOWN.to_owned(), |time| span(now.duration_since(time).as_secs_f64().max(0.0)))
    };
    let labels = session.labels.iter().flatten().map(|(name, value)| format!("{name}={value}"));
    [
        clean(&session.id),
        clean(&session.state),
        session.executions.to_string(),
        session.memory_bytes.map_or(UNKNOWN.to_owned(), |bytes| size(as_float(bytes))),
        session.cpu_ms.map_or(UNKNOWN.to_owned(), |millis| format!("{:.2} s", as_float(millis) / 1e3)),
        since(session.created),
        since(session.last_used),
        clean(&labels.collect::<Vec<_>>().join(" ")),
    ]
}

/// Every session on a line, in columns as wide as they have to be.
pub(super) fn text(sample: &Sample) -> String {
    let headings = HEADINGS.map(str::to_owned);
    let rows: Vec<_> = [headings].into_iter().chain(sample.sessions.iter().map(|one| row(one, sample.now))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; HEADINGS.len()] = std::array::from_fn(width);
    let line = |row: &[String; HEADINGS.len()]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// Without what a terminal would take for an order: labels are clients' own.
fn clean(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

#[expect(clippy::cast_precision_loss, reason = "it is shown with a few digits")]
fn as_float(number: u64) -> f64 {
    number as f64
}

fn size(bytes: f64) -> String {
    match bytes / 1024.0 / 1024.0 {
        mebibytes if mebibytes >= 1024.0 => format!("{:.1} GiB", mebibytes / 1024.0),
        mebibytes => format!("{mebibytes:.1} MiB"),
    }
}

fn span(seconds: f64) -> String {
    let [minute, hour, day] = [60.0, 3600.0, 86_400.0];
    match seconds {
        _ if seconds < minute => format!("{seconds:.0} s"),
        _ if seconds < hour => format!("{:.0} min", (seconds / minute).floor()),
        _ if seconds < day => format!("{:.1} h", seconds / hour),
        _ => format!("{:.1} d", seconds / day),
    }
}

#[cfg(test)]
mod tests {
    use super::super::exposition::Exposition;
    use super::*;

    fn session(json: &str) -> Session {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_row_has_what_the_server_says_and_a_dash_for_the_rest() {
        let now: Timestamp = "2025-01-01T01:00:00Z".parse().unwrap();
        let full = session(
            r#"{"id": "a", "state": "idle", "executions": 3, "memory_bytes": 2726298, "cpu_ms": 1234,
                "created": "2025-01-01T00:00:00.000Z", "last_used": "2025-01-01T00:59:30.000Z",
                "labels": {"k": "v", "w": "\u001b[2J"}, "unknown": 1}"#,
        );
        assert_eq!(row(&full, now), ["a", "idle", "3", "2.6 MiB", "1.23 s", "1.0 h", "30 s", "k=v w=\u{fffd}[2J"]);
        let bare = session(r#"{"id": "b", "state": "ended"}"#);
        assert_eq!(row(&bare, now), ["b", "ended", "0", "-", "-", "-", "-", ""]);
    }

    #[test]
    fn most_memory_is_first_and_columns_are_as_wide_as_they_must_be() {
        let sessions = [
            r#"{"id": "small", "state": "idle", "memory_bytes": 1048576}"#,
            r#"{"id": "of-a-long-name", "state": "running", "memory_bytes": 2147483648}"#,
        ];
        let sample = Sample::new(Some(Exposition::default()), sessions.map(session).to_vec());
        let text = text(&sample);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "SESSION         STATE    RUNS  MEMORY   CPU  AGE  UNUSED  LABELS");
        assert_eq!(lines[1], "of-a-long-name  running  0     2.0 GiB  -    -    -");
        assert_eq!(lines[2], "small           idle     0     1.0 MiB  -    -    -");
    }

    #[test]
    fn spans_have_the_unit_that_suits() {
        let shown = [0.4, 59.0, 60.0, 3599.0, 5400.0, 172_800.0].map(span);
        assert_eq!(shown, ["0 s", "59 s", "1 min", "59 min", "1.5 h", "2.0 d"]);
    }
}
