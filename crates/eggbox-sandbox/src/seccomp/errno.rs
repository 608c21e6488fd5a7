//! The errno values that a policy may answer with.

use std::fmt;

/// Answers that make sense for a call that does not take place. Success (0) is not among them.
const NAMES: &[(&str, i32)] = &[
    ("EACCES", libc::EACCES),
    ("EAFNOSUPPORT", libc::EAFNOSUPPORT),
    ("EINVAL", libc::EINVAL),
    ("ENODEV", libc::ENODEV),
    ("ENOENT", libc::ENOENT),
    ("ENOSYS", libc::ENOSYS),
    ("ENOTTY", libc::ENOTTY),
    ("EOPNOTSUPP", libc::EOPNOTSUPP),
    ("EPERM", libc::EPERM),
    ("EPROTONOSUPPORT", libc::EPROTONOSUPPORT),
    ("ESOCKTNOSUPPORT", libc::ESOCKTNOSUPPORT),
    ("ESRCH", libc::ESRCH),
];

/// A non-zero errno.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(i32);

impl Errno {
    pub(super) const EPERM: Self = Self(libc::EPERM);
    pub(super) const ENOSYS: Self = Self(libc::ENOSYS);

    pub(super) fn from_name(name: &str) -> Option<Self> {
        let (_, value) = NAMES.iter().find(|(known, _)| *known == name)?;
        Some(Self(*value))
    }

    pub fn value(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, value)| *value == self.0) {
            Some((name, _)) => formatter.write_str(name),
            None => write!(formatter, "errno {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_is_success_and_all_fit_the_filter() {
        for (name, value) in NAMES {
            assert!((1..4096).contains(value), "{name}");
            assert_eq!(Errno::from_name(name).unwrap().to_string(), *name);
        }
        assert_eq!(Errno::from_name("0"), None);
        assert_eq!(Errno::from_name("EPREM"), None);
    }
}
