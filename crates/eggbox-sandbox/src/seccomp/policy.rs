//! A policy as its file has it, and as the compiler takes it once it has been checked.
//!
//! ```toml
//! default_errno = "EPERM"              # for every call that no entry names
//!
//! [[allow]]
//! why = "sockets inside the session"
//! syscalls = ["socket", "socketpair"]
//! when = [                             # all must hold; arguments count from 0
//!   { arg = 0, one_of = ["AF_UNIX", "AF_INET"], else_errno = "EAFNOSUPPORT" },
//!   { arg = 1, mask = "SOCK_TYPE_MASK", one_of = ["SOCK_STREAM"] },
//! ]
//!
//! [[deny]]
//! why = "flags behind a pointer; libc falls back to clone"
//! syscalls = ["clone3"]
//! errno = "ENOSYS"
//! ```
//! A condition has exactly one of `one_of`, `not_one_of` and `none_of_bits`. Without `else_errno`
//! it answers the default. With `given = { arg = 1, one_of = ["SOL_SOCKET"] }` it asks something only of calls whose
//! other argument is so, and holds for the rest. What may be named is in [`super::argument`].

use std::collections::BTreeSet;

use serde::Deserialize;

use super::arch::Arch;
use super::argument::Argument;
use super::errno::Errno;

/// A policy in which every name is known and every call has one answer.
#[derive(Debug, Clone)]
pub struct SeccompPolicy {
    pub(super) arch: Arch,
    pub(super) default_errno: Errno,
    pub(super) rules: Vec<Rule>,
}

/// An entry. No number is in two of them.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) numbers: Vec<u32>,
    pub(super) answer: Answer,
}

#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// Allowed if all conditions hold; the first that does not gives the errno.
    Allow(Vec<Condition>),
    Refuse(Errno),
}

/// A test of the low 32 bits of an argument.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    /// Without it, the condition is about every call.
    pub(super) given: Option<Given>,
    pub(super) argument: u8,
    pub(super) mask: Option<u32>,
    pub(super) test: Test,
    pub(super) else_errno: Errno,
}

/// Which calls a condition is about: those whose argument is one of these.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) argument: u8,
    pub(super) values: Vec<u32>,
}

#[derive(Debug, Clone)]
pub(super) enum Test {
    OneOf(Vec<u32>),
    NotOneOf(Vec<u32>),
    NoneOfBits(u32),
}

/// What is wrong with a policy file, by name.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("seccomp policy for {arch} is not valid TOML of its format: {source}")]
    Format { arch: Arch, source: toml::de::Error },
    #[error("seccomp policy has a `[[{list}]]` entry that names no syscall")]
    NoSyscall { list: &'static str },
    #[error("seccomp policy for {arch} names `{syscall}`, which is no syscall there")]
    UnknownSyscall { arch: Arch, syscall: String },
    #[error("seccomp policy names syscall `{syscall}` twice")]
    Duplicate { syscall: String },
    #[error("seccomp policy gives no `why` for the entry of `{syscall}`")]
    NoReason { syscall: String },
    #[error("seccomp policy answers `{errno}`, which is no errno a policy may use")]
    UnknownErrno { errno: String },
    #[error("seccomp policy cannot check argument {arg} of `{syscall}`: its width is not known")]
    UnknownArgument { syscall: String, arg: u8 },
    #[error("seccomp policy names `{constant}`, which argument {arg} of `{syscall}` does not take")]
    UnknownConstant { syscall: String, arg: u8, constant: String },
    #[error(
        "seccomp policy needs exactly one of one_of, not_one_of and none_of_bits, not empty, for \
         argument {arg} of `{syscall}`"
    )]
    NotOneTest { syscall: String, arg: u8 },
    #[error("seccomp policy tests argument {arg} of `{syscall}` for `{constant}`, which the mask hides")]
    Masked { syscall: String, arg: u8, constant: String },
    #[error("seccomp policy has a `given` with an empty one_of for argument {arg} of `{syscall}`")]
    NothingGiven { syscall: String, arg: u8 },
    #[error("seccomp policy makes a condition on argument {arg} of `{syscall}` depend on that argument itself")]
    GivenItself { syscall: String, arg: u8 },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    default_errno: String,
    #[serde(default)]
    allow: Vec<AllowEntry>,
    #[serde(default)]
    deny: Vec<DenyEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowEntry {
    why: String,
    syscalls: Vec<String>,
    #[serde(default)]
    when: Vec<When>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DenyEntry {
    why: String,
    syscalls: Vec<String>,
    errno: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct When {
    given: Option<WhenGiven>,
    arg: u8,
    mask: Option<String>,
    one_of: Option<Vec<String>>,
    not_one_of: Option<Vec<String>>,
    none_of_bits: Option<Vec<String>>,
    else_errno: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WhenGiven {
    arg: u8,
    one_of: Vec<String>,
}

impl SeccompPolicy {
    /// Reads and checks a policy whose names are those of `arch`.
    pub fn parse(text: &str, arch: Arch) -> Result<Self, PolicyError> {
        let file: File = toml::from_str(text).map_err(|source| PolicyError::Format { arch, source })?;
        let default_errno = errno(&file.default_errno)?;
        let mut seen = BTreeSet::new();
        let mut rules = Vec::new();
        for entry in &file.allow {
            let numbers = numbers("allow", &entry.syscalls, &entry.why, arch, &mut seen)?;
            let conditions =
                entry.when.iter().map(|when| when.check(&entry.syscalls, default_errno)).collect::<Result<_, _>>()?;
            let answer = Answer::Allow(conditions);
            rules.push(Rule { numbers, answer });
        }
        for entry in &file.deny {
            let numbers = numbers("deny", &entry.syscalls, &entry.why, arch, &mut seen)?;
            let answer = Answer::Refuse(errno(&entry.errno)?);
            rules.push(Rule { numbers, answer });
        }
        Ok(Self { arch, default_errno, rules })
    }

    /// The same policy, but for the calls that `other` names, which are answered as that has it.
    #[must_use]
    pub fn overlaid_with(mut self, other: Self) -> Self {
        let replaced: BTreeSet<u32> = other.rules.iter().flat_map(|rule| rule.numbers.iter().copied()).collect();
        for rule in &mut self.rules {
            rule.numbers.retain(|number| !replaced.contains(number));
        }
        self.rules.extend(other.rules);
        self
    }

    /// The architecture whose syscalls it names.
    pub fn arch(&self) -> Arch {
        self.arch
    }
}

fn errno(name: &str) -> Result<Errno, PolicyError> {
    Errno::from_name(name).ok_or_else(|| PolicyError::UnknownErrno { errno: name.to_owned() })
}

fn numbers(
    list: &'static str,
    syscalls: &[String],
    why: &str,
    arch: Arch,
    seen: &mut BTreeSet<u32>,
) -> Result<Vec<u32>, PolicyError> {
    let first = syscalls.first().ok_or(PolicyError::NoSyscall { list })?;
    if why.trim().is_empty() {
        let syscall = first.clone();
        return Err(PolicyError::NoReason { syscall });
    }
    syscalls
        .iter()
        .map(|name| {
            let syscall = name.clone();
            match arch.number(name) {
                None => Err(PolicyError::UnknownSyscall { arch, syscall }),
                Some(number) if !seen.insert(number) => Err(PolicyError::Duplicate { syscall }),
                Some(number) => Ok(number),
            }
        })
        .collect()
}

fn argument(syscalls: &[String], arg: u8) -> Result<&'static Argument, PolicyError> {
    Argument::find(syscalls, arg).ok_or_else(|| PolicyError::UnknownArgument { syscall: syscalls.join(", "), arg })
}

fn constant(argument: &Argument, syscalls: &[String], arg: u8, name: &str) -> Result<u32, PolicyError> {
    argument.constant(name).ok_or_else(|| PolicyError::UnknownConstant {
        syscall: syscalls.join(", "),
        arg,
        constant: name.to_owned(),
    })
}

impl When {
    fn check(&self, syscalls: &[String], default: Errno) -> Result<Condition, PolicyError> {
        let arg = self.arg;
        let argument = argument(syscalls, arg)?;
        let constant = |name: &String| constant(argument, syscalls, arg, name);
        let mask = self.mask.as_ref().map(constant).transpose()?;
        let visible = |name: &String| {
            let value = constant(name)?;
            match mask {
                Some(mask) if value & !mask != 0 => {
                    Err(PolicyError::Masked { syscall: syscalls.join(", "), arg, constant: name.clone() })
                }
                _ => Ok(value),
            }
        };
        let values = |names: &[String]| names.iter().map(visible).collect::<Result<Vec<_>, _>>();
        let test = match (&self.one_of, &self.not_one_of, &self.none_of_bits) {
            (Some(names), None, None) if !names.is_empty() => Test::OneOf(values(names)?),
            (None, Some(names), None) if !names.is_empty() => Test::NotOneOf(values(names)?),
            (None, None, Some(names)) if !names.is_empty() => {
                Test::NoneOfBits(values(names)?.into_iter().fold(0, |bits, bit| bits | bit))
            }
            _ => {
                return Err(PolicyError::NotOneTest { syscall: syscalls.join(", "), arg });
            }
        };
        let else_errno = self.else_errno.as_deref().map_or(Ok(default), errno)?;
        let given = self.given.as_ref().map(|given| given.check(syscalls, arg)).transpose()?;
        Ok(Condition { given, argument: arg, mask, test, else_errno })
    }
}

impl WhenGiven {
    /// `tested` is the argument that the condition itself is on.
    fn check(&self, syscalls: &[String], tested: u8) -> Result<Given, PolicyError> {
        let arg = self.arg;
        let argument = argument(syscalls, arg)?;
        if arg == tested {
            return Err(PolicyError::GivenItself { syscall: syscalls.join(", "), arg });
        }
        if self.one_of.is_empty() {
            return Err(PolicyError::NothingGiven { syscall: syscalls.join(", "), arg });
        }
        let values =
            self.one_of.iter().map(|name| constant(argument, syscalls, arg, name)).collect::<Result<_, _>>()?;
        Ok(Given { argument: arg, values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(entries: &str) -> String {
        let text = format!("default_errno = \"EPERM\"\n{entries}");
        SeccompPolicy::parse(&text, Arch::X86_64).unwrap_err().to_string()
    }

    #[test]
    fn mistakes_are_refused_by_name() {
        let cases = [
            ("[[allow]]\nsyscalls = [\"raed\"]\nwhy = \"x\"", "for x86_64 names `raed`"),
            (
                "[[allow]]\nsyscalls = [\"read\"]\nwhy = \"x\"\n\
                 [[deny]]\nsyscalls = [\"read\"]\nerrno = \"EPERM\"\nwhy = \"x\"",
                "names syscall `read` twice",
            ),
            ("[[allow]]\nsyscalls = [\"read\", \"read\"]\nwhy = \"x\"", "names syscall `read` twice"),
            ("[[allow]]\nsyscalls = [\"read\"]\nwhy = \" \"", "no `why` for the entry of `read`"),
            ("[[allow]]\nsyscalls = [\"read\"]", "missing field `why`"),
            ("[[allow]]\nsyscalls = []\nwhy = \"x\"", "`[[allow]]` entry that names no syscall"),
            ("[[deny]]\nsyscalls = [\"read\"]\nerrno = \"0\"\nwhy = \"x\"", "answers `0`"),
            ("[[deny]]\nsyscalls = [\"read\"]\nerrno = 0\nwhy = \"x\"", "invalid type: integer `0`"),
            ("[[deny]]\nsyscalls = [\"read\"]\nerrno = \"EPREM\"\nwhy = \"x\"", "answers `EPREM`"),
            ("[[deny]]\nsyscalls = [\"read\"]\nerror = \"EPERM\"\nwhy = \"x\"", "unknown field `error`"),
            ("[[kill]]\nsyscalls = [\"read\"]", "unknown field `kill`"),
        ];
        for (entries, expected) in cases {
            let message = message(entries);
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn conditions_are_refused_by_name() {
        let cases = [
            ("mmap", "arg = 2, one_of = [\"PROT_EXEC\"]", "argument 2 of `mmap`"),
            ("socket", "arg = 0, one_of = [\"TIOCSTI\"]", "`TIOCSTI`, which argument 0"),
            ("ioctl", "arg = 1", "exactly one of"),
            ("ioctl", "arg = 1, not_one_of = []", "exactly one of"),
            ("socket", "arg = 0, one_of = [\"AF_UNIX\"], not_one_of = [\"AF_INET\"]", "exactly one of"),
            ("socket", "arg = 0, one_of = [\"AF_UNIX\"], else_errno = \"E\"", "answers `E`"),
            (
                "clone",
                "arg = 0, mask = \"CLONE_NEWNS\", none_of_bits = [\"CLONE_NEWPID\"]",
                "`CLONE_NEWPID`, which the mask hides",
            ),
            ("socket", "arg = 0, any_of = []", "unknown field `any_of`"),
            ("setsockopt", "given = { arg = 1, one_of = [\"SOL_SOCKET\"] }, arg = 2", "exactly one of"),
        ];
        for (syscall, when, expected) in cases {
            let message =
                message(&format!("[[allow]]\nsyscalls = [\"{syscall}\"]\nwhy = \"x\"\nwhen = [{{ {when} }}]"));
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn premises_are_refused_by_name() {
        let cases = [
            ("arg = 0, one_of = [\"SOL_SOCKET\"]", "argument 0 of `setsockopt`"),
            ("arg = 1, one_of = [\"TCP_ULP\"]", "`TCP_ULP`, which argument 1"),
            ("arg = 1, one_of = []", "empty one_of for argument 1"),
            ("arg = 2, one_of = [\"TCP_ULP\"]", "argument 2 of `setsockopt` depend on that argument itself"),
            ("arg = 1", "missing field `one_of`"),
            ("arg = 1, not_one_of = [\"SOL_SOCKET\"]", "unknown field `not_one_of`"),
        ];
        for (given, expected) in cases {
            let when = format!("given = {{ {given} }}, arg = 2, not_one_of = [\"SO_ATTACH_BPF\"]");
            let message =
                message(&format!("[[allow]]\nsyscalls = [\"setsockopt\"]\nwhy = \"x\"\nwhen = [{{ {when} }}]"));
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn a_name_of_another_architecture_is_unknown() {
        let text = "default_errno = \"EPERM\"\n[[allow]]\nsyscalls = [\"arch_prctl\"]\nwhy = \"x\"";
        assert!(SeccompPolicy::parse(text, Arch::X86_64).is_ok());
        assert!(SeccompPolicy::parse(text, Arch::Aarch64).is_err());
    }
}
