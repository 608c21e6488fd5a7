//! Each step in which the wall is put up is made to fail: every time there is no server, the message names the step, and
//! nothing is left running.

use std::sync::Mutex;

use crate::attacks::way::{Way, refuser, script};
use crate::server::Setup;

/// The five lists of docs/sandbox.md, in its order: who fails, and in which way of running.
const LISTS: [(&str, Way, &str); 5] = [
    ("The nest, where the server is root", Way::Root, "nest"),
    ("The nest, where it is not", Way::User, "nest"),
    ("The nest under `--isolation reduced`", Way::Reduced, "nest"),
    ("A session", Way::Root, "session"),
    ("A session under `--isolation reduced`", Way::Reduced, "session"),
];

/// Runs the server as its child, ends when that has ended, and says on standard error what it left running. It adopts
/// what its descendants leave behind, whatever namespaces those are in.
const SUPERVISOR: &str = include_str!("fail_closed/supervise.py");

/// How many servers start at the same time.
const PARALLEL: usize = 3;

#[test]
fn a_step_that_fails_leaves_no_server_and_nothing_running() {
    let possible = Way::possible();
    let cases: Vec<_> = steps().into_iter().filter(|(way, _)| possible.contains(way)).collect();
    let wrong = Mutex::new(Vec::new());
    let queue = Mutex::new(cases.iter());
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                loop {
                    let Some((way, step)) = queue.lock().expect("nobody panics with it").next() else { break };
                    if let Err(why) = check(*way, step) {
                        wrong.lock().expect("nobody panics with it").push(format!("{step} as {}: {why}", way.name()));
                    }
                }
            });
        }
    });
    println!("{} steps were made to fail", cases.len());
    let wrong = wrong.into_inner().expect("nobody panicked with it");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_step_that_there_is_not_is_refused() {
    for step in ["nest.nowhere", "session.fork", "fork", ""] {
        let refused = Setup::bare().option(&format!("--fail-step={step}")).run_to_end();
        assert!(refused.status.code() == Some(2) && refused.log.contains("docs/sandbox.md lists them"), "{refused:?}");
    }
}

/// Every step that the document lists, as `--fail-step` takes it.
fn steps() -> Vec<(Way, String)> {
    let document = include_str!("../../../../docs/sandbox.md");
    let sections: Vec<_> = document.split("\n## ").skip(1).collect();
    assert_eq!(sections.len(), LISTS.len(), "the document has the five lists");
    let mut steps = Vec::new();
    for (section, (title, way, who)) in std::iter::zip(sections, LISTS) {
        assert_eq!(section.lines().next(), Some(title));
        let names = section.lines().filter_map(|line| line.split_once(". `")?.1.split('`').next());
        let found: Vec<_> = names.map(|name| (way, format!("{who}.{name}"))).collect();
        assert!(found.len() > 5, "{title}");
        steps.extend(found);
    }
    steps
}

fn check(way: Way, step: &str) -> Result<(), String> {
    let supervisor = script("supervise", SUPERVISOR);
    let mut setup = Setup { binary: supervisor, ..way.setup() };
    if way.is_reduced() {
        // The supervisor starts what this names.
        setup = setup.option(&format!("--through {}", refuser().display()));
    }
    let ended = setup.option(&format!("--fail-step {step}")).run_to_end();
    let (_, name) = step.split_once('.').ok_or("a step has a dot")?;
    if ended.status.code() != Some(1) {
        return Err(format!("it ended with {}:\n{}", ended.status, ended.log));
    }
    let named = ended.log.lines().any(|line| {
        line.starts_with("eggbox: ") && line.contains(&format!("step `{name}`")) && line.contains("made to fail")
    });
    if !named {
        return Err(format!("the message does not name it:\n{}", ended.log));
    }
    if !ended.log.contains("supervisor: nothing is left") {
        return Err(format!("something is left:\n{}", ended.log));
    }
    Ok(())
}
