//! Which part of a file is asked for: one range of bytes (RFC 9110, 14), or all of it.

use std::ops::Range;

/// What a `Range` header asks of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Also where the header says something else than one range of bytes, which may be ignored.
    All,
    Part(Range<u64>),
    /// It begins behind the end.
    Nothing,
}

impl Wanted {
    /// `bytes` is how long the file is.
    pub(super) fn of(header: Option<&str>, bytes: u64) -> Self {
        let Some(set) = header.and_then(|header| header.trim().strip_prefix("bytes=")) else { return Self::All };
        let Some((first, last)) = set.trim().split_once('-') else { return Self::All };
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => Self::from(first, last, bytes),
            (Some(first), None) if last.is_empty() => Self::from(first, u64::MAX, bytes),
            (None, Some(count)) if first.is_empty() => match count.min(bytes) {
                0 => Self::Nothing,
                count => Self::Part(bytes - count..bytes),
            },
            _ => Self::All,
        }
    }

    /// Both ends are wanted, as far as the file has them.
    fn from(first: u64, last: u64, bytes: u64) -> Self {
        if first < bytes { Self::Part(first..last.saturating_add(1).min(bytes)) } else { Self::Nothing }
    }
}

/// A whole number; as large as one can be here where it is larger.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_cut_to_the_file() {
        for (header, part) in [
            ("bytes=0-0", 0..1),
            ("bytes=2-5", 2..6),
            ("bytes=2-", 2..10),
            ("bytes=9-", 9..10),
            ("bytes=0-99999999999999999999", 0..10),
            ("bytes=-3", 7..10),
            ("bytes=-99", 0..10),
            (" bytes=0-9 ", 0..10),
        ] {
            assert_eq!(Wanted::of(Some(header), 10), Wanted::Part(part), "{header}");
        }
    }

    #[test]
    fn what_is_behind_the_end_is_nothing() {
        for (header, bytes) in [
            ("bytes=10-", 10),
            ("bytes=10-20", 10),
            ("bytes=99999999999999999999-", 10),
            ("bytes=-0", 10),
            ("bytes=0-", 0),
            ("bytes=-1", 0),
        ] {
            assert_eq!(Wanted::of(Some(header), bytes), Wanted::Nothing, "{header}");
        }
    }

    #[test]
    fn what_is_not_one_range_of_bytes_is_ignored() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-2",
            "bytes=0-1,3-4",
            "bytes=1",
            "bytes=--1",
            "bytes=+1-2",
            "bytes=1-x",
            "items=0-1",
            "bytes=0x1-2",
            "bytes=0 - 1",
        ] {
            assert_eq!(Wanted::of(Some(header), 10), Wanted::All, "{header}");
        }
        assert_eq!(Wanted::of(None, 10), Wanted::All);
    }
}
