//! Searches through values and their blocks, one body for all paths.

// Bodies must end up inside the functions that are compiled for a path, or their instructions are not used.
#![allow(clippy::inline_always)]

use crate::simd::{Masks, Path, Simd, WIDTH};

/// A series of values, and blocks of 16, 256 and 4,096 of them.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// By level; all but the first are filled up to whole groups.
    pub levels: [&'a [f64]; 4],
}

/// Lows and highs.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    /// Lowest values.
    pub low: Series<'a>,
    /// Highest values.
    pub high: Series<'a>,
}

/// Number of the topmost level.
const TOP: usize = 3;
/// A level has `1 << SHIFT` times the blocks of the one above.
const SHIFT: usize = 4;
/// Groups of bars that a search looks at before it climbs. Their addresses are known beforehand, so that loads overlap;
/// on the way through blocks each waits for the one before.
const NEAR: usize = 8;

/// Tells of sixteen values of a level which of them hold a hit.
trait Source {
    /// # Safety
    /// The machine must have the instructions of the path.
    unsafe fn mask(&self, level: usize, group: usize) -> u32;
}

impl Series<'_> {
    /// Sixteen values of a level; None at a ragged end.
    #[inline(always)]
    fn group(&self, level: usize, number: usize) -> Option<&[f64; WIDTH]> {
        let first = number * WIDTH;
        self.levels[level].get(first..first + WIDTH)?.try_into().ok()
    }

    /// The bars past the last whole group; what lies past the end is NaN.
    #[cold]
    fn ragged(&self, number: usize) -> [f64; WIDTH] {
        let rest = &self.levels[0][number * WIDTH..];
        let mut filled = [f64::NAN; WIDTH];
        filled[..rest.len()].copy_from_slice(rest);
        filled
    }
}

/// Values at or above a level.
struct AtLeast<'a, M> {
    series: &'a Series<'a>,
    threshold: f64,
    masks: std::marker::PhantomData<M>,
}

impl<M: Masks> Source for AtLeast<'_, M> {
    #[inline(always)]
    unsafe fn mask(&self, level: usize, number: usize) -> u32 {
        // SAFETY: as the caller's.
        unsafe {
            match self.series.group(level, number) {
                Some(values) => M::at_least(values, self.threshold),
                None => M::at_least(&self.series.ragged(number), self.threshold),
            }
        }
    }
}

/// Bars that reach one of two levels.
struct Outside<'a, M> {
    span: &'a Span<'a>,
    below: f64,
    above: f64,
    masks: std::marker::PhantomData<M>,
}

impl<M: Masks> Source for Outside<'_, M> {
    #[inline(always)]
    unsafe fn mask(&self, level: usize, number: usize) -> u32 {
        let Span { low, high } = self.span;
        // SAFETY: as the caller's.
        unsafe {
            match (low.group(level, number), high.group(level, number)) {
                (Some(low), Some(high)) => {
                    M::at_most(low, self.below) | M::at_least(high, self.above)
                }
                _ => {
                    M::at_most(&low.ragged(number), self.below)
                        | M::at_least(&high.ragged(number), self.above)
                }
            }
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
    // `at` counts blocks of `level`; all before it hold none.
    let (mut at, mut level) = (from / WIDTH + 1, 1);
    for _ in 0..NEAR {
        if at * WIDTH >= to {
            return to;
        }
        let hit = mask(0, at);
        if hit != 0 {
            return (at * WIDTH + hit.trailing_zeros() as usize).min(to);
        }
        at += 1;
    }
    // Up.
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

/// Takes `from..to` of a level, all in one group of sixteen.
///
/// # Safety
/// The machine must have the instructions of the path.
#[inline(always)]
unsafe fn take<M: Masks>(
    lanes: M::Lanes,
    span: &Span<'_>,
    level: usize,
    from: usize,
    to: usize,
) -> M::Lanes {
    let number = from / WIDTH;
    let first = number * WIDTH;
    let mask = (u32::MAX << (from - first)) & (0xffff >> (first + WIDTH - to));
    // SAFETY: as the caller's.
    unsafe {
        match (span.low.group(level, number), span.high.group(level, number)) {
            (Some(low), Some(high)) => M::spread(lanes, low, high, mask),
            _ => M::spread(lanes, &span.low.ragged(number), &span.high.ragged(number), mask),
        }
    }
}

/// Lowest and highest value of `from..to`: the ends from the bars, the middle from blocks.
///
/// # Safety
/// The machine must have the instructions of the path.
#[inline(always)]
unsafe fn extremes<M: Masks>(span: &Span<'_>, from: usize, to: usize) -> (f64, f64) {
    // SAFETY: as the caller's, for all that follows.
    unsafe {
        let mut lanes = M::lanes();
        let (mut a, mut b) = (from, to);
        for level in 0..=TOP {
            if a >= b {
                break;
            }
            if b - a <= NEAR * WIDTH || level == TOP {
                while a < b {
                    let next = (a / WIDTH + 1) * WIDTH;
                    lanes = take::<M>(lanes, span, level, a, next.min(b));
                    a = next;
                }
                break;
            }
            if a % WIDTH != 0 {
                lanes = take::<M>(lanes, span, level, a, (a / WIDTH + 1) * WIDTH);
            }
            if b % WIDTH != 0 {
                lanes = take::<M>(lanes, span, level, b / WIDTH * WIDTH, b);
            }
            (a, b) = (a.div_ceil(WIDTH), b / WIDTH);
        }
        M::ends(lanes)
    }
}

/// Numbers of the values at or below `level`, appended in order; a ragged end is not looked at.
///
/// # Safety
/// The machine must have the instructions of the path.
#[inline(always)]
unsafe fn collect<M: Masks>(values: &[f64], level: f64, out: &mut Vec<usize>) {
    for (number, group) in values.as_chunks::<WIDTH>().0.iter().enumerate() {
        // SAFETY: as the caller's.
        let mut mask = unsafe { M::at_most(group, level) };
        while mask != 0 {
            out.push(number * WIDTH + mask.trailing_zeros() as usize);
            mask &= mask - 1;
        }
    }
}

/// The lowest value; a ragged end is not looked at.
///
/// # Safety
/// The machine must have the instructions of the path.
#[inline(always)]
unsafe fn least<M: Masks>(values: &[f64]) -> f64 {
    // SAFETY: as the caller's.
    unsafe {
        let mut lanes = M::lanes();
        for group in values.as_chunks::<WIDTH>().0 {
            lanes = M::spread(lanes, group, group, 0xffff);
        }
        M::ends(lanes).0
    }
}

/// The searches, compiled for the instructions of a path.
macro_rules! searches {
    ($path:ident, $masks:ty, $(#[$features:meta])?) => {
        mod $path {
            use std::marker::PhantomData;

            use super::{AtLeast, Outside, Series, Span, extremes, first};

            $(#[$features])?
            pub fn collect(values: &[f64], level: f64, out: &mut Vec<usize>) {
                // SAFETY: this function has the instructions of the path.
                unsafe { super::collect::<$masks>(values, level, out) }
            }

            $(#[$features])?
            pub fn least(values: &[f64]) -> f64 {
                // SAFETY: this function has the instructions of the path.
                unsafe { super::least::<$masks>(values) }
            }

            $(#[$features])?
            pub fn first_at_least(
                series: &Series<'_>,
                (from, to): (usize, usize),
                threshold: f64,
            ) -> usize {
                let masks = PhantomData::<$masks>;
                // SAFETY: this function has the instructions of the path.
                unsafe { first(&AtLeast { series, threshold, masks }, from, to) }
            }

            $(#[$features])?
            pub fn first_outside(
                span: &Span<'_>,
                (from, to): (usize, usize),
                (below, above): (f64, f64),
            ) -> usize {
                let masks = PhantomData::<$masks>;
                // SAFETY: this function has the instructions of the path.
                unsafe { first(&Outside { span, below, above, masks }, from, to) }
            }

            $(#[$features])?
            pub fn range(span: &Span<'_>, (from, to): (usize, usize)) -> (f64, f64) {
                // SAFETY: this function has the instructions of the path.
                unsafe { extremes::<$masks>(span, from, to) }
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

/// Values without an order to search in, filled up to whole groups with infinity.
#[derive(Debug)]
pub struct Unordered {
    values: Vec<f64>,
    count: usize,
}

impl Unordered {
    /// So many of one value.
    pub fn new(value: f64, count: usize) -> Self {
        let mut values = vec![value; count];
        values.resize(count.next_multiple_of(WIDTH), f64::INFINITY);
        Self { values, count }
    }

    /// Sets value `number`.
    #[inline]
    pub fn set(&mut self, number: usize, value: f64) {
        self.values[number] = value;
    }

    /// The lowest.
    #[inline]
    pub fn least(&self, simd: Simd) -> f64 {
        if self.count == 1 {
            return self.values[0];
        }
        choose!(simd, least(&self.values))
    }

    /// Appends the numbers of those at or below `level`, in order.
    #[inline]
    pub fn collect(&self, simd: Simd, level: f64, out: &mut Vec<usize>) {
        if self.count == 1 {
            if self.values[0] <= level {
                out.push(0);
            }
            return;
        }
        choose!(simd, collect(&self.values, level, out));
    }
}

impl Series<'_> {
    /// The first of `from..to` at or above `threshold`, or `to`; NaN is not.
    #[inline]
    pub fn first_at_least(&self, simd: Simd, span: (usize, usize), threshold: f64) -> usize {
        choose!(simd, first_at_least(self, span, threshold))
    }
}

impl Span<'_> {
    /// The first of `from..to` whose low is at or below `below` or whose high is at or above `above`, or `to`.
    ///
    /// A level that is NaN is met by none.
    #[inline]
    pub fn first_outside(&self, simd: Simd, span: (usize, usize), levels: (f64, f64)) -> usize {
        choose!(simd, first_outside(self, span, levels))
    }

    /// Lowest and highest value of `from..to`; infinities if that is empty.
    #[inline]
    pub fn range(&self, simd: Simd, span: (usize, usize)) -> (f64, f64) {
        choose!(simd, range(self, span))
    }

    /// Lowest and highest value of block `number` of sixteen.
    #[inline]
    pub fn block(&self, number: usize) -> (f64, f64) {
        (self.low.levels[1][number], self.high.levels[1][number])
    }

    /// Skips blocks from `from` on while `take(lowest, highest)` accepts them; the first bar that lies in none, or `to`.
    ///
    /// The largest block that fits is offered first; where it is refused, its parts are.
    pub fn next_blocks(
        &self,
        from: usize,
        to: usize,
        mut take: impl FnMut(f64, f64) -> bool,
    ) -> usize {
        let mut i = from;
        'walk: while i < to && i.is_multiple_of(WIDTH) {
            for level in (1..=TOP).rev() {
                let (size, block) = (1 << (SHIFT * level), i >> (SHIFT * level));
                if i.is_multiple_of(size)
                    && i + size <= to
                    && take(self.low.levels[level][block], self.high.levels[level][block])
                {
                    i += size;
                    continue 'walk;
                }
            }
            break;
        }
        i
    }
}
