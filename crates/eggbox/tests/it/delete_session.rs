//! `DELETE /v1/sessions/{id}`.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::attacks::way::Way;
use crate::process::{pid_of, wait_for};
use crate::server::{Server, Setup};

#[test]
fn a_deleted_session_is_gone_with_all_that_it_has_left() {
    for way in Way::possible() {
        let server = way.setup().start();
        let session = server.session();
        let seconds = format!("101.{}", session.id.replace(|character: char| !character.is_ascii_digit(), "0"));
        session.print(&format!("x = 1\nimport subprocess\nsubprocess.Popen(['setsid', 'sleep', '{seconds}'])"));
        let began = wait_for(Duration::from_secs(10), || pid_of(&seconds));
        assert!(began.is_some(), "{}", way.name());
        assert_eq!(server.delete(&session.id).status, 204, "{}", way.name());
        // Without a pid namespace they are looked for, which takes a moment.
        let ended = wait_for(Duration::from_secs(10), || pid_of(&seconds).is_none().then_some(()));
        assert!(ended.is_some(), "{}", way.name());
        let again = server.delete(&session.id);
        assert_eq!((again.status, again.refusal()[0]), (404, "no_such_session"), "{again:?}");
        // Its name is free, and nobody has to be told of what they have asked for.
        assert_eq!(session.print("print('x' in globals())"), "False\n", "{}", way.name());
    }
}

#[test]
fn what_runs_and_what_waits_in_it_is_told() {
    let server = Server::bare();
    let session = server.session();
    session.print("import time");
    let (running, waiting) = std::thread::scope(|scope| {
        let running = scope.spawn(|| session.run("print('so far', flush=True); time.sleep(20)"));
        std::thread::sleep(Duration::from_millis(300));
        let waiting = scope.spawn(|| session.run("print(1)"));
        std::thread::sleep(Duration::from_millis(200));
        let began = Instant::now();
        assert_eq!(server.delete(&session.id).status, 204);
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        (running.join().expect("it is answered"), waiting.join().expect("it is answered"))
    });
    assert_eq!((running.stdout(), running.error()), ("so far\n", "session ended: it was deleted; session state lost"));
    assert!(waiting.error().contains("it was deleted; the code was not run"), "{waiting:?}");
    assert_eq!(session.print("print('time' in globals())"), "False\n");
}

#[test]
fn an_end_that_nobody_was_told_of_can_be_deleted_and_a_wrong_name_is_refused() {
    let server = Server::bare();
    let session = server.session();
    session.print("import threading, os; threading.Timer(0.2, os._exit, [3]).start()");
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(server.delete(&session.id).status, 204);
    assert_eq!(session.print("print('os' in globals())"), "False\n");
    for (id, status) in [("never-begun", 404), ("a%20b", 400)] {
        assert_eq!(server.delete(id).status, status, "{id}");
    }
}

#[test]
fn a_session_that_was_taken_over_can_be_deleted_and_stays_so() {
    let setup = || Setup::bare().option("--abandoned-seconds-max 100");
    let server = setup().start();
    server.run_in("a", "x = 1");
    let server = setup().start_after(server.end_by(Signal::KILL));
    assert_eq!(server.delete("a").status, 204);
    let server = setup().start_after(server.end_by(Signal::KILL));
    assert_eq!(server.run_in("a", "print('x' in globals())").stdout(), "False\n");
}

#[test]
fn a_session_that_ends_by_itself_as_it_is_deleted_is_as_good_as_deleted() {
    let server = Server::bare();
    for round in 0..30 {
        let session = server.session();
        session.print("import threading, os, time\ndef end():\n    time.sleep(.03)\n    os._exit(3)");
        session.print("threading.Thread(target=end).start()");
        std::thread::sleep(Duration::from_millis(26) + Duration::from_micros(300) * round);
        assert_eq!(server.delete(&session.id).status, 204, "{round}");
        assert_eq!(session.print("print('end' in globals())"), "False\n", "{round}");
    }
}
