//! What is written down is read as it was written, whoever was killed in between.

use std::time::Duration;

use super::*;
use crate::outcome::{Outcome, Usage};

impl Begun {
    pub(crate) fn of_test(number: u64) -> Self {
        Self {
            number,
            began: Moment::now(),
            began_at: SystemTime::now(),
            code_bytes: 1,
            stdin_bytes: None,
            options: 1,
            wall_max: Duration::from_secs(1),
            cpu_max: None,
            cpu_before: None,
            kills_before: 0,
            restarts: 0,
            idempotency: None,
            at: [0; 3],
        }
    }
}

impl History {
    /// The files, places and lengths of what events were made of.
    pub(crate) fn events_of_test(&self, number: u64) -> Vec<(Which, u64, u32)> {
        let pieces = self.with(number, |kept| kept.pieces.clone()).unwrap();
        pieces.into_iter().map(|Piece { which, at, bytes }| (which, at, bytes)).collect()
    }

    pub(crate) fn texts_of_test(&self, number: u64, which: Which) -> Vec<Vec<u8>> {
        let of_file = self.events_of_test(number).into_iter().filter(|(of, ..)| *of == which);
        of_file.map(|(_, at, bytes)| read_range(self.file(which), at, bytes.into()).unwrap()).collect()
    }

    pub(crate) fn of_nothing(id: SessionId) -> Self {
        Self::new(Record::new(id, 0)).unwrap()
    }
}

fn finished() -> Finished {
    Finished::now(Outcome::Ok, Usage::default(), [0; 3])
}

/// Runs one that prints this, as a collector and a publication would write it down.
fn run(history: &History, number: u64, printed: &str) {
    let at = history.begin(Begun::of_test(number)).unwrap().at[0];
    history.file(Which::Stdout).write_all_at(printed.as_bytes(), at).unwrap();
    history.go_on(&[(Which::Stdout, u32::try_from(printed.len()).unwrap())], Some(finished())).unwrap();
}

fn reopened(history: &History) -> History {
    let files = history.as_array().map(|file| OwnedFd::from(file.try_clone().unwrap()));
    History::from_array(files).unwrap()
}

#[test]
fn what_was_written_is_read_by_a_server_after_this_one() {
    let history = History::of_nothing(SessionId::unique());
    for (number, printed) in [(1, "one"), (2, ""), (5, "five")] {
        run(&history, number, printed);
    }
    history.update(|record| drop(record.labels.insert("a".into(), "b".into()))).unwrap();
    let again = reopened(&history);
    assert_eq!(again.record(), history.record());
    assert_eq!(again.executions(), history.executions());
    assert_eq!(again.executions().iter().map(|view| view.number).collect::<Vec<_>>(), [1, 2, 5]);
    assert_eq!(again.output(5).unwrap()[0].bytes, b"five");
    assert!(again.output(3).is_err() && again.running().is_none());
}

#[test]
fn an_entry_that_was_cut_is_as_if_it_had_never_been() {
    let history = History::of_nothing(SessionId::unique());
    run(&history, 1, "one");
    let whole = length(&history.record).unwrap();
    history.begin(Begun::of_test(2)).unwrap();
    history.record.set_len(length(&history.record).unwrap() - 1).unwrap();
    let again = reopened(&history);
    assert_eq!(again.last_number(), 1);
    assert_eq!(length(&again.record).unwrap(), whole);
    run(&again, 2, "two");
    assert_eq!(reopened(&again).output(2).unwrap()[0].bytes, b"two");
}

#[test]
fn the_oldest_are_forgotten_and_their_memory_given_back() {
    let history = History::of_nothing(SessionId::unique());
    let long = "x".repeat(300 * 1024);
    for number in 1..=200 {
        run(&history, number, if number % 2 == 0 { &long } else { "short" });
    }
    let kept = history.executions();
    assert_eq!((kept.len(), kept.last().unwrap().number), (8, 200));
    let held = |file: &File| std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap()) * 512;
    assert!(held(history.file(Which::Stdout)) < 2 * 1024 * 1024);
    assert_eq!(reopened(&history).executions(), kept);
    for number in 201..=500 {
        run(&history, number, "");
    }
    let kept = history.executions().len();
    assert!((EXECUTIONS_KEPT_MAX..=EXECUTIONS_KEPT_MAX + FORGOTTEN_AT_ONCE).contains(&kept), "{kept}");
    assert!(held(&history.record) < 128 * 1024, "{} of {}", held(&history.record), length(&history.record).unwrap());
    assert_eq!(reopened(&history).last_number(), 500);
}

#[test]
fn the_longest_record_fits_a_page_and_a_longer_one_changes_nothing() {
    let long = SessionId::try_from("x".repeat(crate::SESSION_ID_BYTES_MAX)).unwrap();
    let asked = AskedLimits {
        wall_max: Some(Duration::MAX),
        cpu_max: Some(Duration::MAX),
        memory_bytes_max: Some(u64::MAX),
        processes_max: Some(u32::MAX),
        output_bytes_max: Some(usize::MAX),
        idle_max: Some(Duration::MAX),
        life_max: Some(Duration::MAX),
    };
    let labels: BTreeMap<_, _> =
        [("k".repeat(crate::LABELS_BYTES_MAX / 2), "\n".repeat(crate::LABELS_BYTES_MAX / 2))].into();
    let record = Record { asked, labels, kills_before: u64::MAX, ..Record::new(long, 0) };
    let history = History::new(record.clone()).unwrap();
    assert!(history.update(|record| drop(record.labels.insert("l".into(), "x".repeat(4096)))).is_err());
    assert_eq!(reopened(&history).record(), record);
}
