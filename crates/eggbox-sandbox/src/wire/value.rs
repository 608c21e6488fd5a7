//! A session's stream of values: what it shows beside its output.

use super::{FrameError, HEADER_BYTES, header, parse_header};

/// Bytes before the body of each value in a session's stream of values: its length (u32, little endian), its kind, and how
/// many bytes this execution had written to its own stdout before it (u64, little endian).
pub const VALUE_HEADER_BYTES: usize = 13;
/// The longest body of such a value. The runner makes none that is longer.
pub const VALUE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a value is, other than output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    Display = 1,
    Result,
    InputRequest,
    Exception,
}

/// The head of a value in a session's stream of values; its body is JSON, or should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueHeader {
    pub kind: ValueKind,
    /// Of the body.
    pub length: usize,
    pub stdout_bytes: u64,
}

impl ValueKind {
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Display, Self::Result, Self::InputRequest, Self::Exception].into_iter().find(|kind| *kind as u8 == code)
    }
}

impl ValueHeader {
    /// # Errors
    /// Where the body is longer than [`VALUE_BYTES_MAX`].
    pub fn encode(self) -> Result<[u8; VALUE_HEADER_BYTES], FrameError> {
        let Self { kind, length, stdout_bytes } = self;
        if length > VALUE_BYTES_MAX {
            return Err(FrameError::TooLong { bytes: length });
        }
        let mut bytes = [0; VALUE_HEADER_BYTES];
        bytes[..HEADER_BYTES].copy_from_slice(&header(kind as u8, length)?);
        bytes[HEADER_BYTES..].copy_from_slice(&stdout_bytes.to_le_bytes());
        Ok(bytes)
    }

    /// None where it is no header.
    #[must_use]
    pub fn decode(bytes: [u8; VALUE_HEADER_BYTES]) -> Option<Self> {
        let (head, mark) = bytes.split_first_chunk()?;
        let (length, kind) = parse_header(*head);
        let kind = ValueKind::from_code(kind).filter(|_| length <= VALUE_BYTES_MAX)?;
        Some(Self { kind, length, stdout_bytes: u64::from_le_bytes(mark.try_into().ok()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_values_survive_and_others_are_none() {
        let header = ValueHeader { kind: ValueKind::Exception, length: VALUE_BYTES_MAX, stdout_bytes: u64::MAX };
        assert_eq!(ValueHeader::decode(header.encode().unwrap()), Some(header));
        assert!(ValueHeader { length: VALUE_BYTES_MAX + 1, ..header }.encode().is_err());
        assert_eq!(ValueHeader::decode([0; VALUE_HEADER_BYTES]), None);
        assert_eq!(ValueHeader::decode([255; VALUE_HEADER_BYTES]), None);
    }
}
