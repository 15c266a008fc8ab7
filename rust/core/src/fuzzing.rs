//! Cases for tests that draw them from a seed and for the fuzzer that reads them from bytes: `fuzz/` holds its targets.
//!
//! One reader serves both. Of an input the bytes decide, the commonest choices with a byte each, so that the fuzzer can
//! turn one and keep the rest; where they end, a generator that their first eight seed goes on. No bytes and a seed is
//! the case of a test.
//!
//! Built for tests and with the feature `fuzzing` only; it is no part of the crate's face.

mod accounts;
mod engines;
mod intake;
mod labels;
mod live;
mod states;

pub use accounts::AccountCase;
pub use engines::Case;
pub use intake::{feature_text, numbers_at_the_door};
pub use live::live_account;
pub use states::stream_state;

/// Choices from bytes, then from `SplitMix64`: enough for draws, and the same everywhere.
#[derive(Clone, Debug)]
pub struct Draw<'b> {
    bytes: &'b [u8],
    state: u64,
}

impl<'b> Draw<'b> {
    /// From a seed alone.
    pub fn seeded(seed: u64) -> Self {
        Self { bytes: &[], state: seed }
    }

    /// From an input: eight bytes of seed, then choices.
    pub fn read(input: &'b [u8]) -> Self {
        let (seed, bytes) = input.split_at(input.len().min(8));
        let mut first = [0; 8];
        first[..seed.len()].copy_from_slice(seed);
        Self { bytes, state: u64::from_le_bytes(first) }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Any number, from eight bytes.
    pub(crate) fn whole(&mut self) -> u64 {
        match self.bytes.split_first_chunk() {
            Some((first, rest)) => {
                self.bytes = rest;
                u64::from_le_bytes(*first)
            }
            None => self.next(),
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    /// In [0, 1); of two bytes, so that an input can say the same number twice.
    pub(crate) fn unit(&mut self) -> f64 {
        match (self.byte(), self.byte()) {
            (Some(high), Some(low)) => f64::from(u16::from_be_bytes([high, low])) / 65_536.0,
            _ => (self.next() >> 11) as f64 / (1_u64 << 53) as f64,
        }
    }

    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    #[allow(clippy::cast_possible_truncation)] // below n
    pub(crate) fn below(&mut self, n: usize) -> usize {
        let whole = if n > 256 { None } else { self.byte().map(u64::from) };
        (whole.unwrap_or_else(|| self.next()) % n as u64) as usize
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, p: f64) -> bool {
        match self.byte() {
            Some(byte) => f64::from(byte) < 256.0 * p,
            None => self.unit() < p,
        }
    }

    /// One of the choices.
    pub(crate) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    pub(crate) fn maybe(&mut self, p: f64, low: f64, high: f64) -> Option<f64> {
        self.chance(p).then(|| self.between(low, high))
    }
}
