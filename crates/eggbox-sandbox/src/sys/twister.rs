//! Generators of random numbers in the interpreter's memory whose state each session makes anew.
//!
//! The Mersenne twister's state is 624 words and an index. A program draws from two of them without seeding them first:
//! `random`'s and `numpy.random`'s. Seeding them from Python costs a session some 250 page faults, this two.

use std::io;
use std::ptr;

/// Words of the state, of which the low 31 bits of the first are not used: any others are a state as good as another.
const WORDS: usize = 624;
pub(crate) const STATE_BYTES: usize = WORDS * size_of::<u32>();

/// The place of one in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Twister {
    state: usize,
    index: usize,
}

impl Twister {
    /// Looks for one with this state and index in the `bytes` bytes from `address` on: a live object's. The index stands
    /// before the state or after it.
    pub(crate) fn find(address: usize, bytes: usize, state: &[u8], index: i32) -> Option<Self> {
        // SAFETY: the caller names an object that the interpreter holds; it is only read, by this one thread.
        let memory = unsafe { std::slice::from_raw_parts(ptr::with_exposed_provenance::<u8>(address), bytes) };
        if state.len() != STATE_BYTES {
            return None;
        }
        let at = memory.windows(STATE_BYTES).position(|window| window == state)?;
        let is_index = |at: usize| memory.get(at..at + size_of::<i32>()) == Some(&index.to_ne_bytes());
        let places = [at.checked_sub(size_of::<i32>()), Some(at + STATE_BYTES)];
        let index = places.into_iter().flatten().find(|place| is_index(*place))?;
        Some(Self { state: address + at, index: address + index })
    }

    /// Gives it a state that nobody knows.
    ///
    /// # Errors
    /// Where the kernel has no random bytes.
    pub(crate) fn renew(self) -> io::Result<()> {
        let mut filled = 0;
        while filled < STATE_BYTES {
            // SAFETY: the rest of the state, which was found there and whose owner is never freed.
            let count = unsafe {
                libc::getrandom(ptr::with_exposed_provenance_mut(self.state + filled), STATE_BYTES - filled, 0)
            };
            filled += usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        }
        // Nothing is drawn from this state yet.
        let used_up = i32::try_from(WORDS).unwrap_or(i32::MAX);
        // SAFETY: as above; an index is an int, and aligned like one.
        unsafe { ptr::with_exposed_provenance_mut::<i32>(self.index).write(used_up) };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_found_by_its_content_and_made_anew() {
        for (before, after) in [(0_i32, 7_i32), (7, 0)] {
            let mut memory = vec![0_u32; 3];
            memory.push(before.cast_unsigned());
            memory.extend(1..=624);
            memory.extend([after.cast_unsigned(), 0]);
            let state: Vec<u8> = (1..=624_u32).flat_map(u32::to_ne_bytes).collect();
            let (address, bytes) = (memory.as_mut_ptr().expose_provenance(), memory.len() * 4);
            assert!(Twister::find(address, bytes, &state, 8).is_none());
            let twister = Twister::find(address, bytes, &state, 7).unwrap();
            twister.renew().unwrap();
            let words = &memory[4..628];
            assert!(words.iter().zip(1..).filter(|(word, before)| *word == before).count() < 4);
            let indices = [memory[3], memory[628]];
            assert_eq!(indices, if before == 7 { [624, 0] } else { [0, 624] });
        }
    }
}
