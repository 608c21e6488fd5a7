//! The working directory and what else of the file system a session may use.

use crate::server::Server;

#[test]
fn the_working_directory_is_workspace_and_writable() {
    let server = Server::bare();
    let session = server.session();
    let code = "import os\n\
        open('a', 'w').write('x'); os.makedirs('b/c'); print(os.getcwd(), sorted(os.listdir()), os.environ['HOME'])";
    assert_eq!(session.print(code), "/workspace ['a', 'b'] /workspace\n");
    assert_eq!(session.print("print(open('a').read())"), "x\n");
}

#[test]
fn each_session_has_its_own() {
    let server = Server::bare();
    let (a, b) = (server.session(), server.session());
    for folder in ["/workspace", "/tmp", "/dev/shm"] {
        a.print(&format!("open('{folder}/marker', 'w').write('a')"));
        assert_eq!(b.print(&format!("import os; print(os.listdir('{folder}'))")), "[]\n");
    }
}

#[test]
fn a_successor_finds_nothing_of_its_predecessor() {
    let server = Server::bare();
    let session = server.session();
    session.print("open('/workspace/marker', 'w'); open('/tmp/marker', 'w'); open('/dev/shm/marker', 'w')");
    session.run("import os; os._exit(0)");
    assert_eq!(
        session.print("import os; print(*(os.listdir(f) for f in ('/workspace', '/tmp', '/dev/shm')))"),
        "[] [] []\n"
    );
}

#[test]
fn modules_of_the_workspace_can_be_imported() {
    let server = Server::bare();
    let session = server.session();
    session.print(
        "open('own.py', 'w').write('x = 5'); import os; os.mkdir('pkg'); open('pkg/__init__.py', 'w').write('y = 6')",
    );
    assert_eq!(session.print("import own, pkg; print(own.x, pkg.y)"), "5 6\n");
}

#[test]
fn everything_else_is_read_only() {
    let server = Server::bare();
    let session = server.session();
    session.print("import os, sys");
    for path in ["/x", "/etc/x", "/usr/x", "/proc/x", "/run/x", "/run/eggbox/x", "/dev/x"] {
        let answer = session.run(&format!("open('{path}', 'w')"));
        let last = answer.stderr().lines().last().unwrap_or_default().to_owned();
        assert!(
            ["PermissionError", "OSError", "FileNotFoundError"].iter().any(|name| last.starts_with(name)),
            "{path}: {last}"
        );
    }
    assert_eq!(
        session.print("print(os.access(os.__file__, os.W_OK), os.access(sys.executable, os.X_OK))"),
        "False True\n"
    );
}

#[test]
fn a_full_file_system_is_an_ordinary_error() {
    let server = Server::bare();
    let session = server.session();
    let answer = session.run("with open('/tmp/big', 'wb') as f:\n    while True: f.write(bytes(1 << 20))");
    assert!(
        answer.stderr().contains("No space left on device") || answer.stderr().contains("File too large"),
        "{answer:?}"
    );
    assert_eq!(session.print("import os; os.remove('/tmp/big'); print('room')"), "room\n");
}

#[test]
fn the_devices_that_programs_expect_are_there() {
    let code = "import os; print(os.read(os.open('/dev/zero', 0), 2), len(open('/dev/urandom', 'rb').read(8)))\n\
                print(*sorted(os.listdir('/dev')))";
    let expected = "b'\\x00\\x00' 8\nfd full null random shm stderr stdin stdout urandom zero\n";
    assert_eq!(Server::bare().session().print(code), expected);
}

#[test]
fn the_streams_can_be_opened_by_their_device_names() {
    let server = Server::bare();
    let answer =
        server.run("import os\nos.system('echo out > /dev/stdout; echo err > /dev/stderr'); open('/dev/stdin').read()");
    assert_eq!((answer.stdout(), answer.stderr()), ("out\n", "err\n"));
}
