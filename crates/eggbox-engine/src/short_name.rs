//! The names that an operator gives to owners and environments: short, and without a character that means something in a
//! path, a table of TOML or a metric's label.

/// The longest of them, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Text that is no such name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name must be 1 to {NAME_BYTES_MAX} characters of A-Z a-z 0-9 _ -")]
pub struct NameError;

/// `text`, if it is 1 to [`NAME_BYTES_MAX`] characters of `A-Z a-z 0-9 _ -`.
pub(crate) fn check(text: &str) -> Result<&str, NameError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let is_name = (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed);
    if is_name { Ok(text) } else { Err(NameError) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_has_no_character_that_parts_it_from_others() {
        for name in ["a", "A-z_09", &"x".repeat(NAME_BYTES_MAX)] {
            assert_eq!(check(name), Ok(name));
        }
        for name in ["", "a/b", "a.b", "a b", "é", &"x".repeat(NAME_BYTES_MAX + 1)] {
            assert_eq!(check(name), Err(NameError), "{name}");
        }
    }
}
