//! Searches through values and their blocks, one body for all paths.

use crate::simd::{Masks, Path, Simd, WIDTH};

/// Values, and blocks of 16, 256 and 4,096 of them.
type Levels<'a> = [&'a [f64]; 4];

/// Number of the topmost level.
const TOP: usize = 3;
/// A level has `1 << SHIFT` times the blocks of the one above.
const SHIFT: usize = 4;

/// Tells of sixteen values of a level which of them hold a hit.
trait Source {
    /// # Safety
    /// The machine must have the instructions of the path.
    unsafe fn mask(&self, level: usize, group: usize) -> u32;
}

/// Sixteen values; what lies past the end is NaN.
#[inline(always)]
fn group<'a>(values: &'a [f64], group: usize, filled: &'a mut [f64; WIDTH]) -> &'a [f64; WIDTH] {
    let first = group * WIDTH;
    match values.get(first..first + WIDTH) {
        Some(whole) => whole.try_into().unwrap_or(filled),
        None => {
            let rest = &values[first..];
            filled[..rest.len()].copy_from_slice(rest);
            filled
        }
    }
}

/// Values at or above a level.
struct AtLeast<'a, M> {
    values: Levels<'a>,
    threshold: f64,
    masks: std::marker::PhantomData<M>,
}

impl<M: Masks> Source for AtLeast<'_, M> {
    #[inline(always)]
    unsafe fn mask(&self, level: usize, number: usize) -> u32 {
        let mut filled = [f64::NAN; WIDTH];
        // SAFETY: as the caller's.
        unsafe { M::at_least(group(self.values[level], number, &mut filled), self.threshold) }
    }
}

/// Bars that reach one of two levels.
struct Outside<'a, M> {
    low: Levels<'a>,
    high: Levels<'a>,
    below: f64,
    above: f64,
    masks: std::marker::PhantomData<M>,
}

impl<M: Masks> Source for Outside<'_, M> {
    #[inline(always)]
    unsafe fn mask(&self, level: usize, number: usize) -> u32 {
        let (mut low, mut high) = ([f64::NAN; WIDTH], [f64::NAN; WIDTH]);
        // SAFETY: as the caller's.
        unsafe {
            M::at_most(group(self.low[level], number, &mut low), self.below)
                | M::at_least(group(self.high[level], number, &mut high), self.above)
        }
    }
}

/// The first bar in `from..to` with a hit, or `to`.
///
/// # Safety
/// The machine must have the instructions of the path.
#[inline(always)]
unsafe fn first<S: Source>(source: &S, from: usize, to: usize) -> usize {
    if from >= to {
        return to;
    }
    // SAFETY: as the caller's, for every mask below.
    let mask = |level, group| unsafe { source.mask(level, group) };
    let hit = mask(0, from / WIDTH) >> (from % WIDTH);
    if hit != 0 {
        return (from + hit.trailing_zeros() as usize).min(to);
    }
    // Up: `at` counts blocks of `level`; all before it hold none.
    let (mut at, mut level) = (from / WIDTH + 1, 1);
    loop {
        if at << (SHIFT * level) >= to {
            return to;
        }
        if at % WIDTH != 0 || level == TOP {
            let hit = mask(level, at / WIDTH) >> (at % WIDTH);
            if hit != 0 {
                at += hit.trailing_zeros() as usize;
                break;
            }
            at = (at / WIDTH + 1) * WIDTH;
            if level == TOP {
                continue;
            }
        }
        at /= WIDTH;
        level += 1;
    }
    // Down: a block holds a hit if its extreme is one.
    while level > 0 {
        if at << (SHIFT * level) >= to {
            return to;
        }
        level -= 1;
        at = at * WIDTH + mask(level, at).trailing_zeros() as usize;
    }
    at.min(to)
}

/// Lowest and highest values so far, in lanes.
struct Lanes {
    low: [f64; 8],
    high: [f64; 8],
}

impl Lanes {
    /// Takes `from..to` of a level, all in one group of sixteen unless at the top.
    #[inline(always)]
    fn take(&mut self, low: &[f64], high: &[f64], from: usize, to: usize) {
        let first = from / WIDTH * WIDTH;
        let whole = (low.get(first..first + WIDTH), high.get(first..first + WIDTH));
        if let (Some(lows), Some(highs)) = whole
            && to <= first + WIDTH
        {
            for k in 0..WIDTH {
                let inside = (first + k >= from) & (first + k < to);
                let (low, high) = (&mut self.low[k % 8], &mut self.high[k % 8]);
                *low = if inside & (lows[k] < *low) { lows[k] } else { *low };
                *high = if inside & (highs[k] > *high) { highs[k] } else { *high };
            }
            return;
        }
        for (l, h) in low[from..to].iter().zip(&high[from..to]) {
            self.low[0] = if *l < self.low[0] { *l } else { self.low[0] };
            self.high[0] = if *h > self.high[0] { *h } else { self.high[0] };
        }
    }
}

/// Lowest and highest value of `from..to`: the ends from the bars, the middle from blocks.
#[inline(always)]
fn extremes(low: Levels<'_>, high: Levels<'_>, from: usize, to: usize) -> (f64, f64) {
    let mut lanes = Lanes { low: [f64::INFINITY; 8], high: [f64::NEG_INFINITY; 8] };
    let (mut a, mut b) = (from, to);
    for level in 0..=TOP {
        if a >= b {
            break;
        }
        let (first, last) = (a / WIDTH, b / WIDTH);
        if first == last || level == TOP {
            lanes.take(low[level], high[level], a, b);
            break;
        }
        if a % WIDTH != 0 {
            lanes.take(low[level], high[level], a, (first + 1) * WIDTH);
        }
        if b % WIDTH != 0 {
            lanes.take(low[level], high[level], last * WIDTH, b);
        }
        (a, b) = (a.div_ceil(WIDTH), last);
    }
    let lowest = lanes.low.iter().fold(f64::INFINITY, |a, b| if *b < a { *b } else { a });
    let highest = lanes.high.iter().fold(f64::NEG_INFINITY, |a, b| if *b > a { *b } else { a });
    (lowest, highest)
}

/// The three searches, compiled for the instructions of a path.
macro_rules! searches {
    ($path:ident, $masks:ty, $(#[$features:meta])?) => {
        mod $path {
            use super::{AtLeast, Levels, Outside, extremes, first};

            $(#[$features])?
            pub fn first_at_least(
                values: Levels<'_>,
                (from, to): (usize, usize),
                threshold: f64,
            ) -> usize {
                let masks = std::marker::PhantomData::<$masks>;
                // SAFETY: this function has the instructions of the path.
                unsafe { first(&AtLeast { values, threshold, masks }, from, to) }
            }

            $(#[$features])?
            pub fn first_outside(
                low: Levels<'_>,
                high: Levels<'_>,
                (from, to): (usize, usize),
                (below, above): (f64, f64),
            ) -> usize {
                let masks = std::marker::PhantomData::<$masks>;
                // SAFETY: this function has the instructions of the path.
                unsafe { first(&Outside { low, high, below, above, masks }, from, to) }
            }

            $(#[$features])?
            pub fn range(
                low: Levels<'_>,
                high: Levels<'_>,
                (from, to): (usize, usize),
            ) -> (f64, f64) {
                extremes(low, high, from, to)
            }
        }
    };
}

searches!(portable, crate::simd::Plain,);
#[cfg(target_arch = "x86_64")]
searches!(avx2, crate::simd::Quads, #[target_feature(enable = "avx2,bmi1,bmi2")]);
#[cfg(target_arch = "x86_64")]
searches!(avx512, crate::simd::Octets, #[target_feature(enable = "avx2,bmi1,bmi2,avx512f,avx512vl")]);

/// Sends a search to the path.
macro_rules! choose {
    ($simd:expr, $search:ident($($argument:expr),*)) => {
        match $simd.path() {
            Path::Portable => portable::$search($($argument),*),
            // SAFETY: a `Simd` is made only of what this machine has.
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => unsafe { avx2::$search($($argument),*) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => unsafe { avx512::$search($($argument),*) },
            #[cfg(not(target_arch = "x86_64"))]
            _ => portable::$search($($argument),*),
        }
    };
}

/// The first of `span` at or above `threshold`, or its end.
#[inline]
pub fn first_at_least(
    simd: Simd,
    values: Levels<'_>,
    span: (usize, usize),
    threshold: f64,
) -> usize {
    choose!(simd, first_at_least(values, span, threshold))
}

/// The first bar of `span` that reaches `below` with its low or `above` with its high, or its end.
#[inline]
pub fn first_outside(
    simd: Simd,
    low: Levels<'_>,
    high: Levels<'_>,
    span: (usize, usize),
    levels: (f64, f64),
) -> usize {
    choose!(simd, first_outside(low, high, span, levels))
}

/// Lowest and highest value of `span`.
#[inline]
pub fn range(
    simd: Simd,
    low: Levels<'_>,
    high: Levels<'_>,
    span: (usize, usize),
) -> (f64, f64) {
    choose!(simd, range(low, high, span))
}
