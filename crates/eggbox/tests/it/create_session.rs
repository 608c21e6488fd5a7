//! `POST /v1/sessions`: what is taken, what is refused by name, and what there is then.

use serde_json::{Value, json};

use crate::client;
use crate::server::Server;

#[test]
fn a_session_is_there_with_what_was_asked() {
    let server = Server::bare();
    let session = server.session();
    let limits = json!({
        "wall_seconds": 5.5, "cpu_seconds": 3, "memory_bytes": 200_000_000, "processes": 10, "output_bytes": 4096
    });
    let body = json!({ "id": session.id, "limits": limits, "idle_seconds": 20, "ttl_seconds": 60.5 });
    let created = server.create(&body.to_string());
    assert_eq!((created.status, created.text("state"), created.id()), (201, "idle", &*session.id), "{created:?}");
    assert_eq!(created.header("location"), Some(&*format!("/v1/sessions/{}", session.id)));
    let expected = json!({
        "wall_seconds": 5.5, "cpu_seconds": 3.0, "memory_bytes": 200_000_000, "processes": 10, "output_bytes": 4096
    });
    assert_eq!(created.json["limits"], expected);
    assert_eq!([&created.json["idle_seconds"], &created.json["ttl_seconds"]], [&json!(20.0), &json!(60.5)]);
    assert_eq!(session.print("print(6 * 7)"), "42\n");
}

#[test]
fn without_a_name_each_is_another_and_has_the_operators_limits() {
    let server = Server::with("--cpu-seconds-max 7 --memory-bytes-max 300000000");
    let [first, second] = ["{}", r#"{"limits": {}}"#].map(|body| server.create(body));
    assert_eq!((first.status, second.status), (201, 201));
    assert!(first.id().len() == 36 && first.id() != second.id(), "{first:?} {second:?}");
    let expected = json!({
        "wall_seconds": 30.0, "cpu_seconds": 7.0, "memory_bytes": 300_000_000, "processes": 64, "output_bytes": 1_048_576
    });
    assert_eq!(first.json["limits"], expected);
    assert_eq!(server.run_in(first.id(), "print(1)").stdout(), "1\n");
    assert_eq!(server.look_at(first.id()).json["executions"], 1);
}

#[test]
fn the_operators_most_may_be_asked_for_and_one_more_is_refused_with_it() {
    let options = "--wall-seconds-max 9 --cpu-seconds-max 8 --memory-bytes-max 134217728 --processes-max 20 \
                   --output-bytes-max 5000 --idle-seconds-max 30 --life-seconds-max 40";
    let server = Server::with(options);
    for (field, most, least) in [
        ("limits.wall_seconds", 9, "0.01"),
        ("limits.cpu_seconds", 8, "0.01"),
        ("limits.memory_bytes", 134_217_728, "33554432"),
        ("limits.processes", 20, "2"),
        ("limits.output_bytes", 5000, "1024"),
        ("idle_seconds", 30, "1"),
        ("ttl_seconds", 40, "1"),
    ] {
        let body = |value: u64| match field.strip_prefix("limits.") {
            Some(limit) => json!({ "limits": { limit: value } }),
            None => json!({ field: value }),
        };
        assert_eq!(server.create(&body(most).to_string()).status, 201, "{field}");
        let refused = server.create(&body(most + 1).to_string());
        let [code, message, at] = refused.refusal();
        assert_eq!((refused.status, code, at), (400, "out_of_range", field), "{refused:?}");
        let setting = match field.rsplit('.').next() {
            Some("ttl_seconds") => "life_seconds_max".to_owned(),
            name => format!("{}_max", name.unwrap_or_default()),
        };
        assert!(message.contains(&format!("from {least} to {most} ({setting})")), "{message}");
    }
}

#[test]
fn numbers_that_are_none_or_out_of_every_range_are_refused_by_field() {
    let server = Server::bare();
    for field in
        ["wall_seconds", "cpu_seconds", "memory_bytes", "processes", "output_bytes", "idle_seconds", "ttl_seconds"]
    {
        for value in
            ["0", "-1", "-0.0", "1e999", "-1e999", "99999999999999999999", "\"NaN\"", "\"5\"", "null", "true", "[]"]
        {
            let is_limit = !["idle_seconds", "ttl_seconds"].contains(&field);
            let body = format!(r#"{{"{field}": {value}}}"#);
            let (body, field) = match is_limit {
                true => (format!(r#"{{"limits": {body}}}"#), format!("limits.{field}")),
                false => (body, field.to_owned()),
            };
            let refused = server.create(&body);
            let [code, message, at] = refused.refusal();
            assert_eq!((refused.status, at), (400, &*field), "{body}: {refused:?}");
            let is_number = value.starts_with(|first: char| first == '-' || first.is_ascii_digit());
            assert_eq!(code, if is_number { "out_of_range" } else { "wrong_type" }, "{body}: {refused:?}");
            assert!(message.starts_with(&format!("`{field}` must be a")), "{body}: {message}");
        }
        let refused = server.create(&format!(r#"{{"limits": {{"{field}": NaN}}}}"#));
        assert_eq!((refused.status, refused.refusal()[0]), (400, "invalid_json"), "{refused:?}");
    }
}

#[test]
fn other_bodies_are_refused_and_name_what_is_wrong() {
    let server = Server::bare();
    for (body, code, field) in [
        ("", "invalid_json", ""),
        ("[]", "no_object", ""),
        ("null", "no_object", ""),
        (r#"{"code": "print(1)"}"#, "unknown_field", "code"),
        (r#"{"limits": {"wall_seconds_max": 3}}"#, "unknown_field", "limits.wall_seconds_max"),
        (r#"{"limits": {"processes": 3, "processes": 3}}"#, "repeated_field", "limits.processes"),
        (r#"{"limits": []}"#, "wrong_type", "limits"),
        (r#"{"limits": null}"#, "wrong_type", "limits"),
        (r#"{"id": null}"#, "wrong_type", "id"),
        (r#"{"id": 7}"#, "wrong_type", "id"),
        (r#"{"id": ""}"#, "invalid_session_id", "id"),
        (r#"{"id": "a/b"}"#, "invalid_session_id", "id"),
        (r#"{"limits": {"processes": 2.5}}"#, "out_of_range", "limits.processes"),
    ] {
        let refused = server.create(body);
        assert_eq!((refused.status, refused.refusal()[0], refused.refusal()[2]), (400, code, field), "{body}");
    }
}

#[test]
fn a_name_that_lives_is_409_and_the_session_is_as_it_was() {
    let server = Server::bare();
    let session = server.session();
    session.print("x = 5");
    let body = json!({ "id": session.id, "limits": { "processes": 3 } }).to_string();
    let refused = server.create(&body);
    let [code, message, _] = refused.refusal();
    assert_eq!((refused.status, code), (409, "session_exists"), "{refused:?}");
    assert!(message.contains(&session.id) && message.contains("another id"), "{message}");
    assert_eq!(session.print("print(x)"), "5\n");
    assert_eq!(server.look_at(&session.id).json["limits"]["processes"], 64);
}

#[test]
fn of_many_who_want_a_name_at_once_one_has_it() {
    let server = Server::bare();
    let body = json!({ "id": server.session().id }).to_string();
    let mut statuses: Vec<_> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..6).map(|_| scope.spawn(|| server.create(&body).status)).collect();
        asked.into_iter().map(|asked| asked.join().expect("it is answered")).collect()
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409]);
}

#[test]
fn a_name_whose_end_nobody_was_told_of_is_free_and_nobody_is_told_then() {
    let server = Server::bare();
    let session = server.session();
    session.print("x = 1; import threading, os; threading.Timer(0.1, os._exit, [3]).start()");
    std::thread::sleep(std::time::Duration::from_millis(500));
    let created = server.create(&json!({ "id": session.id }).to_string());
    assert_eq!((created.status, created.text("state"), &created.json["executions"]), (201, "idle", &json!(0)));
    assert_eq!(session.print("print('x' in globals())"), "False\n");
}

#[test]
fn where_there_is_no_room_it_is_503_and_says_when_to_try_again() {
    let server = Server::with("--sessions-max 1");
    assert_eq!(server.create(r#"{"id": "a"}"#).status, 201);
    let refused = server.create(r#"{"id": "b"}"#);
    assert_eq!((refused.status, refused.refusal()[0]), (503, "no_room_for_session"), "{refused:?}");
    assert_eq!(refused.header("retry-after"), Some("5"));
    assert_eq!(server.look_at("b").status, 404);
}

#[test]
fn a_session_that_was_created_is_ready_and_not_yet_used() {
    let server = Server::with("--parked-sessions-max 0");
    let created = server.create("{}");
    let zero: Value = json!(0);
    assert_eq!((created.status, &created.json["executions"], created.text("state")), (201, &zero, "idle"));
    let last = server.get(&format!("/v1/sessions/{}/executions/last", created.id()));
    assert_eq!((last.status, last.refusal()[0]), (404, "no_such_execution"));
    // Somebody who did not wait has made one too.
    let body = r#"{"id": "gone"}"#;
    let mut stream = std::net::TcpStream::connect(server.address).expect("the server accepts connections");
    std::io::Write::write_all(&mut stream, &client::post_to("/v1/sessions", body)).expect("it reads");
    drop(stream);
    let made = crate::process::wait_for(std::time::Duration::from_secs(5), || {
        Some(server.look_at("gone")).filter(|answer| answer.status == 200)
    });
    assert_eq!(made.expect("it is made").text("state"), "idle");
}
