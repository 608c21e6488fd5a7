//! The files of `/workspace` for their owner: listed, sent, received, moved, removed, archived, whatever code may do.

use std::io::Write;
use std::net::Shutdown;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::attacks::way::Way;
use crate::files_client::{Files, Reply, read};
use crate::process::wait_for;
use crate::python;
use crate::server::{Server, Session, Setup};

fn files<'a>(server: &'a Server, session: &'a Session<'_>) -> Files<'a> {
    Files { server, session: &session.id }
}

/// A session that is there, with code run in it.
fn session_after<'a>(server: &'a Server, code: &str) -> Session<'a> {
    let session = server.session();
    session.print(code);
    session
}

/// What Python's own reader makes of an archive, as JSON.
fn read_tar(reply: &Reply) -> Value {
    const READER: &str = "\
import io, json, sys, tarfile
out = {}
with tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read())) as archive:
    for m in archive:
        kind = 'file' if m.isreg() else 'folder' if m.isdir() else 'link' if m.issym() else '?'
        data = archive.extractfile(m).read(1000).decode('latin-1') if m.isreg() else m.linkname
        out[m.name] = [kind, m.size, oct(m.mode), int(m.mtime), data]
print(json.dumps(out))
";
    assert_eq!(reply.status, 200, "{}", reply.text());
    let mut reader = Command::new(python::bare())
        .args(["-X", "utf8", "-c", READER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("there is a python3");
    reader.stdin.take().expect("it is a pipe").write_all(&reply.body).expect("it reads");
    let output = reader.wait_with_output().expect("it ends");
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

#[test]
fn what_is_sent_is_there_for_code_and_what_code_writes_can_be_had() {
    for way in Way::possible() {
        let server = way.setup().start();
        let session = session_after(&server, "open('own', 'wb').write(bytes(range(256)) * 1000)");
        let files = files(&server, &session);
        let content: Vec<u8> = (0..1_000_003_u32).map(|number| (number % 251) as u8).collect();
        let sent = files.put("deep/er/sent.bin", &content);
        assert_eq!((sent.status, sent.json()["size"].as_u64()), (201, Some(1_000_003)), "{way:?} {}", sent.text());
        let code = "\
import os
s = os.stat('deep/er/sent.bin'); f = os.stat('deep/er')
print(sum(open('deep/er/sent.bin', 'rb').read()), oct(s.st_mode), s.st_uid == f.st_uid == os.getuid(), s.st_gid == os.getgid())
open('deep/er/sent.bin', 'ab').write(b'x'); open('deep/er/beside', 'w').write('y')
";
        let sum: u64 = content.iter().map(|&byte| u64::from(byte)).sum();
        assert_eq!(session.print(code), format!("{sum} 0o100644 True True\n"), "{way:?}");
        let own = files.get("own");
        assert_eq!((own.status, own.is_whole), (200, true), "{way:?}");
        assert_eq!(own.body, (0..=255).collect::<Vec<u8>>().repeat(1000), "{way:?}");
        assert_eq!(files.paths("?recursive=true"), ["deep", "deep/er", "deep/er/beside", "deep/er/sent.bin", "own"]);
        assert_eq!(files.rename(&json!({"from": "own", "to": "new/own"})).status, 200, "{way:?}");
        assert_eq!(read_tar(&files.tar(""))["new/own"][1], 256_000, "{way:?}");
        assert_eq!(files.delete("deep?recursive=true").status, 204, "{way:?}");
        assert_eq!(session.print("print(os.listdir('.'), os.listdir('new'))"), "['new'] ['own']\n", "{way:?}");
        // The thread that was the session's user is gone, and the server what it was.
        assert_eq!(server.session().print("print(1)"), "1\n", "{way:?}");
    }
}

#[test]
fn a_file_takes_the_place_of_another_unless_there_is_to_be_none() {
    let server = Server::bare();
    let session = session_after(&server, "import os; os.mkdir('folder'); os.symlink('a', 'link')");
    let files = files(&server, &session);
    assert_eq!((files.put("a", b"1").status, files.put("a", b"2").status), (201, 200));
    assert_eq!(files.get("a").body, b"2");
    let none = "if-none-match: *\r\n";
    assert_eq!(files.put_with("a", none, b"3").refusal(), (412, "precondition_failed".to_owned()));
    assert_eq!(files.put_with("b", none, b"").status, 201);
    assert_eq!((files.get("a").body, files.get("b").body), (b"2".to_vec(), vec![]));
    assert_eq!(files.put("folder", b"x").refusal(), (409, "not_a_regular_file".to_owned()));
    assert_eq!(files.put("a/b", b"x").refusal(), (409, "not_a_folder".to_owned()));
    // A link is replaced, not followed.
    assert_eq!(files.put("link", b"x").status, 200);
    assert_eq!(
        session.print("print(os.path.islink('link'), open('a').read(), sorted(os.listdir()))"),
        "False 2 ['a', 'b', 'folder', 'link']\n"
    );
}

#[test]
fn ranges_marks_and_heads_are_as_http_has_them() {
    let server = Server::bare();
    let session = session_after(&server, "open('ten.html', 'w').write('0123456789'); open('empty', 'w')");
    let files = files(&server, &session);
    let whole = files.get("ten.html");
    assert_eq!((whole.status, &*whole.body), (200, &b"0123456789"[..]));
    for (name, value) in [
        ("content-type", "application/octet-stream"),
        ("content-length", "10"),
        ("accept-ranges", "bytes"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "sandbox; default-src 'none'"),
        ("cross-origin-resource-policy", "same-origin"),
        ("content-disposition", "attachment; filename*=UTF-8''ten%2Ehtml"),
    ] {
        assert_eq!(whole.header(name), Some(value), "{name}");
    }
    let etag = whole.header("etag").expect("it has a mark").to_owned();
    for (range, status, body, content_range) in [
        ("bytes=2-4", 206, "234", Some("bytes 2-4/10")),
        ("bytes=7-", 206, "789", Some("bytes 7-9/10")),
        ("bytes=-2", 206, "89", Some("bytes 8-9/10")),
        ("bytes=0-99", 206, "0123456789", Some("bytes 0-9/10")),
        ("bytes=0-1,4-5", 200, "0123456789", None),
        ("lines=1-2", 200, "0123456789", None),
    ] {
        let part = files.get_with("ten.html", &format!("range: {range}\r\n"));
        assert_eq!(
            (part.status, &*part.text(), part.header("content-range")),
            (status, body, content_range),
            "{range}"
        );
    }
    for (path, range, content_range) in [
        ("ten.html", "bytes=10-", "bytes */10"),
        ("ten.html", "bytes=-0", "bytes */10"),
        ("empty", "bytes=0-0", "bytes */0"),
    ] {
        let refused = files.get_with(path, &format!("range: {range}\r\n"));
        assert_eq!(refused.refusal(), (416, "range_not_satisfiable".to_owned()), "{range}");
        assert_eq!(refused.header("content-range"), Some(content_range));
    }
    let head = files.ask("HEAD", "/files/ten.html", "", b"");
    assert_eq!((head.status, head.header("content-length"), &*head.body), (200, Some("10"), &b""[..]));
    assert_eq!(files.ask("HEAD", "/files/none", "", b"").status, 404);
    let with = |name: &str| files.get_with("ten.html", &format!("{name}: {etag}\r\nrange: bytes=1-1\r\n")).status;
    assert_eq!((with("if-none-match"), with("if-range")), (304, 206));
    session.print("open('ten.html', 'r+').write('abc'); import os; os.utime('ten.html', (0, 0))");
    assert_eq!((with("if-none-match"), with("if-range")), (206, 200));
    assert_eq!(files.get("empty").body, b"");
}

#[test]
fn a_folder_is_listed_in_order_with_what_there_is_of_each() {
    let code = "\
import os
os.makedirs('b/c'); open('b/c/d', 'w').write('xyz'); open('a', 'w').write('12345')
os.utime('a', (1e9, 1e9)); os.symlink('/etc/passwd', 'l'); os.mkfifo('p'); os.mkdir('B')
open(b'b/\\xff\\xfe', 'w').write('?'); os.utime('b/c/d', ns=(0, 2**62))
";
    let server = Server::bare();
    let session = session_after(&server, code);
    let files = files(&server, &session);
    let listed = files.list("").json();
    let entry = |entry: &Value| json!([entry["path"], entry["type"], entry["size"]]);
    let entries: Vec<_> = listed["entries"].as_array().expect("there are entries").iter().map(entry).collect();
    let expected =
        json!([["B", "folder", 0], ["a", "file", 5], ["b", "folder", 0], ["l", "link", 11], ["p", "other", 0]]);
    assert_eq!(json!(entries), expected);
    assert_eq!(listed["entries"][1]["modified"], "2001-09-09T01:46:40.000Z");
    assert_eq!((&listed["path"], &listed["next"], &listed["too_deep"]), (&json!(""), &Value::Null, &json!(false)));
    let all = ["B", "a", "b", "b/c", "b/c/d", "b/\u{fffd}\u{fffd}", "l", "p"];
    assert_eq!(files.paths("?recursive=true"), all);
    let inner = files.list("?path=b").json();
    assert_eq!((&inner["entries"][0]["path"], &inner["entries"][0]["lossy"]), (&json!("b/c"), &Value::Null));
    assert_eq!(
        (&inner["entries"][1]["path"], &inner["entries"][1]["lossy"]),
        (&json!("b/\u{fffd}\u{fffd}"), &json!(true))
    );
    for (query, code) in [("?path=a", "not_a_folder"), ("?path=l", "not_a_folder"), ("?path=p", "not_a_folder")] {
        assert_eq!(files.list(query).refusal(), (409, code.to_owned()), "{query}");
    }
    assert_eq!(files.list("?path=none").refusal(), (404, "file_not_found".to_owned()));
}

#[test]
fn pages_together_are_the_whole_whatever_their_size() {
    let code = "\
import os
for folder in ['.', 'f', 'f/g', 'f.', 'f/g/h', 'z', 'empty']:
    os.makedirs(folder, exist_ok=True)
    for number in range(0 if folder == 'empty' else 9): open(f'{folder}/n{number}', 'w')
open(b'f/\\xffa', 'w'); os.makedirs(b'f/\\xffb/inner')
";
    let server = Server::bare();
    let session = session_after(&server, code);
    let files = files(&server, &session);
    for recursive in ["true", "false"] {
        let whole = files.paths(&format!("?recursive={recursive}"));
        assert!(whole.len() == if recursive == "true" { 63 } else { 13 }, "{whole:?}");
        for limit in [1, 2, 7, 62, 63, 64] {
            let (mut paged, mut cursor) = (Vec::new(), String::new());
            loop {
                let listed = files.list(&format!("?recursive={recursive}&limit={limit}{cursor}")).json();
                let entries = listed["entries"].as_array().expect("there are entries");
                assert!(entries.len() <= limit);
                paged.extend(entries.iter().map(|entry| entry["path"].as_str().unwrap().to_owned()));
                let Some(next) = listed["next"].as_str() else { break };
                assert_eq!(entries.len(), limit);
                cursor = format!("&cursor={next}");
            }
            assert_eq!(paged, whole, "{recursive} {limit}");
        }
    }
}

#[test]
fn what_moves_keeps_its_content_and_takes_no_place_unasked() {
    let code =
        "import os; os.makedirs('a/b'); open('a/b/c', 'w').write('c'); open('d', 'w').write('d'); os.symlink('d', 'l')";
    let server = Server::bare();
    let session = session_after(&server, code);
    let files = files(&server, &session);
    let moved = files.rename(&json!({"from": "a/b", "to": "x/y/z"}));
    assert_eq!((moved.status, moved.json()["type"].as_str()), (200, Some("folder")), "{}", moved.text());
    assert_eq!(files.get("x/y/z/c").body, b"c");
    for (body, status, code) in [
        (json!({"from": "d", "to": "x/y/z/c"}), 409, "file_exists"),
        (json!({"from": "none", "to": "new/e"}), 404, "file_not_found"),
        (json!({"from": "x", "to": "x/y/in"}), 409, "moved_into_itself"),
        (json!({"from": "x/y", "to": "x/y"}), 409, "file_exists"),
        (json!({"from": "x/y", "to": "d/in"}), 409, "not_a_folder"),
        (json!({"from": "../d", "to": "e"}), 400, "path_invalid"),
        (json!({"from": "d", "to": "/e"}), 400, "path_invalid"),
        (json!({"from": "", "to": "e"}), 400, "path_invalid"),
        (json!({"from": "d"}), 400, "missing_field"),
        (json!({"from": "d", "to": "e", "replace": 1}), 400, "wrong_type"),
        (json!({"from": "d", "to": "e", "force": true}), 400, "unknown_field"),
    ] {
        assert_eq!(files.rename(&body).refusal(), (status, code.to_owned()), "{body}");
    }
    assert_eq!(files.rename(&json!({"from": "d", "to": "x/y/z/c", "replace": true})).status, 200);
    assert_eq!(files.rename(&json!({"from": "l", "to": "m"})).json()["type"], "link");
    assert_eq!(files.paths("?recursive=true"), ["a", "m", "x", "x/y", "x/y/z", "x/y/z/c"]);
    assert_eq!(files.get("x/y/z/c").body, b"d");
}

#[test]
fn code_may_not_delete_and_the_owner_may() {
    let server = Server::bare();
    let session =
        session_after(&server, "import os; os.makedirs('f/g'); open('f/g/h', 'w'); open('a', 'w'); os.mkdir('e')");
    let files = files(&server, &session);
    assert!(session.run("os.remove('a')").error().contains("Permission denied"));
    assert_eq!(files.delete("f").refusal(), (409, "folder_not_empty".to_owned()));
    assert_eq!(files.delete("f?recursive=false").refusal(), (409, "folder_not_empty".to_owned()));
    for path in ["a", "e", "f?recursive=true"] {
        assert_eq!(files.delete(path).status, 204, "{path}");
        assert_eq!(files.delete(path).refusal(), (404, "file_not_found".to_owned()), "{path}");
    }
    assert_eq!(session.print("print(os.listdir())"), "[]\n");
    assert_eq!(files.put("a", b"again").status, 201);
    assert!(session.run("os.remove('a')").error().contains("Permission denied"));
}

#[test]
fn an_archive_has_files_folders_and_links_as_they_are() {
    let long = "n".repeat(200);
    let code = format!(
        "\
import os
os.makedirs('folder/{long}'); open('folder/{long}/{long}', 'w').write('deep'); os.mkdir('empty')
open('run', 'w').write('#!'); os.chmod('run', 0o750); os.utime('run', (1e9, 1e9))
os.symlink('../../etc/./passwd', 'short'); os.symlink('{long}', 'long'); os.mkfifo('fifo'); open('closed', 'w'); os.chmod('closed', 0)
open('big', 'wb').write(b'b' * 700000); open('\u{1F95A}', 'w').write('egg')
"
    );
    let server = Server::bare();
    let session = session_after(&server, &code);
    let files = files(&server, &session);
    let archive = files.tar("");
    assert_eq!(archive.header("content-type"), Some("application/x-tar"));
    assert!(archive.is_whole && archive.header("content-disposition").is_some_and(|name| name.ends_with("%2Etar")));
    let members = read_tar(&archive);
    let names: Vec<_> = members.as_object().expect("an object").keys().cloned().collect();
    let folder = format!("folder/{long}");
    let expected =
        ["big", "empty", "folder", &folder, &format!("{folder}/{long}"), "long", "run", "short", "\u{1F95A}"];
    assert_eq!(names, expected);
    assert_eq!(members["run"], json!(["file", 2, "0o750", 1_000_000_000, "#!"]));
    assert_eq!((&members["short"][0], &members["short"][4]), (&json!("link"), &json!("../../etc/./passwd")));
    assert_eq!((&members["long"][0], &members["long"][4]), (&json!("link"), &json!(long)));
    assert_eq!((&members["big"][1], &members[&format!("{folder}/{long}")][4]), (&json!(700_000), &json!("deep")));
    let part = read_tar(&files.tar("?path=folder"));
    assert_eq!(part.as_object().expect("an object").len(), 2);
    assert_eq!(files.tar("?path=run").refusal(), (409, "not_a_folder".to_owned()));
    assert_eq!(files.tar("?path=none").refusal(), (404, "file_not_found".to_owned()));
}

#[test]
fn what_is_no_path_or_no_question_is_refused_by_name() {
    let server = Server::bare();
    let session = session_after(&server, "");
    let files = files(&server, &session);
    let (long, deep) = ("n".repeat(256), ["d"; 65].join("/"));
    for path in [
        "..",
        "a/../b",
        "./a",
        "a//b",
        "a/",
        "%2e%2e",
        "..%2fa",
        "%2fetc%2fpasswd",
        "a%00b",
        "%ff",
        "a/%c3%28",
        &long,
        &deep,
    ] {
        for method in ["GET", "PUT", "DELETE"] {
            let refused = files.ask(method, &format!("/files/{path}"), "content-length: 0\r\n", b"");
            assert_eq!(refused.refusal(), (400, "path_invalid".to_owned()), "{method} {path}");
            assert_eq!(refused.json()["error"]["field"], "path", "{method} {path}");
        }
        assert_eq!(files.list(&format!("?path={path}")).refusal().1, "path_invalid", "{path}");
        assert_eq!(files.tar(&format!("?path={path}")).refusal().1, "path_invalid", "{path}");
    }
    for (query, code) in [
        ("?limit=0", "out_of_range"),
        ("?limit=1001", "out_of_range"),
        ("?recursive=yes", "out_of_range"),
        ("?cursor=xyz", "out_of_range"),
        ("?depth=3", "unknown_field"),
        ("?path=a&path=b", "repeated_field"),
    ] {
        assert_eq!(files.list(query).refusal(), (400, code.to_owned()), "{query}");
    }
    assert_eq!(files.put_with("a", "if-none-match: \"x\"\r\n", b"").refusal().1, "out_of_range");
    assert_eq!(files.delete("a?force=true").refusal().1, "unknown_field");
    assert_eq!(files.ask("POST", "/files/a", "", b"").refusal(), (405, "method_not_allowed".to_owned()));
    assert_eq!(files.get("none").refusal(), (404, "file_not_found".to_owned()));
    assert_eq!(files.paths(""), [""; 0]);
}

#[test]
fn a_session_that_is_not_there_has_no_files() {
    let server = Server::bare();
    let ended = session_after(&server, "open('a', 'w')");
    ended.run("import os; os._exit(3)");
    let never = server.session();
    for session in [&never, &ended] {
        let files = files(&server, session);
        let refused = [files.get("a"), files.put("a", b"x"), files.delete("a"), files.list(""), files.tar("")];
        for refused in refused.iter().chain([&files.rename(&json!({"from": "a", "to": "b"}))]) {
            assert_eq!(refused.refusal(), (404, "no_such_session".to_owned()));
        }
    }
    let bad = Files { server: &server, session: "a%20b" };
    assert_eq!(bad.get("a").refusal(), (400, "invalid_session_id".to_owned()));
}

#[test]
fn files_can_be_had_while_code_runs() {
    let server = Server::bare();
    let session = session_after(&server, "");
    std::thread::scope(|scope| {
        let code = "import os, time\nopen('started', 'w').write('x')\nwhile not os.path.exists('stop'): time.sleep(0.01)\nprint(open('stop').read())";
        let running = scope.spawn(|| session.run(code));
        let files = files(&server, &session);
        wait_for(Duration::from_secs(20), || (files.get("started").body == b"x").then_some(())).expect("it starts");
        assert_eq!(files.put("stop", b"now").status, 201);
        assert_eq!(running.join().expect("it is answered").stdout(), "now\n");
    });
}

#[test]
fn what_is_too_large_or_finds_no_room_leaves_nothing() {
    let server = Server::with("--file-bytes-max 1000000 --workspace-bytes-max 2000000 --files-max 64");
    let session = session_after(&server, "");
    let files = files(&server, &session);
    let too_large = vec![b'x'; 1_000_001];
    assert_eq!(files.put("f/a", &too_large).refusal(), (413, "file_too_large".to_owned()));
    let chunked = [format!("{:x}\r\n", too_large.len()).as_bytes(), &too_large, b"\r\n0\r\n\r\n"].concat();
    let refused = files.ask("PUT", "/files/f/a", "transfer-encoding: chunked\r\n", &chunked);
    assert_eq!(refused.refusal(), (413, "file_too_large".to_owned()));
    let expect = "expect: 100-continue\r\ncontent-length: 1000001\r\n";
    assert_eq!(files.ask("PUT", "/files/f/a", expect, b"").refusal().0, 413);
    assert_eq!(files.put("a", &too_large[1..]).status, 201);
    assert_eq!(files.put("f/b", &too_large[1..]).refusal(), (507, "no_space".to_owned()));
    assert_eq!(files.paths("?recursive=true"), ["a"]);
    assert_eq!(files.get("a").body.len(), 1_000_000);
    // What was given up has given its room back.
    assert_eq!(files.put("b", &too_large[..900_000]).status, 201);
    let full = (0..100).map(|number| files.put(&format!("n{number}"), b"")).find(|reply| reply.status != 201);
    assert_eq!(full.expect("there is an end to them").refusal(), (507, "no_space".to_owned()));
    assert_eq!(session.print("print(6 * 7)"), "42\n");
}

#[test]
fn an_upload_that_is_cut_leaves_nothing_and_shows_nothing_before() {
    let server = Server::bare();
    let session = session_after(&server, "import os; open('old', 'w').write('old')");
    let files = files(&server, &session);
    for path in ["old", "new/file"] {
        let mut stream = files.connect();
        stream
            .write_all(files.head("PUT", &format!("/files/{path}"), "content-length: 1000000\r\n").as_bytes())
            .unwrap();
        stream.write_all(&vec![b'x'; 500_000]).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(session.print("print(os.listdir(), open('old').read())"), "['old'] old\n");
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read(stream, false).refusal(), (400, "body_cut".to_owned()));
        // One whose client is gone altogether.
        let mut stream = files.connect();
        stream
            .write_all(files.head("PUT", &format!("/files/{path}"), "content-length: 1000000\r\n").as_bytes())
            .unwrap();
        stream.write_all(&vec![b'x'; 500_000]).unwrap();
        drop(stream);
    }
    let free = "s = os.statvfs('.'); print(s.f_files - s.f_ffree, (s.f_blocks - s.f_bfree) * s.f_frsize < 100000)";
    wait_for(Duration::from_secs(10), || (session.print(free) == "2 True\n").then_some(()))
        .expect("room is given back");
    assert_eq!(files.paths("?recursive=true"), ["old"]);
}

#[test]
fn files_outlive_the_server() {
    let server = Setup::bare().option("--abandoned-seconds-max 60").start();
    let session = session_after(&server, "open('a', 'w').write('kept')");
    let id = session.id.clone();
    let ended = server.end_by(Signal::KILL);
    let server = Setup::bare().start_after(ended);
    let files = Files { server: &server, session: &id };
    assert_eq!((files.get("a").body, files.put("b", b"new").status), (b"kept".to_vec(), 201));
    assert_eq!(server.run_in(&id, "print(open('b').read())").stdout(), "new\n");
}

#[test]
fn many_at_once_are_served() {
    let server = Server::bare();
    let session = session_after(&server, "");
    let began = Instant::now();
    std::thread::scope(|scope| {
        for number in 0..100_u8 {
            let files = files(&server, &session);
            scope.spawn(move || {
                let content = vec![b'0' + number % 10; 10_000 + usize::from(number)];
                assert_eq!(files.put(&format!("many/{number}"), &content).status, 201);
                assert_eq!(files.get(&format!("many/{number}")).body, content);
            });
        }
    });
    assert_eq!(files(&server, &session).paths("?path=many").len(), 100);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

#[test]
fn large_files_cost_the_server_no_memory() {
    let server = Server::with("--workspace-bytes-max 500000000");
    let session = session_after(&server, "");
    let files = files(&server, &session);
    let most = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid().as_raw_nonzero())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel counts it");
        line.split_whitespace().next().and_then(|kib| kib.parse::<usize>().ok()).expect("it is a number") * 1024
    };
    files.put("small", b"x");
    let (before, content) = (most(), vec![b'x'; 200 << 20]);
    assert_eq!(files.put("large", &content).status, 201);
    assert!(files.get("large").body == content);
    assert!(files.tar("").body.len() > content.len());
    let grown = most() - before;
    assert!(grown < 32 << 20, "{grown}");
}
