//! Who has something to do, step by step.

use super::TILE;

/// Who has something to do at each step of a stretch.
pub struct Calendar {
    symbols: Vec<u64>,
    steps: [u64; TILE / 64],
}

impl Calendar {
    /// Empty.
    pub fn new() -> Self {
        Self { symbols: vec![0; TILE], steps: [0; TILE / 64] }
    }

    #[inline]
    /// A symbol has something to do.
    pub fn add(&mut self, at: usize, symbol: usize) {
        self.symbols[at] |= 1 << symbol;
        self.steps[at / 64] |= 1 << (at % 64);
    }

    /// Takes the next step of a word of steps, with the symbols that have something to do then.
    #[inline]
    pub fn take(&mut self, word: usize) -> Option<(usize, u64)> {
        let steps = &mut self.steps[word];
        if *steps == 0 {
            return None;
        }
        let at = word * 64 + steps.trailing_zeros() as usize;
        *steps &= *steps - 1;
        Some((at, std::mem::take(&mut self.symbols[at])))
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.symbols.fill(0);
        self.steps.fill(0);
    }
}

/// Numbers of the bits of a word, from the lowest.
pub struct Bits(pub u64);

impl Iterator for Bits {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        (self.0 != 0).then(|| {
            let bit = self.0.trailing_zeros() as usize;
            self.0 &= self.0 - 1;
            bit
        })
    }
}
