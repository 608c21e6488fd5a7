//! What code can make of its workspace to lead, hold up or bring down whoever looks at it from outside.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::attacks::way::Way;
use crate::files_client::{Files, read};
use crate::process::wait_for;
use crate::server::{Server, Session};

const SECRET: &str = "quince-on-the-host";

/// How long code may take to say that it runs.
const STARTED_MAX: Duration = Duration::from_secs(20);

/// A folder of the host's that everybody may read and write, with a secret in it.
fn canary() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    fs::write(folder.path().join("secret"), SECRET).expect("it can be written");
    open(folder.path(), 0o777);
    open(&folder.path().join("secret"), 0o666);
    folder
}

fn assert_untouched(canary: &TempDir) {
    let names: Vec<_> =
        fs::read_dir(canary.path()).expect("it is there").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["secret"]);
    assert_eq!(fs::read_to_string(canary.path().join("secret")).expect("it is there"), SECRET);
}

fn files<'a>(server: &'a Server, session: &'a Session<'_>) -> Files<'a> {
    Files { server, session: &session.id }
}

#[test]
fn no_link_is_followed_by_whatever_request() {
    for way in Way::possible() {
        let (server, canary) = (way.setup().start(), canary());
        let session = server.session();
        let host = canary.path().display();
        session.print(&format!(
            "\
import os
os.mkdir('d')
os.symlink('{host}', 'folder'); os.symlink('{host}/secret', 'file'); os.symlink('../../../../../../..{host}', 'up')
os.symlink('/proc/self/root', 'root'); os.symlink('/proc/1/cwd', 'cwd'); os.symlink('/', 'd/slash'); os.symlink('loop', 'loop')
os.symlink('/dev/stdin', 'stdin'); os.symlink('none', 'dangling'); os.symlink('d', 'inner'); open('d/own', 'w').write('own')
"
        ));
        let files = files(&server, &session);
        let host_inside = format!("root{host}/secret");
        for path in [
            "folder/secret",
            "file",
            "up/secret",
            &host_inside,
            "cwd/d/own",
            "d/slash/etc/passwd",
            "loop",
            "stdin",
            "dangling",
            "inner/own",
        ] {
            assert_eq!(files.get(path).refusal(), (409, "not_a_regular_file".to_owned()), "{way:?} {path}");
        }
        for path in ["folder/new", "up/new", "root/tmp/new", "inner/new", "folder/a/b/new", "loop/new"] {
            assert_eq!(files.put(path, b"x").status, 409, "{way:?} {path}");
            assert_eq!(files.delete(path).status, 409, "{way:?} {path}");
            assert_eq!(files.rename(&json!({"from": "d/own", "to": path})).status, 409, "{way:?} {path}");
        }
        assert_eq!(files.delete("folder/secret?recursive=true").status, 409, "{way:?}");
        assert_eq!(files.rename(&json!({"from": "folder/secret", "to": "mine"})).status, 409, "{way:?}");
        for path in ["folder", "up", "root", "cwd", "d/slash", "inner"] {
            assert_eq!(files.list(&format!("?path={path}")).status, 409, "{way:?} {path}");
            assert_eq!(files.tar(&format!("?path={path}")).status, 409, "{way:?} {path}");
        }
        let all = files.list("?recursive=true").text();
        assert!(!all.contains("secret") && !all.contains("etc"), "{way:?} {all}");
        assert!(!files.tar("").text().contains(SECRET), "{way:?}");
        // What goes is the link.
        for path in ["folder?recursive=true", "file", "d?recursive=true", "loop", "dangling"] {
            assert_eq!(files.delete(path).status, 204, "{way:?} {path}");
        }
        assert_eq!(files.put("up", b"x").status, 200, "{way:?}");
        assert_eq!(files.paths("?recursive=true"), ["cwd", "inner", "root", "stdin", "up"], "{way:?}");
        assert_untouched(&canary);
    }
}

#[test]
fn a_name_that_becomes_a_link_again_and_again_leads_nowhere() {
    let (server, canary) = (Server::with("--wall-seconds-max 20"), canary());
    let session = server.session();
    session.print("import os");
    let code = format!(
        "\
import itertools
open('going', 'w').write('x')
for turn in itertools.count():
    if os.path.exists('stop'): break
    try:
        if turn % 2: os.symlink('{}', 'd')
        else: os.mkdir('d'); os.symlink('{}/secret', 'd/secret')
    except OSError: pass
print('done')
",
        canary.path().display(),
        canary.path().display()
    );
    let files = files(&server, &session);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| session.run(&code));
        wait_for(STARTED_MAX, || (files.get("going").status == 200).then_some(())).expect("it starts");
        let end = Instant::now() + Duration::from_secs(5);
        let race = move |turn: usize| {
            let replies = match turn % 6 {
                0 => files.put("d/secret", b"mine"),
                1 => files.get("d/secret"),
                2 => files.delete("d?recursive=true"),
                3 => files.list("?path=d&recursive=true"),
                4 => files.tar(""),
                _ => files.rename(&json!({"from": "d/secret", "to": "d/e/moved", "replace": true})),
            };
            assert!(replies.status < 500, "{}", replies.text());
            assert!(!replies.text().contains(SECRET), "{turn}");
        };
        let racers: Vec<_> = (0..2)
            .map(|first| scope.spawn(move || (first..).take_while(|_| Instant::now() < end).map(race).count()))
            .collect();
        let turns: usize = racers.into_iter().map(|racer| racer.join().expect("nothing came out")).sum();
        assert!(turns > 100, "{turns}");
        assert_eq!(files.put("stop", b"").status, 201);
        assert_eq!(running.join().expect("it is answered").stdout(), "done\n");
    });
    assert_untouched(&canary);
}

#[test]
fn what_is_no_file_is_never_opened_or_waited_for() {
    for way in Way::possible() {
        let server = way.setup().start();
        let session = server.session();
        session.print(
            "\
import os, socket, threading
os.mkfifo('fifo'); os.mkfifo('full'); os.mkdir('folder')
try: s = socket.socket(socket.AF_UNIX); s.bind('socket')
except OSError: os.mkfifo('socket')
for kind in 0o020000, 0o060000:
    try: os.mknod(f'device{kind}', kind | 0o666, os.makedev(1, 8)); print('a device!')
    except OSError: pass
opened = []
def wait(): opened.append(os.open('fifo', os.O_WRONLY))
threading.Thread(target=wait, daemon=True).start()
",
        );
        let files = files(&server, &session);
        let began = Instant::now();
        for path in ["fifo", "full", "socket", "folder"] {
            assert_eq!(files.get(path).refusal(), (409, "not_a_regular_file".to_owned()), "{way:?} {path}");
        }
        assert_eq!(files.list("?path=fifo").refusal().0, 409);
        assert_eq!(files.tar("").status, 200);
        assert_eq!(files.list("?recursive=true").status, 200);
        // Nobody has opened its other end.
        assert_eq!(session.print("print(opened)"), "[]\n", "{way:?}");
        assert_eq!(files.put("full", b"now a file").status, 200, "{way:?}");
        assert_eq!(files.rename(&json!({"from": "socket", "to": "folder/socket"})).status, 200, "{way:?}");
        assert_eq!(files.delete("fifo").status, 204, "{way:?}");
        assert_eq!(files.paths("?recursive=true"), ["folder", "folder/socket", "full"], "{way:?}");
        assert!(began.elapsed() < Duration::from_secs(10), "{way:?} {:?}", began.elapsed());
    }
}

#[test]
fn modes_keep_out_as_they_keep_the_sessions_user_out() {
    // Elsewhere code may not change them.
    for way in Way::possible().into_iter().filter(|way| !way.is_reduced()) {
        let server = way.setup().start();
        let session = server.session();
        session.print(
            "\
import os
os.makedirs('shut/in/side'); open('shut/in/f', 'w').write('f'); open('none', 'w').write('none'); os.mkdir('fixed'); open('z', 'w').write('z')
for name, mode in ('shut/in', 0), ('shut', 0), ('none', 0), ('fixed', 0o555): os.chmod(name, mode)
",
        );
        let files = files(&server, &session);
        for path in ["none", "shut/in/f"] {
            assert_eq!(files.get(path).refusal(), (403, "permission_denied".to_owned()), "{way:?} {path}");
        }
        assert_eq!(files.put("fixed/new", b"x").refusal().0, 403, "{way:?}");
        assert_eq!(files.list("?path=shut").refusal().0, 403, "{way:?}");
        assert_eq!(files.paths("?recursive=true"), ["fixed", "none", "shut", "z"], "{way:?}");
        let archive = files.tar("");
        assert!(archive.is_whole && archive.text().contains("shut") && !archive.text().contains("none"), "{way:?}");
        assert_eq!(files.put("none", b"open").status, 200, "{way:?}");
        assert_eq!(files.delete("shut?recursive=true").status, 204, "{way:?}");
        assert_eq!(files.paths(""), ["fixed", "none", "z"], "{way:?}");
    }
}

#[test]
fn a_hundred_thousand_files_are_listed_archived_and_removed() {
    let server = Server::with("--files-max 200000 --wall-seconds-max 120 --memory-bytes-max 1073741824");
    let session = server.session();
    let code = "\
import os
os.mkdir('many')
for number in range(100_000): os.close(os.open(f'many/{number:x}', os.O_CREAT))
";
    session.print(code);
    let files = files(&server, &session);
    let (mut count, mut cursor, mut last) = (0, String::new(), String::new());
    loop {
        let listed = files.list(&format!("?path=many{cursor}")).json();
        for entry in listed["entries"].as_array().expect("there are entries") {
            let path = entry["path"].as_str().expect("it has a path");
            assert!(*path > *last, "{last} {path}");
            path.clone_into(&mut last);
            count += 1;
        }
        let Some(next) = listed["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(count, 100_000);
    let archive = files.tar("");
    assert!(archive.is_whole && archive.body.len() > 100_000 * 512, "{}", archive.body.len());
    assert_eq!(files.delete("many?recursive=true").status, 204);
    assert_eq!(session.print("print(os.listdir())"), "[]\n");
}

#[test]
fn what_is_very_deep_is_cut_or_refused_and_can_be_removed() {
    for way in [Way::Root, Way::Reduced].into_iter().filter(|way| Way::possible().contains(way)) {
        let server = way.setup().start();
        let session = server.session();
        session.print(
            "\
import os
for _ in range(3000):
    os.mkdir('d'); open('f', 'w'); os.chdir('d')
os.chdir('/workspace' if os.path.exists('/workspace/d') else os.environ['HOME'])
",
        );
        let files = files(&server, &session);
        let listed = files.list("?recursive=true").json();
        assert_eq!(
            (listed["entries"].as_array().map(Vec::len), &listed["too_deep"]),
            (Some(128), &json!(true)),
            "{way:?}"
        );
        assert_eq!(files.tar("").refusal(), (409, "tree_too_large".to_owned()), "{way:?}");
        assert_eq!(files.delete("d?recursive=true").status, 204, "{way:?}");
        assert_eq!(files.paths(""), ["f"], "{way:?}");
    }
}

#[test]
fn a_folder_that_grows_while_it_is_removed_does_not_hold_anybody_up() {
    let server = Server::with("--wall-seconds-max 60");
    let session = server.session();
    std::thread::scope(|scope| {
        let code = "\
import os
os.makedirs('d/e'); open('going', 'w').write('x')
while not os.path.exists('stop'):
    for number in range(100):
        try: os.makedirs(f'd/e/{number}/x')
        except OSError: pass
print('done')
";
        let running = scope.spawn(|| session.run(code));
        let files = files(&server, &session);
        wait_for(STARTED_MAX, || (files.get("going").status == 200).then_some(())).expect("it starts");
        let began = Instant::now();
        let removed = files.delete("d?recursive=true");
        assert!(matches!(removed.status, 204 | 409), "{}", removed.text());
        assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
        assert_eq!(files.put("stop", b"").status, 201);
        assert_eq!(running.join().expect("it is answered").stdout(), "done\n");
    });
}

#[test]
fn holes_are_no_way_to_an_endless_archive() {
    let server = Server::bare();
    let session = server.session();
    session.print("for number in range(100):\n    with open(f'sparse{number}', 'wb') as f: f.truncate(200 << 20)");
    let files = files(&server, &session);
    assert_eq!(files.tar("").refusal(), (409, "tree_too_large".to_owned()));
    let part = files.get_with("sparse7", "range: bytes=209715100-\r\n");
    assert_eq!((part.status, part.body), (206, vec![0; 100]));
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_is_seen_to_be_cut() {
    let server = Server::bare();
    let session = server.session();
    session.print("import os\nopen('large', 'wb').write(bytes([7]) * (100 << 20))");
    let files = files(&server, &session);
    for (path, is_whole) in [("/files/large", false), ("/files.tar", true)] {
        session.print("open('large', 'wb').write(bytes([7]) * (100 << 20))");
        let mut stream = files.connect();
        stream.write_all(files.head("GET", path, "").as_bytes()).unwrap();
        let mut first = [0; 4096];
        stream.read_exact(&mut first).unwrap();
        session.print("os.truncate('large', 10)");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        // The sizes that were announced, more or less.
        assert_eq!(rest.len() > 100 << 20, is_whole, "{path} {}", rest.len());
    }
    assert_eq!(files.get("large").body, [7; 10]);
}

#[test]
fn who_reads_nothing_holds_up_nobody_but_those_who_want_the_same() {
    let server = Server::bare();
    let session = server.session();
    session.print("open('large', 'wb').write(bytes(50 << 20)); open('small', 'w').write('s')");
    let files = files(&server, &session);
    let stall = |path: &str| {
        let mut stream = files.connect();
        stream.write_all(files.head("GET", path, "").as_bytes()).unwrap();
        stream.read_exact(&mut [0; 1024]).unwrap();
        stream
    };
    let archives: Vec<_> = (0..4).map(|_| stall("/files.tar")).collect();
    let downloads: Vec<_> = (0..30).map(|_| stall("/files/large")).collect();
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(files.get("small").body, b"s");
        assert_eq!(files.list("").status, 200);
        assert_eq!(session.print("print(1)"), "1\n");
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let refused = files.tar("");
    assert_eq!(refused.refusal(), (503, "no_room_for_transfer".to_owned()));
    assert!(refused.header("retry-after").is_some());
    drop((archives, downloads));
    assert_eq!(files.tar("").status, 200);
}

#[test]
fn a_session_that_ends_meanwhile_ends_what_needs_it_and_no_more() {
    let server = Server::bare();
    let session = server.session();
    session.print("open('large', 'wb').write(bytes(50 << 20))");
    let files = files(&server, &session);
    let mut download = files.connect();
    download.write_all(files.head("GET", "/files/large", "").as_bytes()).unwrap();
    let mut upload = files.connect();
    upload.write_all(files.head("PUT", "/files/new", "content-length: 10\r\n").as_bytes()).unwrap();
    upload.write_all(b"half ").unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(server.delete(&session.id).status, 204);
    // Another of that name has nothing of it.
    session.print("import os; print(end='')");
    upload.write_all(b"whole").unwrap();
    assert_eq!(read(upload, false).refusal(), (404, "no_such_session".to_owned()));
    // What was open stays readable to its end.
    let rest = read(download, false);
    assert!(rest.is_whole && rest.body.len() == 50 << 20, "{}", rest.body.len());
    assert_eq!(session.print("print(os.listdir())"), "[]\n");
}

#[test]
fn odd_names_and_times_do_no_harm() {
    let server = Server::bare();
    let session = server.session();
    session.print(
        "\
import os
for name in ['-rf', 'a b', 'a\\nb', '\"quoted\"', '%2e%2e', '\\\\', 'e\\u0301', '?x=1', '#', '.hidden', '...', 'n' * 255, '\\x01\\x7f']:
    open(name, 'w').write(name)
for time in -2**62, 2**62: open(f'time{time}', 'w'); os.utime(f'time{time}', ns=(time, time))
",
    );
    let files = files(&server, &session);
    let listed = files.list("").json();
    let entries = listed["entries"].as_array().expect("there are entries").clone();
    assert_eq!(entries.len(), 15);
    for entry in &entries {
        let path = entry["path"].as_str().expect("it has a path");
        let encoded: String = path.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let got = files.get(&encoded);
        assert_eq!(got.status, 200, "{path:?} {}", got.text());
        assert!(path.starts_with("time") || got.text() == path, "{path:?}");
        assert!(got.header("content-disposition").is_some_and(str::is_ascii), "{path:?}");
    }
    assert!(files.tar("").is_whole);
}
