//! An attack as its file states it: a header of comments, then Python, in parts where more than one session takes part.
//!
//! ```text
//! # tries: to read the host's password hashes
//! # expect: held
//! # expect reduced: absent: why this way of running knowingly lacks the layer
//! ```
//!
//! `held` means that the last part's last line is `held: <what stopped it>`; `absent: <why>` that it is
//! `BREACH: <what it got>`, as the way lacks the layer; `error: <text>` that the answer's `error` begins so; `refused:
//! <means>` that it does not get as far as its attack, but ends in a PermissionError.
//! A line `# --- <who>` begins another part; [`Who`] lists them. `@NAME@` is replaced by a value of `check`'s.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::way::Way;

pub(super) const CLASSES: [&str; 8] = ["fs", "net", "proc", "kernel", "ipc", "resources", "reply", "identity"];

/// Who runs a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    A,
    /// Another session, alive at the same time.
    B,
    /// The session that gets the slot of A, which has ended.
    Next,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expectation {
    Held,
    /// This way of running lacks what would hold; here is why.
    Absent(String),
    /// The answer's `error` begins so.
    Error(String),
    /// The means of the attack, named here, are refused already: it ends in a PermissionError.
    Refused(String),
}

#[derive(Debug)]
pub(super) struct Attack {
    pub(super) class: String,
    pub(super) name: String,
    pub(super) parts: Vec<(Who, String)>,
    expectations: BTreeMap<Option<Way>, Expectation>,
}

pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../attacks")
}

/// Every attack there is; a file that is none fails the test.
pub(super) fn all() -> Vec<Attack> {
    let mut attacks = Vec::new();
    for class in CLASSES {
        let mut paths: Vec<PathBuf> = fs::read_dir(folder().join(class))
            .unwrap_or_else(|error| panic!("class {class}: {error}"))
            .map(|entry| entry.expect("a folder can be listed").path())
            .collect();
        paths.sort();
        for path in paths {
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let attack = Attack::parse(class, name, &text);
            attacks.push(attack.unwrap_or_else(|why| panic!("{}: {why}", path.display())));
        }
    }
    let mut others =
        fs::read_dir(folder()).expect("attacks can be listed").map(|entry| entry.expect("an entry").file_name());
    let stray = others.find(|name| name != "prelude.py" && !CLASSES.iter().any(|class| name == class));
    assert_eq!(stray, None, "neither a class nor the prelude");
    attacks
}

impl Attack {
    fn parse(class: &str, name: &str, text: &str) -> Result<Self, String> {
        let mut tries = false;
        let mut expectations = BTreeMap::new();
        for line in text.lines().take_while(|line| line.starts_with('#')) {
            let line = line.trim_start_matches('#').trim();
            let (key, value) = line.split_once(": ").ok_or_else(|| format!("`{line}` is no `key: value`"))?;
            match key.split_once(' ') {
                None if key == "tries" => tries = true,
                None if key == "expect" => {
                    expectations.insert(None, Expectation::parse(value)?);
                }
                Some(("expect", way)) => {
                    let way = Way::named(way).ok_or_else(|| format!("`{way}` is no way to run"))?;
                    expectations.insert(Some(way), Expectation::parse(value)?);
                }
                _ => return Err(format!("`{key}` is not known")),
            }
        }
        if !tries || !expectations.contains_key(&None) {
            return Err("it must begin with `# tries: ...` and `# expect: ...`".to_owned());
        }
        Ok(Self { class: class.to_owned(), name: name.to_owned(), parts: parts(text)?, expectations })
    }

    pub(super) fn expectation(&self, way: Way) -> &Expectation {
        self.expectations.get(&Some(way)).unwrap_or_else(|| &self.expectations[&None])
    }

    pub(super) fn takes_the_slot_over(&self) -> bool {
        self.parts.iter().any(|(who, _)| *who == Who::Next)
    }
}

fn parts(text: &str) -> Result<Vec<(Who, String)>, String> {
    let mut parts = vec![(Who::A, String::new())];
    for line in text.lines() {
        match line.strip_prefix("# --- ") {
            None => {
                let (_, part) = parts.last_mut().ok_or("no part")?;
                part.push_str(line);
                part.push('\n');
            }
            Some("session b") => parts.push((Who::B, String::new())),
            Some("session a again") => parts.push((Who::A, String::new())),
            Some("next user of the slot") => parts.push((Who::Next, String::new())),
            Some(other) => return Err(format!("nobody is called `{other}`")),
        }
    }
    Ok(parts)
}

impl Expectation {
    fn parse(value: &str) -> Result<Self, String> {
        match value.split_once(": ") {
            None if value == "held" => Ok(Self::Held),
            Some(("absent", why)) if !why.is_empty() => Ok(Self::Absent(why.to_owned())),
            Some(("error", text)) if !text.is_empty() => Ok(Self::Error(text.to_owned())),
            Some(("refused", means)) if !means.is_empty() => Ok(Self::Refused(means.to_owned())),
            _ => Err(format!("`{value}` is neither `held`, `absent: why`, `error: text` nor `refused: means`")),
        }
    }
}

#[test]
fn a_malformed_header_is_refused() {
    let parse = |text| Attack::parse("fs", "name", text);
    assert!(parse("# tries: x\n# expect: held\nprint()").is_ok());
    for text in [
        "print()",
        "# tries: x\nprint()",
        "# expect: held\nprint()",
        "# tries: x\n# expect: fine\n",
        "# tries: x\n# expect: absent: \n",
        "# tries: x\n# expect: held\n# expect nowhere: held\n",
        "# tries: x\n# expects: held\n",
        "# tries: x\n# expect: held\n# no key\n",
        "# tries: x\n# expect: held\n\n# --- session c\n",
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
}
