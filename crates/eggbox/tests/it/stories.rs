//! Programs of random steps over state of many kinds, taken through everything that can be done to a session, against the same
//! program that nothing was done to.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::json;

use crate::checkpoints::{begin, end_nest, fork_to, hibernate, own_python, post, printed};
use crate::numbers::Numbers;
use crate::python;
use crate::server::{Server, Setup};

const KEPT: &str = "--abandoned-seconds-max 60";

/// Defines `step(feature, n)`.
const FEATURES: &str = include_str!("features.py");
/// How many kinds there are.
const KINDS: u64 = 18;

/// How many programs are run; for a person who wants to know more.
const CASES: &str = "EGGBOX_TEST_STORIES";
const CASES_USUAL: u64 = 12;
const STEPS: u64 = 16;

/// What has happened in a session, by the code that it ran.
type Past = Vec<String>;

/// A session that things are done to, and what it would be without them.
struct Story {
    seed: u64,
    /// That no other server has, so that its nest can be told from others.
    python: PathBuf,
    server: Server,
    own: String,
    past: Past,
    /// Checkpoints, and what had happened before them.
    checkpoints: Vec<(String, Past)>,
    names: u64,
    text: String,
}

impl Story {
    fn new(server: Server, python: &Path, seed: u64) -> Self {
        let (own, text) = (format!("own-{seed}"), format!("seed {seed}:"));
        let (python, past, checkpoints) = (python.to_owned(), Vec::new(), Vec::new());
        let mut story = Self { seed, python, server, own, past, checkpoints, names: 0, text };
        begin(&story.server, &story.own, FEATURES);
        story.begin_again();
        story
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("{}-{}", self.seed, self.names)
    }

    /// Has the session that nothing is done to be what the other is.
    fn begin_again(&mut self) {
        self.server.delete("plain");
        begin(&self.server, "plain", FEATURES);
        for code in &self.past {
            printed(&self.server, "plain", code);
        }
    }

    fn take_checkpoint(&mut self) {
        let name = self.name();
        let taken = post(&self.server, &format!("/v1/sessions/{}/checkpoints", self.own), &json!({ "name": name }));
        assert_eq!(taken.status, 201, "{taken:?} {}", self.text);
        self.checkpoints.push((name, self.past.clone()));
    }

    fn go_back(&mut self, at: usize) {
        let (name, past) = self.checkpoints[at].clone();
        let back = post(&self.server, &format!("/v1/sessions/{}/restore", self.own), &json!({ "checkpoint": name }));
        assert_eq!(back.status, 200, "{back:?} {}", self.text);
        self.past = past;
        self.begin_again();
    }

    fn go_on_from(&mut self, at: usize) {
        let (name, past) = self.checkpoints[at].clone();
        self.server.delete(&self.own);
        self.own = self.name();
        let made = self.server.create(&json!({ "id": self.own, "checkpoint": name }).to_string());
        assert_eq!(made.status, 201, "{made:?} {}", self.text);
        self.past = past;
        self.begin_again();
    }

    /// Is asleep while its nest ends: with its server, or by itself.
    fn sleep_over_the_end(self, with_server: bool) -> Self {
        hibernate(&self.server, &self.own);
        let mut story = match with_server {
            true => self.restart_server(Signal::TERM),
            false => {
                end_nest(&self.python);
                self
            }
        };
        story.begin_again();
        story
    }

    fn restart_server(self, signal: Signal) -> Self {
        let server = Setup::with_python(&self.python).option(KEPT).start_after(self.server.end_by(signal));
        Self { server, ..self }
    }
}

#[test]
fn sessions_go_on_whatever_is_done_to_them() {
    let cases = std::env::var(CASES).ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES_USUAL);
    let first: u64 = std::env::var("EGGBOX_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let folder = python::own_folder();
    let python = own_python(&folder);
    let mut server = Setup::with_python(&python).option(KEPT).start();
    for seed in first..first + cases {
        let mut numbers = Numbers(seed);
        let mut story = Story::new(server, &python, seed);
        for step in 0..STEPS {
            let code = match numbers.next(20) {
                0 => format!("print(await wait({step}))"),
                _ => format!("print(step({}, {}))", numbers.next(KINDS), numbers.next(200)),
            };
            let action = numbers.next(16);
            write!(story.text, "\n{action} {code}").expect("a string grows");
            match action {
                // Goes on in a fork.
                0..3 => {
                    let child = story.name();
                    fork_to(&story.server, &story.own, &child);
                    story.server.delete(&story.own);
                    story.own = child;
                }
                // A fork does the same, and is forgotten.
                3 => {
                    let child = story.name();
                    fork_to(&story.server, &story.own, &child);
                    let aside = printed(&story.server, &child, &code);
                    let expected = printed(&story.server, "plain", &code);
                    assert_eq!(aside, expected, "in a fork aside, {}", story.text);
                    assert_eq!(printed(&story.server, &story.own, &code), expected, "{}", story.text);
                    story.past.push(code);
                    story.server.delete(&child);
                    continue;
                }
                4..6 => story.take_checkpoint(),
                6 | 7 if !story.checkpoints.is_empty() => {
                    let at = usize::try_from(numbers.next(story.checkpoints.len() as u64)).expect("it is small");
                    if action == 6 { story.go_back(at) } else { story.go_on_from(at) }
                }
                8..11 => hibernate(&story.server, &story.own),
                11 if numbers.next(3) == 0 => story = story.restart_server(Signal::KILL),
                12 if numbers.next(3) == 0 => story = story.restart_server(Signal::HUP),
                // Its nest ends, with all others.
                13 | 14 if numbers.next(2) == 0 => story = story.sleep_over_the_end(action == 13),
                _ => {}
            }
            let expected = printed(&story.server, "plain", &code);
            assert_eq!(printed(&story.server, &story.own, &code), expected, "{}", story.text);
            story.past.push(code);
        }
        for (name, _) in &story.checkpoints {
            assert_eq!(story.server.send("DELETE", &format!("/v1/checkpoints/{name}"), "").status, 204);
        }
        for id in [&story.own, "plain"] {
            story.server.delete(id);
        }
        server = story.server;
    }
}
