//! The keys that this server answers to: whose each is, and how often it may ask. Knows hashes alone, never a key.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use eggbox_engine::Owner;
use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::key_text::{KeyHash, is_key_text};

/// The most keys that a server may have: every request is compared with each of them, some 20 ns each.
pub const KEYS_MAX: usize = 1024;

/// What is hashed where nothing came that could be a key, so that this takes as long as a wrong key.
const NO_KEY: &str = "eggbox_nobody_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A key as the operator has written it down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyConfig {
    /// Whose sessions are made with it.
    pub owner: Owner,
    pub hash: KeyHash,
    /// Requests that may be sent with it, so many at once where none were sent for a minute; none for no limit.
    pub rate_per_minute: Option<NonZeroU32>,
    /// Whether it may read what the server counts, which tells of what everybody does.
    pub metrics: bool,
}

/// A key, and how often it was used of late.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) owner: Owner,
    pub(crate) metrics: bool,
    hash: KeyHash,
    rate: Option<Rate>,
}

#[derive(Debug)]
struct Rate {
    per_minute: NonZeroU32,
    limiter: RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<<MonotonicClock as Clock>::Instant>>,
}

/// A request too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooOften {
    pub(crate) per_minute: NonZeroU32,
    /// Until there may be another one.
    pub(crate) wait: Duration,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Keys(Vec<Arc<Key>>);

impl Keys {
    pub(crate) fn new(keys: &[KeyConfig]) -> Self {
        Self(keys.iter().map(|key| Arc::new(Key::new(key))).collect())
    }

    /// Where there is none, everybody may do everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key that `text` is. Takes as long whether it is one or which, and as with none where there is no text.
    pub(crate) fn find(&self, text: Option<&str>) -> Option<&Arc<Key>> {
        let text = text.filter(|text| is_key_text(text));
        let hash = KeyHash::of(text.unwrap_or(NO_KEY));
        let mut found = 0;
        for (number, key) in (1_u32..).zip(&self.0) {
            found.conditional_assign(&number, key.hash.ct_eq(&hash));
        }
        text?;
        self.0.get(usize::try_from(found).ok()?.checked_sub(1)?)
    }
}

impl Key {
    fn new(KeyConfig { owner, hash, rate_per_minute, metrics }: &KeyConfig) -> Self {
        let rate = rate_per_minute.map(|per_minute| Rate {
            per_minute,
            limiter: RateLimiter::direct_with_clock(Quota::per_minute(per_minute), MonotonicClock),
        });
        Self { owner: owner.clone(), metrics: *metrics, hash: *hash, rate }
    }

    /// Counts a request, unless it is one too many.
    pub(crate) fn count_request(&self) -> Result<(), TooOften> {
        let Some(Rate { per_minute, limiter }) = &self.rate else { return Ok(()) };
        limiter.check().map_err(|early| {
            let wait = early.wait_time_from(limiter.clock().now());
            TooOften { per_minute: *per_minute, wait }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_text::KeyText;

    fn configured(names: &[&str]) -> (Vec<KeyText>, Keys) {
        let owners: Vec<_> = names.iter().map(|name| Owner::try_from(*name).unwrap()).collect();
        let texts: Vec<_> = owners.iter().map(|owner| KeyText::new(owner).unwrap()).collect();
        let rate_per_minute = NonZeroU32::new(2);
        let configs = owners.into_iter().zip(&texts);
        let configs: Vec<_> = configs
            .map(|(owner, text)| KeyConfig { owner, hash: text.hash(), rate_per_minute, metrics: false })
            .collect();
        let keys = Keys::new(&configs);
        (texts, keys)
    }

    #[test]
    fn each_key_is_found_and_nothing_else() {
        let (texts, keys) = configured(&["ann", "bob", "cid"]);
        for (text, name) in texts.iter().zip(["ann", "bob", "cid"]) {
            assert_eq!(keys.find(Some(text.reveal())).unwrap().owner.as_str(), name);
        }
        let ann = texts[0].reveal();
        let other = KeyText::new(&Owner::try_from("ann").unwrap()).unwrap();
        for text in ["", NO_KEY, &ann[1..], &ann.to_uppercase(), other.reveal()] {
            assert!(keys.find(Some(text)).is_none(), "{text}");
        }
        assert!(keys.find(None).is_none());
        assert!(Keys::new(&[]).find(Some(ann)).is_none());
    }

    #[test]
    fn the_hash_of_what_is_no_key_opens_nothing() {
        let owner = Owner::try_from("ann").unwrap();
        for text in ["", "password", NO_KEY] {
            let owner = owner.clone();
            let config = KeyConfig { owner, hash: KeyHash::of(text), rate_per_minute: None, metrics: false };
            assert!(Keys::new(&[config]).find(None).is_none());
        }
        let config = KeyConfig { owner, hash: KeyHash::of("password"), rate_per_minute: None, metrics: false };
        assert!(Keys::new(&[config]).find(Some("password")).is_none());
    }

    #[test]
    fn so_many_requests_may_come_at_once_and_the_next_after_its_part_of_a_minute() {
        let (_, keys) = configured(&["ann", "bob"]);
        let [ann, bob] = [&keys.0[0], &keys.0[1]];
        assert_eq!([ann.count_request(), ann.count_request()], [Ok(()); 2]);
        let TooOften { per_minute, wait } = ann.count_request().unwrap_err();
        assert_eq!(per_minute.get(), 2);
        assert!(wait > Duration::from_secs(25) && wait <= Duration::from_secs(30), "{wait:?}");
        assert_eq!(bob.count_request(), Ok(()));
    }
}
