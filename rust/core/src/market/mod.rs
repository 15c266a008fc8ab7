//! The index of a market: where bars could matter, without looking at each.
//!
//! # Idea
//!
//! For blocks of 16, 256 and 4,096 bars the lowest and the highest value are kept. "The next bar where the low reaches
//! a level or the high exceeds another" then skips every block whose extremes do neither. A block is entered only if its
//! extremes say that it may hold a hit; the answer is always that of a scan bar by bar.
//!
//! Building costs one pass over the data; a search costs about the logarithm of the distance it covers.

/// Bars in a block, by level.
const SIZES: [usize; 3] = [16, 256, 4096];

/// Lowest and highest values of blocks of bars.
#[derive(Debug)]
pub struct Extremes {
    low: [Vec<f64>; 3],
    high: [Vec<f64>; 3],
}

fn blocks(values: &[f64], size: usize, join: impl Fn(f64, f64) -> f64, start: f64) -> Vec<f64> {
    values.chunks(size).map(|block| block.iter().fold(start, |a, b| join(a, *b))).collect()
}

/// NaN is nobody's extreme.
fn lower(a: f64, b: f64) -> f64 {
    if b < a { b } else { a }
}

fn higher(a: f64, b: f64) -> f64 {
    if b > a { b } else { a }
}

fn levels(values: &[f64], join: impl Fn(f64, f64) -> f64 + Copy, start: f64) -> [Vec<f64>; 3] {
    let first = blocks(values, SIZES[0], join, start);
    let second = blocks(&first, SIZES[1] / SIZES[0], join, start);
    let third = blocks(&second, SIZES[2] / SIZES[1], join, start);
    [first, second, third]
}

impl Extremes {
    /// Of bars that reach from `low` to `high`.
    pub fn new(low: &[f64], high: &[f64]) -> Self {
        Self {
            low: levels(low, lower, f64::INFINITY),
            high: levels(high, higher, f64::NEG_INFINITY),
        }
    }

    /// The first bar in `from..to` that `hit` holds for, or `to`.
    ///
    /// `hit(lowest, highest)` must hold for a block if it holds for any bar in it.
    pub fn first(
        &self,
        low: &[f64],
        high: &[f64],
        from: usize,
        to: usize,
        hit: impl Fn(f64, f64) -> bool,
    ) -> usize {
        let mut i = from;
        'search: while i < to {
            if i.is_multiple_of(SIZES[0]) {
                for level in (0..3).rev() {
                    let block = i / SIZES[level];
                    if i.is_multiple_of(SIZES[level])
                        && !hit(self.low[level][block], self.high[level][block])
                    {
                        i += SIZES[level];
                        continue 'search;
                    }
                }
            }
            if hit(low[i], high[i]) {
                return i;
            }
            i += 1;
        }
        to
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
        'walk: while i < to && i.is_multiple_of(SIZES[0]) {
            for level in (0..3).rev() {
                let (size, block) = (SIZES[level], i / SIZES[level]);
                if i.is_multiple_of(size)
                    && i + size <= to
                    && take(self.low[level][block], self.high[level][block])
                {
                    i += size;
                    continue 'walk;
                }
            }
            break;
        }
        i
    }

    /// Lowest and highest value of `from..to`.
    pub fn range(&self, low: &[f64], high: &[f64], from: usize, to: usize) -> (f64, f64) {
        let (mut lowest, mut highest) = (f64::INFINITY, f64::NEG_INFINITY);
        let mut i = from;
        'walk: while i < to {
            if i.is_multiple_of(SIZES[0]) {
                for level in (0..3).rev() {
                    let (size, block) = (SIZES[level], i / SIZES[level]);
                    if i.is_multiple_of(size) && i + size <= to {
                        lowest = lower(lowest, self.low[level][block]);
                        highest = higher(highest, self.high[level][block]);
                        i += size;
                        continue 'walk;
                    }
                }
            }
            lowest = lower(lowest, low[i]);
            highest = higher(highest, high[i]);
            i += 1;
        }
        (lowest, highest)
    }
}

/// Highest values of blocks of a series that may hold NaN.
#[derive(Debug)]
pub struct Peaks {
    high: [Vec<f64>; 3],
}

impl Peaks {
    /// Of a series.
    pub fn new(values: &[f64]) -> Self {
        Self { high: levels(values, higher, f64::NEG_INFINITY) }
    }

    /// The first bar in `from..to` at or above `threshold`, or `to`.
    pub fn first(&self, values: &[f64], from: usize, to: usize, threshold: f64) -> usize {
        let mut i = from;
        'search: while i < to {
            if i.is_multiple_of(SIZES[0]) {
                for level in (0..3).rev() {
                    if i.is_multiple_of(SIZES[level])
                        && self.high[level][i / SIZES[level]] < threshold
                    {
                        i += SIZES[level];
                        continue 'search;
                    }
                }
            }
            if values[i] >= threshold {
                return i;
            }
            i += 1;
        }
        to
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn series() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(prop_oneof![9 => 0.0..1.0, 1 => Just(f64::NAN)], 1..9000)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn searches_are_those_of_a_scan(
            values in series(), from in 0_usize..9000, to in 0_usize..9000, level in 0.9..1.01
        ) {
            let n = values.len();
            let (from, to) = (from % n, to % n);
            let peaks = Peaks::new(&values);
            let want = (from..to).find(|i| values[*i] >= level).unwrap_or(to);
            prop_assert_eq!(peaks.first(&values, from, to, level), want);
            let low: Vec<f64> = values.iter().map(|v| if v.is_nan() { 0.5 } else { *v }).collect();
            let high: Vec<f64> = low.iter().map(|v| v + 0.1).collect();
            let extremes = Extremes::new(&low, &high);
            let hit = |l: f64, h: f64| l <= 1.0 - level || h > level + 0.09;
            let want = (from..to).find(|i| hit(low[*i], high[*i])).unwrap_or(to);
            prop_assert_eq!(extremes.first(&low, &high, from, to, hit), want);
            let part = if from < to { from..to } else { 0..0 };
            let lowest = low[part.clone()].iter().copied().fold(f64::INFINITY, lower);
            let highest = high[part].iter().copied().fold(f64::NEG_INFINITY, higher);
            prop_assert_eq!(extremes.range(&low, &high, from, to), (lowest, highest));
        }
    }
}
