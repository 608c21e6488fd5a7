//! The table, for people and for programs.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::catalog::{ROWS, Row, Unit};
use crate::machine::Machine;
use crate::results::{Measurement, Results};

const HEADS: [&str; 8] = ["", "unit", "p50", "p99", "n", "right", "ratio", "to"];

/// Of fewer values there is no 99th percentile worth the name.
const TAIL_SAMPLES_MIN: u64 = 50;

/// What a table says of a row, in the order of [`HEADS`].
fn cells(row: &Row, results: &Results) -> Option<[String; 8]> {
    let measurement = results.get(row)?;
    let has_tail = row.unit == Unit::Milliseconds && measurement.samples() >= TAIL_SAMPLES_MIN;
    Some([
        row.title.to_owned(),
        row.unit.name().to_owned(),
        figure(measurement.percentile(50.0)),
        if has_tail { figure(measurement.percentile(99.0)) } else { "-".into() },
        measurement.samples().to_string(),
        right(measurement),
        results.ratio(row).map_or("-".into(), figure),
        row.against.map_or(String::new(), |against| against.title.to_owned()),
    ])
}

/// Rounded down, so that 100 % means all.
fn right(measurement: &Measurement) -> String {
    format!("{} %", (measurement.success() * 1000.0).floor() / 10.0)
}

/// A number with as many digits as mean something.
fn figure(value: f64) -> String {
    let decimals = match value {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

fn notes(results: &Results) -> impl Iterator<Item = (&'static str, &str)> {
    let noted = ROWS.iter().filter_map(|row| Some((row.title, results.get(row)?.note.as_str())));
    noted.filter(|(_, note)| !note.is_empty())
}

pub(crate) fn text(results: &Results) -> String {
    let mut lines = vec![HEADS.map(str::to_owned)];
    lines.extend(ROWS.iter().filter_map(|row| cells(row, results)));
    let widths: Vec<usize> =
        (0..HEADS.len()).map(|at| lines.iter().map(|line| line[at].len()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        let padded = line.iter().zip(&widths).enumerate().map(|(at, (cell, width))| match at {
            0 | 1 | 7 => format!("{cell:width$}"),
            _ => format!("{cell:>width$}"),
        });
        text += padded.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    for (title, note) in notes(results) {
        let _ = writeln!(text, "{title}: {note}");
    }
    text
}

fn markdown(machine: &Machine, results: &Results) -> String {
    let Machine { cpu, cores, memory_bytes, kernel, load_average, date, commit, interpreters, .. } = machine;
    let user = if machine.is_root { "root" } else { "an ordinary user" };
    let mut text = format!(
        "# What was measured\n\nBy `make bench`, which writes this file, on {date}, at commit {commit}: {cpu}, {cores} CPUs, \
         {} GiB, {kernel}, as {user}; load average before {load_average}.\n\n",
        memory_bytes >> 30,
    );
    for (name, described) in interpreters {
        let packages = described["packages"].as_object().into_iter().flatten();
        let packages: Vec<_> =
            packages.map(|(name, version)| format!("{name} {}", version.as_str().unwrap_or_default())).collect();
        let python = described["python"].as_str().unwrap_or_default();
        let _ = writeln!(text, "- {name}: Python {python}{}", [&[String::new()], &packages[..]].concat().join(", "));
    }
    let _ = writeln!(text, "\n| {} |\n|---|---|{}---|", HEADS.join(" | "), "---:|".repeat(5));
    for line in ROWS.iter().filter_map(|row| cells(row, results)) {
        let _ = writeln!(text, "| {} |", line.join(" | "));
    }
    text.push('\n');
    for (title, note) in notes(results) {
        let _ = writeln!(text, "- {title}: {note}");
    }
    text
}

/// Every percent, and the tail.
fn distribution(measurement: &Measurement) -> Vec<[f64; 2]> {
    let percents = (0..=99).map(f64::from).chain([99.5, 99.9, 100.0]);
    percents.map(|percent| [percent, measurement.percentile(percent)]).collect()
}

fn row_json(row: &Row, results: &Results) -> Option<Value> {
    let measurement = results.get(row)?;
    Some(json!({
        "key": row.key,
        "title": row.title,
        "unit": row.unit.name(),
        "samples": measurement.samples(),
        "attempts": measurement.attempts,
        "success": measurement.success(),
        "p50": measurement.percentile(50.0),
        "p99": measurement.percentile(99.0),
        "against": row.against.map(|against| against.key),
        "ratio": results.ratio(row),
        "note": measurement.note,
        "distribution": if row.unit == Unit::Milliseconds { distribution(measurement) } else { Vec::new() },
    }))
}

/// Writes results.json and results.md.
pub(crate) fn write(folder: &Path, machine: &Machine, results: &Results) -> Result<()> {
    let rows: Vec<_> = ROWS.iter().filter_map(|row| row_json(row, results)).collect();
    let whole = json!({ "machine": machine, "rows": rows, "growth": results.growth });
    std::fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let files =
        [("results.json", serde_json::to_string_pretty(&whole)? + "\n"), ("results.md", markdown(machine, results))];
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
    }
    Ok(())
}
