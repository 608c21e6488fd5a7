//! `GET /metrics` as a strict reader of the Prometheus text format (version 0.0.4) takes it: what is not to the letter of it
//! fails the test.

use std::collections::{BTreeMap, BTreeSet};

use crate::client;
use crate::server::Server;

type Labels = Vec<(String, String)>;

/// A sample's name and its labels, in order.
pub(crate) type Series = (String, Labels);

/// Every sample of one answer.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    pub(crate) samples: BTreeMap<Series, f64>,
    /// Families by name, with their types.
    pub(crate) families: BTreeMap<String, String>,
}

/// What a server answers now.
pub(crate) fn scrape(server: &Server) -> Exposition {
    let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let (head, body) = client::send_for_text(server.address, request.as_bytes());
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains("\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    parse(&body)
}

impl Exposition {
    /// A sample with these labels, 0 where there is none.
    pub(crate) fn get(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels = labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect();
        self.samples.get(&(name.to_owned(), labels)).copied().unwrap_or_default()
    }

    /// Counters, and the counts of histograms, that are more than they were, by how much.
    pub(crate) fn grown_since(&self, before: &Self) -> BTreeMap<String, f64> {
        let is_count = |(name, _): &&Series| {
            name.ends_with("_total")
                || name.strip_suffix("_count").is_some_and(|family| self.families.contains_key(family))
        };
        let grown = self.samples.keys().filter(is_count).map(|series| {
            let less = before.samples.get(series).copied().unwrap_or_default();
            (describe(series), self.samples[series] - less)
        });
        grown.filter(|(_, more)| *more != 0.0).collect()
    }
}

fn describe((name, labels): &Series) -> String {
    let values: Vec<_> = labels.iter().map(|(_, value)| value.as_str()).collect();
    [&[name.as_str()], &*values].concat().join(" ")
}

fn parse(text: &str) -> Exposition {
    assert!(text.ends_with('\n'), "the last line has no end");
    let mut exposition = Exposition::default();
    let (mut family, mut described) = (String::new(), BTreeSet::new());
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a help has a text");
            assert!(described.insert(name.to_owned()) && !help.is_empty(), "{line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type has a name");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(described.contains(name), "a type without help: {line}");
            name.clone_into(&mut family);
            assert!(exposition.families.insert(name.to_owned(), kind.to_owned()).is_none(), "twice: {line}");
        } else {
            let (series, value) = parse_sample(line);
            let kind = exposition.families.get(&family).expect("a sample has a family before it");
            let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(suffixes.iter().any(|suffix| format!("{family}{suffix}") == series.0), "of no family: {line}");
            assert!(kind != "counter" || family.ends_with("_total") && value >= 0.0, "{line}");
            assert!(exposition.samples.insert(series, value).is_none(), "twice: {line}");
        }
    }
    exposition
        .families
        .iter()
        .filter(|(_, kind)| *kind == "histogram")
        .for_each(|(name, _)| check_histogram(name, &exposition));
    exposition
}

fn parse_sample(line: &str) -> (Series, f64) {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("no sample: {line}"));
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, quoted) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
            let (value, after) = quoted.split_once('"').unwrap_or_else(|| panic!("no end of a label: {line}"));
            // Labels are names of the program: there is nothing in them to escape.
            assert!(is_name(label) && !value.contains('\\'), "{line}");
            labels.push((label.to_owned(), value.to_owned()));
            rest = after;
            match (rest.strip_prefix(','), rest.strip_prefix('}')) {
                (Some(next), _) => rest = next,
                (_, Some(next)) => {
                    rest = next;
                    break;
                }
                _ => panic!("no end of the labels: {line}"),
            }
        }
    }
    let value = rest.strip_prefix(' ').and_then(|value| value.parse().ok());
    ((name.to_owned(), labels), value.unwrap_or_else(|| panic!("no value: {line}")))
}

fn is_name(text: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    text.bytes().next().is_some_and(is_first) && text.bytes().all(|byte| is_first(byte) || byte.is_ascii_digit())
}

/// Buckets are cumulative, in order, and the last is the count.
fn check_histogram(name: &str, exposition: &Exposition) {
    let mut buckets: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for ((_, labels), count) in exposition.samples.iter().filter(|((known, _), _)| *known == format!("{name}_bucket")) {
        let (ends, others): (Vec<_>, Vec<_>) = labels.iter().cloned().partition(|(label, _)| label == "le");
        let end = match ends[0].1.as_str() {
            "+Inf" => f64::INFINITY,
            number => number.parse().expect("a bucket ends at a number"),
        };
        buckets.entry(others).or_default().push((end, *count));
    }
    for (labels, mut buckets) in buckets {
        buckets.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        assert!(buckets.is_sorted_by(|(_, less), (_, more)| less <= more), "{name}: {buckets:?}");
        let last = buckets.last().copied();
        assert_eq!(last, Some((f64::INFINITY, exposition.samples[&(format!("{name}_count"), labels)])), "{name}");
    }
}
