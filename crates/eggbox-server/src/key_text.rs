//! The text of a key, how one is made, and the hash that stands for it wherever something is written down.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE32_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use eggbox_engine::{NAME_BYTES_MAX, Owner};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// What every key begins with, so that people and programs that look for secrets know one when they see it.
const PREFIX: &str = "eggbox_";
/// Random bytes in a key.
const SECRET_BYTES: usize = 32;
/// The characters that those are written with, five bits each.
const SECRET_CHARACTERS: usize = (SECRET_BYTES * 8).div_ceil(5);
/// The longest key, in bytes.
const KEY_BYTES_MAX: usize = PREFIX.len() + NAME_BYTES_MAX + 1 + SECRET_CHARACTERS;

/// A new key: `eggbox_NAME_SECRET`, the secret 256 random bits as 52 characters of `a-z 2-7`. It has no `Debug` that shows it.
pub struct KeyText(String);

/// The SHA-256 of a key's text. What makes guesses at passwords costly (salt, many rounds) would do nothing here: nobody
/// tries through 2^256 secrets, and every request has to be checked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyHash([u8; SECRET_BYTES]);

/// Text that is no hash of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 64 digits of 0-9 a-f, as `eggbox key new` prints them")]
pub struct KeyHashError;

impl KeyText {
    /// One that nobody has seen, of this name.
    ///
    /// # Errors
    /// Where the kernel has no randomness to give.
    pub fn new(name: &Owner) -> Result<Self, getrandom::Error> {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret)?;
        Ok(Self(format!("{PREFIX}{name}_{}", BASE32_NOPAD.encode(&secret).to_ascii_lowercase())))
    }

    /// To be shown to whoever is to have it, once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(&self.0)
    }
}

/// Whether `text` could be a key. Only such text is ever taken for one: what is shorter could be guessed.
#[must_use]
pub fn is_key_text(text: &str) -> bool {
    let is_secret = |secret: &str| {
        secret.len() == SECRET_CHARACTERS && secret.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'))
    };
    text.len() <= KEY_BYTES_MAX
        && text
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.rsplit_once('_'))
            .is_some_and(|(name, secret)| Owner::try_from(name).is_ok() && is_secret(secret))
}

impl KeyHash {
    pub(crate) fn of(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }
}

/// Takes as long whatever the two are.
impl ConstantTimeEq for KeyHash {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl FromStr for KeyHash {
    type Err = KeyHashError;

    fn from_str(text: &str) -> Result<Self, KeyHashError> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| KeyHashError)?;
        bytes.try_into().map(Self).map_err(|_| KeyHashError)
    }
}

/// As it stands in the configuration.
impl fmt::Display for KeyHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&HEXLOWER.encode(&self.0))
    }
}

/// Nothing of it, as what is printed so ends up in logs.
impl fmt::Debug for KeyHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KeyHash")
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KeyText")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_of_their_form_and_each_is_another() {
        for name in ["ann", "a_b-C_9", &"x".repeat(NAME_BYTES_MAX)] {
            let name = Owner::try_from(name).unwrap();
            let [one, other] = [(); 2].map(|()| KeyText::new(&name).unwrap());
            assert!(is_key_text(one.reveal()) && one.reveal().starts_with(&format!("eggbox_{name}_")));
            assert!(one.reveal() != other.reveal() && one.hash() != other.hash());
        }
    }

    #[test]
    fn other_text_is_no_key() {
        let secret = "a".repeat(SECRET_CHARACTERS);
        assert!(is_key_text(&format!("eggbox_ann_{secret}")));
        for text in [
            "",
            "password",
            "eggbox_ann_",
            &format!("ann_{secret}"),
            &format!("eggbox_{secret}"),
            &format!("eggbox__{secret}"),
            &format!("eggbox_a.b_{secret}"),
            &format!("eggbox_ann_{secret}a"),
            &format!("eggbox_ann_{}A", &secret[1..]),
            &format!("eggbox_ann_{}1", &secret[1..]),
            &format!("eggbox_{}_{secret}", "x".repeat(NAME_BYTES_MAX + 1)),
        ] {
            assert!(!is_key_text(text), "{text}");
        }
    }

    #[test]
    fn a_hash_is_read_as_it_is_written_and_shows_nothing_in_logs() {
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let hash = KeyHash::of("abc");
        assert_eq!(hash.to_string(), abc);
        assert_eq!([abc.parse(), abc.to_ascii_uppercase().parse()], [Ok(hash); 2]);
        assert_eq!(format!("{hash:?}"), "KeyHash");
        for text in ["", &abc[2..], &format!("{abc}00"), &format!("{}gg", &abc[2..]), "é"] {
            assert_eq!(text.parse::<KeyHash>(), Err(KeyHashError), "{text}");
        }
    }
}
