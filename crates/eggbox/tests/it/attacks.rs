//! Runs every program under `attacks/` against the real server in every way to run it, and compares what came of it
//! with what the program's header says must come of it there.

mod attack;
mod canaries;
mod layers;
pub(crate) mod way;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use attack::{Attack, CLASSES, Expectation, Who};
use canaries::Canaries;
use way::Way;

use crate::client::Answer;
use crate::process::wait_for;
use crate::server::{SECRET, Server, Session, Setup};

/// What the issue demands.
const ATTACKS_MIN: usize = 120;
/// For a person who works on some: part of the names of those to run.
const ONLY: &str = "EGGBOX_TEST_ATTACKS";
/// Attacks that run at the same time.
const PARALLEL: usize = 4;
/// Those of this class use up what others need, and come after them.
const LAST: &str = "resources";
/// Short enough that attacks on it do not hold the tests up.
const LIMITS: &str = "--wall-seconds-max 6 --interrupt-grace-seconds 0.5 --output-bytes-max 1048576";
const OUTPUT_BYTES_MAX: usize = 1 << 20;
/// Ways that are run at the same time: not two in which an ordinary user's uid is shared, as the kernel counts by it.
const TOGETHER: [[Way; 2]; 2] = [[Way::Root, Way::User], [Way::Reduced, Way::ReducedUser]];
const SLOT_FREE_MAX: Duration = Duration::from_secs(10);

/// What came of one attack.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Result {
    AsExpected,
    Wrong(String),
}

/// One way to run, with all that attacks on it need.
struct Range<'a> {
    way: Way,
    server: &'a Server,
    /// With one slot, for attacks by its successive users.
    single: Mutex<Server>,
    single_port: u16,
    canaries: &'a Canaries,
    state_dir: String,
    /// Sessions are made from a checkpoint.
    are_loaded: bool,
}

/// The checkpoint that they are made from.
const CHECKPOINT: &str = "loaded";

#[test]
fn check() {
    check_in(&TOGETHER, false);
}

/// The same in sessions that go on from an image, which one reduced cannot have.
#[test]
fn check_in_loaded_sessions() {
    check_in(&TOGETHER[..1], true);
}

fn check_in(ways: &[[Way; 2]], are_loaded: bool) {
    // One after the other: their times are short, and attacks use up what others need.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut attacks = attack::all();
    assert!(attacks.len() >= ATTACKS_MIN, "{} attacks, fewer than {ATTACKS_MIN}", attacks.len());
    if let Ok(only) = std::env::var(ONLY) {
        println!("{ONLY}: only attacks with {only} in their names are run");
        attacks.retain(|attack| format!("{}/{}", attack.class, attack.name).contains(&only));
    }
    let mut table = String::new();
    let mut wrong = Vec::new();
    for together in ways {
        let ways: Vec<_> = Way::possible().into_iter().filter(|way| together.contains(way)).collect();
        let started = Instant::now();
        let results = std::thread::scope(|scope| {
            let runs: Vec<_> = ways.iter().map(|way| scope.spawn(|| run_all(*way, &attacks, are_loaded))).collect();
            runs.into_iter().map(|run| run.join().expect("a way is run to its end")).collect::<Vec<_>>()
        });
        for (way, results) in std::iter::zip(ways, results) {
            writeln!(table, "\n{}, within {:.0} s", way.name(), started.elapsed().as_secs_f64())
                .expect("a string grows");
            tabulate(&mut table, way, &attacks, &results);
            wrong.extend(complaints(way, &attacks, &results));
        }
    }
    println!("{table}");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// What was wrong in one way: with an attack, or with all of them together.
fn complaints(way: Way, attacks: &[Attack], results: &[Result]) -> Vec<String> {
    let names = attacks.iter().map(|attack| format!("{}/{}", attack.class, attack.name));
    let named = std::iter::zip(names.chain(std::iter::repeat("all of them together".to_owned())), results);
    let complain = |(name, result): (String, &Result)| match result {
        Result::Wrong(why) => Some(format!("{name} as {}: {why}", way.name())),
        Result::AsExpected => None,
    };
    named.filter_map(complain).collect()
}

fn tabulate(table: &mut String, way: Way, attacks: &[Attack], results: &[Result]) {
    let line = |table: &mut String, cells: [String; 6]| {
        let [class, count, held, error, absent, wrong] = cells;
        writeln!(table, "  {class:<10} {count:>7} {held:>6} {error:>6} {absent:>7} {wrong:>6}")
            .expect("a string grows");
    };
    let names = ["class", "attacks", "held", "ended", "absent", "wrong"];
    line(table, names.map(str::to_owned));
    let mut rows: BTreeMap<&str, [usize; 5]> = CLASSES.into_iter().chain(["all"]).map(|name| (name, [0; 5])).collect();
    for (attack, result) in std::iter::zip(attacks, results) {
        let column = match (result, attack.expectation(way)) {
            (Result::Wrong(_), _) => 4,
            (_, Expectation::Held | Expectation::Refused(_)) => 1,
            (_, Expectation::Error(_)) => 2,
            (_, Expectation::Absent(_)) => 3,
        };
        for row in [attack.class.as_str(), "all"] {
            let counts = rows.get_mut(row).expect("every class has a row");
            counts[0] += 1;
            counts[column] += 1;
        }
    }
    for name in CLASSES.into_iter().chain(["all"]) {
        let counts = rows[name].map(|count| count.to_string());
        let [all, held, error, absent, wrong] = counts;
        line(table, [name.to_owned(), all, held, error, absent, wrong]);
    }
}

/// One result for each attack, and one more for each thing that was wrong with all of them together.
fn run_all(way: Way, attacks: &[Attack], are_loaded: bool) -> Vec<Result> {
    let canaries = Canaries::start(way);
    let setups = || [way.setup().option(LIMITS), way.setup().option(LIMITS).option("--sessions-max 1")];
    let [server, single] = if are_loaded { setups().map(start_with_checkpoint) } else { setups().map(Setup::start) };
    let state_dir = server.state_dir().display().to_string();
    let single_port = single.address.port();
    let range = Range {
        way,
        server: &server,
        single: Mutex::new(single),
        single_port,
        canaries: &canaries,
        state_dir,
        are_loaded,
    };
    let results = Mutex::new(vec![None; attacks.len()]);
    let run = |index: usize| {
        let result = range.run(&attacks[index]);
        results.lock().expect("nobody panics with it")[index] = Some(result);
    };
    let (last, first): (Vec<_>, Vec<_>) = (0..attacks.len()).partition(|index| attacks[*index].class == LAST);
    for indices in [first, last] {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..PARALLEL {
                scope.spawn(|| {
                    while let Some(index) = indices.get(next.fetch_add(1, Ordering::Relaxed)) {
                        run(*index);
                    }
                });
            }
        });
    }
    let single = range.single.into_inner().expect("nobody panicked with it");
    let results = results.into_inner().expect("nobody panicked with it");
    let mut results: Vec<_> = results.into_iter().map(|result| result.expect("every attack was run")).collect();
    for server in [single, server] {
        server.signal(Signal::TERM);
        let stopped = server.wait();
        if !stopped.status.success() || stopped.log.contains("panicked") {
            results.push(Result::Wrong(format!("the server ended by {}:\n{}", stopped.status, stopped.log)));
        }
    }
    results.extend(canaries.touched().into_iter().map(Result::Wrong));
    results
}

impl Range<'_> {
    fn run(&self, attack: &Attack) -> Result {
        match self.attempt(attack) {
            Ok(()) => Result::AsExpected,
            Err(why) => Result::Wrong(why),
        }
    }

    fn attempt(&self, attack: &Attack) -> std::result::Result<(), String> {
        let marker = random();
        if attack.takes_the_slot_over() {
            let single = self.single.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            return self.attempt_on(&single, attack, &marker);
        }
        self.attempt_on(self.server, attack, &marker)?;
        // Whatever became of the attacker, others are served.
        let neighbour = self.server.session();
        let answer = neighbour.run("print(6 * 7)");
        if (answer.stdout(), answer.error()) != ("42\n", "") {
            return Err(format!("a neighbour got {answer:?}"));
        }
        end(&neighbour)
    }

    fn attempt_on(&self, server: &Server, attack: &Attack, marker: &str) -> std::result::Result<(), String> {
        let sessions = [server.session(), server.session(), server.session()];
        let session_of = |who: Who| match who {
            Who::A => &sessions[0],
            Who::B => &sessions[1],
            Who::Next => &sessions[2],
        };
        let mut loaded = BTreeSet::new();
        let prelude = std::fs::read_to_string(attack::folder().join("prelude.py")).expect("the prelude is there");
        let (last, before) = attack.parts.split_last().expect("an attack has a part");
        let mut outcome = Ok(());
        let mut current = last.0;
        for (index, (who, code)) in attack.parts.iter().enumerate() {
            if *who == Who::Next && index > 0 {
                sessions[0].run("import os; os._exit(0)");
            }
            current = *who;
            if self.are_loaded && loaded.insert(&session_of(*who).id) {
                load_where_free(server, &session_of(*who).id)?;
            }
            let code = self.fill_in(&format!("{prelude}\n{code}"), marker);
            let answer = run_where_free(session_of(*who), &code);
            outcome = self.inspect(&answer);
            if outcome.is_ok() && matches!(attack.expectation(self.way), Expectation::Refused(_)) && is_refused(&answer)
            {
                break;
            }
            if outcome.is_ok() && index < before.len() {
                let broken = !answer.stderr().is_empty() || !answer.error().is_empty();
                outcome = if broken { Err(format!("part {index} broke: {answer:?}")) } else { Ok(()) };
            } else if outcome.is_ok() {
                outcome = judge(attack.expectation(self.way), &answer);
            }
            if outcome.is_err() {
                break;
            }
        }
        // The session lives, or the next request says that it does not: an answer comes in any case.
        let after = session_of(current).run("import os\nos.write(1, b'on')");
        if outcome.is_ok() && after.status != 200 {
            outcome = Err(format!("the request after it got {after:?}"));
        }
        for session in &sessions {
            if attack.takes_the_slot_over() || attack.parts.iter().any(|(who, _)| session_of(*who).id == session.id) {
                end(session)?;
            }
        }
        outcome
    }

    /// What holds whatever is expected.
    fn inspect(&self, answer: &Answer) -> std::result::Result<(), String> {
        let text = answer.json.to_string();
        if answer.status != 200 {
            return Err(format!("{answer:?}"));
        }
        if let Some(key) = answer.keys().into_iter().find(|key| !["id", "stdout", "stderr", "error"].contains(key)) {
            return Err(format!("the answer has a member `{key}`: {answer:?}"));
        }
        let secrets = [SECRET, &self.canaries.marker[8..]];
        if secrets.iter().any(|secret| text.contains(secret)) {
            return Err(format!("a secret of the host came out: {text}"));
        }
        if answer.stdout().len() > 3 * OUTPUT_BYTES_MAX || answer.stderr().len() > 3 * OUTPUT_BYTES_MAX {
            return Err(format!("{} and {} bytes of output", answer.stdout().len(), answer.stderr().len()));
        }
        Ok(())
    }

    fn fill_in(&self, code: &str, marker: &str) -> String {
        let mut code = code.replace("@MARKER@", marker);
        for (name, value) in &self.canaries.names {
            code = code.replace(&format!("@{name}@"), value);
        }
        let own = [
            ("SERVER_PORT", self.server.address.port().to_string()),
            ("SINGLE_PORT", self.single_port.to_string()),
            ("SERVER_PID", self.server.pid().as_raw_nonzero().to_string()),
            ("STATE_DIR", self.state_dir.clone()),
            ("WAY", self.way.name().to_owned()),
        ];
        for (name, value) in own {
            code = code.replace(&format!("@{name}@"), &value);
        }
        code
    }
}

fn judge(expected: &Expectation, answer: &Answer) -> std::result::Result<(), String> {
    let verdicts: Vec<_> =
        answer.stdout().lines().filter(|line| line.starts_with("held: ") || line.starts_with("BREACH: ")).collect();
    let last = answer.stdout().lines().last().unwrap_or_default();
    let is_as_expected = match expected {
        Expectation::Held => answer.error().is_empty() && verdicts == [last] && last.starts_with("held: "),
        Expectation::Absent(_) => answer.error().is_empty() && verdicts == [last] && last.starts_with("BREACH: "),
        Expectation::Error(text) => answer.error().starts_with(text) && verdicts.is_empty(),
        Expectation::Refused(_) => is_refused(answer),
    };
    if is_as_expected { Ok(()) } else { Err(format!("not {expected:?} but {}", shortened(answer))) }
}

/// The program ended in a PermissionError of its own, before any verdict.
fn is_refused(answer: &Answer) -> bool {
    let refused = answer.stderr().lines().any(|line| line.starts_with("PermissionError: "));
    refused && answer.error().is_empty() && !answer.stdout().contains("BREACH")
}

fn shortened(answer: &Answer) -> String {
    let tail = |text: &str| text.chars().rev().take(1500).collect::<Vec<_>>().into_iter().rev().collect::<String>();
    format!("stdout {:?} stderr {} error {:?}", tail(answer.stdout()), tail(answer.stderr()), answer.error())
}

/// A server that has a checkpoint. Behind a server of root's it is one of another nest.
fn start_with_checkpoint(setup: Setup) -> Server {
    let again = setup.clone();
    let server = setup.start();
    // One that has run nothing: executions of what goes on from it are numbered from 1, which some attacks make use of.
    assert_eq!(server.create(r#"{"id": "origin"}"#).status, 201);
    let taken = server.send("POST", "/v1/sessions/origin/checkpoints", &format!(r#"{{"name": "{CHECKPOINT}"}}"#));
    assert_eq!(taken.status, 201, "{taken:?}");
    server.delete("origin");
    if again.uid.is_some() { server } else { again.start_after(server.end_by(Signal::TERM)) }
}

/// Makes a session from that, as soon as there is room for it.
fn load_where_free(server: &Server, id: &str) -> std::result::Result<(), String> {
    let body = format!(r#"{{"id": "{id}", "checkpoint": "{CHECKPOINT}"}}"#);
    let made = wait_for(SLOT_FREE_MAX, || Some(server.create(&body)).filter(|made| made.status != 503));
    match made {
        Some(made) if made.status == 201 => Ok(()),
        other => Err(format!("no session from a checkpoint: {other:?}")),
    }
}

/// Runs code in a new session, as soon as there is room for it.
fn run_where_free(session: &Session<'_>, code: &str) -> Answer {
    let mut answer = session.run(code);
    let _ = wait_for(SLOT_FREE_MAX, || {
        if answer.status != 503 {
            return Some(());
        }
        answer = session.run(code);
        None
    });
    answer
}

/// Ends a session that is not needed any more.
fn end(session: &Session<'_>) -> std::result::Result<(), String> {
    let answer = session.run("import os; os._exit(0)");
    match answer.status {
        200 | 503 => Ok(()),
        _ => Err(format!("ending it gave {answer:?}")),
    }
}

/// 32 hexadecimal digits that nobody can guess.
fn random() -> String {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .expect("the kernel gives some");
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string grows");
        text
    })
}
