//! The kernel's control groups: joined, counted, used again and removed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::attacks::way::Way;
use crate::process::wait_for;
use crate::server::{Server, Setup};

/// The tests' own group and everything of its name: `<mount>/.../eggbox-<16 digits>`.
fn groups() -> BTreeSet<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted");
    let roots = mounts.lines().filter(|line| line.contains(" - cgroup")).filter_map(|line| line.split(' ').nth(4));
    let mut found = BTreeSet::new();
    for root in roots {
        collect(Path::new(root), 0, &mut found);
    }
    found
}

fn collect(folder: &Path, depth: usize, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if name.strip_prefix("eggbox-").is_some_and(|digits| digits.len() == 16) {
            found.insert(entry.path());
        } else if depth < 4 {
            collect(&entry.path(), depth + 1, found);
        }
    }
}

/// Those of a server: it alone has a process with an argument like this one's.
fn groups_of(server: &Server) -> BTreeSet<PathBuf> {
    let session = server.session();
    let seconds = format!("100.{}", session.id.replace(|character: char| !character.is_ascii_digit(), "0"));
    session.print(&format!("import subprocess; child = subprocess.Popen(['sleep', '{seconds}'])"));
    let marked = wait_for(Duration::from_secs(10), || {
        let found: BTreeSet<PathBuf> = groups().into_iter().filter(|group| has_process(group, &seconds)).collect();
        (!found.is_empty()).then_some(found)
    });
    session.run("import os; os._exit(0)");
    marked.expect("a session has groups")
}

fn has_process(group: &Path, argument: &str) -> bool {
    let slots = fs::read_dir(group).into_iter().flatten().flatten();
    let lists = slots.filter_map(|slot| fs::read_to_string(slot.path().join("cgroup.procs")).ok());
    lists.flat_map(|list| list.lines().map(str::to_owned).collect::<Vec<_>>()).any(|pid| pid_is_of(&pid, argument))
}

fn pid_is_of(pid: &str, argument: &str) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(argument))
}

fn possible() -> bool {
    let possible = rustix::process::geteuid().is_root();
    if !possible {
        println!("left out, as the tests do not run as root: making control groups");
    }
    possible
}

#[test]
fn sessions_are_in_groups_of_their_own_and_none_is_left_at_the_end() {
    if !possible() {
        return;
    }
    for way in [Way::Root, Way::Reduced] {
        let server = way.setup().start();
        let found = groups_of(&server);
        assert!(!found.is_empty(), "{found:?}");
        let seen = server.run("print(open('/proc/self/cgroup').read())");
        if way == Way::Root {
            assert!(seen.stdout().lines().all(|line| line.is_empty() || line.ends_with(":/")), "{seen:?}");
        }
        server.signal(Signal::TERM);
        assert!(server.wait().status.success());
        let left: Vec<_> = found.iter().filter(|group| group.exists()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_session_that_computes_lets_others_go_first_until_it_rests() {
    if !possible() {
        return;
    }
    let server = Server::bare();
    let session = server.session();
    session.print("import time");
    // Of a hierarchy of version 1 or 2, in which a new group has 1024 or 100.
    let is_low = |wanted: bool| {
        let groups = groups();
        let slots = groups.iter().flat_map(|group| fs::read_dir(group).into_iter().flatten().flatten());
        let weights = slots.filter_map(|slot| {
            let folder = slot.path();
            let value = |name: &str| fs::read_to_string(folder.join(name)).ok();
            let weight: u64 = value("cpu.shares").or_else(|| value("cpu.weight"))?.trim().parse().ok()?;
            let pids = value("cgroup.procs")?;
            // Its own is the only one with a process that has this for an argument.
            pids.lines().any(|pid| pid_is_of(pid, &session.id)).then_some(weight)
        });
        weights.into_iter().next().is_some_and(|weight| (weight < 100) == wanted)
    };
    session.print(&format!("import subprocess; subprocess.Popen(['sh', '-c', 'sleep 100; : {}'])", session.id));
    // What an execution has left behind goes last.
    assert!(is_low(true));
    let share_in = |code: &str, wanted: bool| {
        std::thread::scope(|scope| {
            let running = scope.spawn(|| session.print(&format!("{code}\nprint('now', flush=True); time.sleep(1.5)")));
            let is_there = || server.get(&format!("/v1/sessions/{}/executions/last", session.id)).stdout() == "now\n";
            assert!(wait_for(Duration::from_secs(20), || is_there().then_some(())).is_some());
            assert!(wait_for(Duration::from_secs(1), || is_low(wanted).then_some(())).is_some(), "{code}");
            running.join().expect("it is answered");
        });
    };
    share_in("pass", false);
    share_in("end = time.process_time() + 0.4\nwhile time.process_time() < end: pass", true);
    // A quarter of a second is held against it at most, and a tenth of a second forgotten in a second.
    std::thread::sleep(Duration::from_millis(2000));
    share_in("pass", false);
}

#[test]
fn groups_are_used_again_and_clean() {
    if !possible() {
        return;
    }
    let server = Server::with("--sessions-max 1 --memory-bytes-max 134217728 --wall-seconds-max 10");
    let count = |found: &BTreeSet<PathBuf>| -> usize {
        let slots = found.iter().flat_map(|group| fs::read_dir(group).into_iter().flatten().flatten());
        slots.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).count()
    };
    let found = groups_of(&server);
    for round in 0..30 {
        let session = server.session();
        let greedy = wait_for(Duration::from_secs(10), || {
            let answer = session.run("import os\nblock = b'x' * (70 << 20)\nprint(len(block) >> 20)");
            (answer.status == 200).then_some(answer)
        });
        // Each finds all of its memory free, whatever the one before had.
        assert_eq!(greedy.expect("there is room").stdout(), "70\n", "round {round}");
        session.run("import os; os._exit(0)");
    }
    let hierarchies = found.len();
    let slots = count(&found);
    assert!(slots <= hierarchies * 18, "{slots} groups in {hierarchies} hierarchies after 30 sessions, one at a time");
}

#[test]
fn groups_that_a_killed_server_has_made_in_part_are_made_whole() {
    if !possible() {
        return;
    }
    let setup = || Setup::bare().option("--sessions-max 1 --abandoned-seconds-max 100");
    let server = setup().start();
    let found = groups_of(&server);
    let removed = wait_for(Duration::from_secs(5), || {
        // Of every slot that nobody is in, in one hierarchy.
        let group =
            found.iter().find(|group| group.to_string_lossy().contains("/pids/")).expect("processes are counted");
        let slots: Vec<_> = fs::read_dir(group).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        slots.iter().filter(|slot| slot.is_dir()).any(|slot| fs::remove_dir(slot).is_ok()).then_some(())
    });
    assert!(removed.is_some());
    let server = setup().start_after(server.end_by(Signal::KILL));
    assert_eq!(server.run("print(6 * 7)").stdout(), "42\n");
}

#[test]
fn a_limit_that_cannot_be_put_up_makes_no_session() {
    if !possible() {
        return;
    }
    let server = Server::with("--parked-sessions-max 1");
    let found = groups_of(&server);
    let memory = found.iter().find(|group| group.join("1").join("memory.stat").exists()).expect("memory is counted");
    // Into the group of the session that was made ahead: with version 1 the kernel refuses the limit, with version 2 it
    // ends who is in there.
    let parked = wait_for(Duration::from_secs(5), || {
        let slots = fs::read_dir(memory).into_iter().flatten().flatten().map(|entry| entry.path().join("cgroup.procs"));
        let mut used = slots.filter(|list| fs::read_to_string(list).is_ok_and(|pids| !pids.is_empty()));
        let only = used.next();
        only.filter(|_| used.next().is_none())
    });
    let fill = "open(__import__('sys').argv[1], 'w').write('0')\nblock = b'x' * (80 << 20)\nprint(flush=True)\ninput()";
    let mut filler = std::process::Command::new(crate::python::bare())
        .args(["-c", fill])
        .arg(parked.expect("one is made ahead"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the interpreter starts");
    let mut said = [0];
    let stdout = filler.stdout.as_mut().expect("it is a pipe");
    std::io::Read::read_exact(stdout, &mut said).expect("it has what it wants");
    let refused = server.create(r#"{"id": "a", "limits": {"memory_bytes": 33554432}}"#);
    assert_eq!((refused.status, refused.refusal()[0]), (500, "internal_error"), "{refused:?}");
    assert_eq!(server.look_at("a").status, 404);
    let _ = filler.kill();
    filler.wait().expect("a child can be waited for");
    assert_eq!(server.create(r#"{"id": "a", "limits": {"memory_bytes": 33554432}}"#).status, 201);
}

#[test]
fn without_groups_it_is_said_and_the_rest_holds() {
    let server = Server::with("--control-groups off --memory-bytes-max 134217728 --processes-max 10");
    let health = server.get("/health").json.to_string();
    assert!(health.contains("switched off (control_groups)"), "{health}");
    let answer = server.run("block = bytearray(300 << 20)");
    assert!(answer.error().starts_with("memory limit exceeded"), "{answer:?}");
    let code = "import os, time\nfor _ in range(4):\n    if not os.fork():\n        block = b'x' * (60 << 20)\n        time.sleep(3)\n        os._exit(0)\nfor _ in range(4): os.wait()";
    let answer = server.run(code);
    assert!(answer.error().starts_with("memory limit exceeded"), "{answer:?}");
    let answer = server.run("import os, time\ntry:\n    for _ in range(20):\n        if not os.fork(): time.sleep(1); os._exit(0)\nexcept BlockingIOError: print('refused')");
    assert_eq!(answer.stdout(), "refused\n", "{answer:?}");
}

#[test]
fn groups_that_cannot_be_had_are_refused_naming_cause_and_mend() {
    // A controller is in one version at a time; a user may make no groups of version 1 at all.
    let two = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    let other = if two.contains("memory") { "--control-groups v1" } else { "--control-groups v2" };
    let user = Way::User.setup().option("--control-groups v1").run_to_end();
    for refused in [Setup::bare().option(other).run_to_end(), user] {
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(refused.log.contains("control groups of the kind that was asked for"), "{refused:?}");
        assert!(refused.log.contains("--control-groups auto"), "{refused:?}");
    }
    let unknown = Setup::bare().option("--control-groups v3").run_to_end();
    assert!(unknown.status.code() == Some(2) && unknown.log.contains("auto, v1, v2 or off"), "{unknown:?}");
}
