//! The index of a market: where bars could matter, without looking at each.
//!
//! # Idea
//!
//! For blocks of 16, 256 and 4,096 bars the lowest and the highest value are kept. "The next bar where the low reaches
//! a level or the high another" then climbs from the bars to the blocks, looks at sixteen of a kind with one mask, and
//! comes down where a block holds a hit; the answer is always that of a scan bar by bar.
//!
//! Building costs one pass over the data; a search costs about the logarithm of the distance it covers.
//!
//! # Tricks
//!
//! - Sixteen everywhere: one mask ([`crate::simd`]) tells of a group of bars or of blocks, and the first hit is the
//!   number of its trailing zeros; there is no branch a bar.
//! - A search has a level on each side; one that is not set is NaN, which nothing meets. Strict comparisons become plain
//!   ones with the next representable number.

mod search;

use rayon::prelude::*;
pub use search::{Series, Span, Unordered};

use crate::simd::WIDTH;

/// Blocks of the first level that one thread makes at a time.
const SHARE: usize = 4096;

/// NaN is nobody's extreme.
fn lower(a: f64, b: f64) -> f64 {
    if b < a { b } else { a }
}

fn higher(a: f64, b: f64) -> f64 {
    if b > a { b } else { a }
}

/// One extreme of each block of sixteen, in lanes of eight so that the compiler can keep them in vectors.
#[inline]
fn blocks(values: &[f64], out: &mut [f64], join: impl Fn(f64, f64) -> f64, start: f64) {
    let (whole, rest) = values.as_chunks::<WIDTH>();
    for (block, slot) in whole.iter().zip(&mut *out) {
        let mut lanes = [start; 8];
        for half in block.as_chunks::<8>().0 {
            for (lane, value) in lanes.iter_mut().zip(half) {
                *lane = join(*lane, *value);
            }
        }
        let four: [f64; 4] = std::array::from_fn(|k| join(lanes[k], lanes[k + 4]));
        *slot = join(join(four[0], four[2]), join(four[1], four[3]));
    }
    if !rest.is_empty() {
        out[whole.len()] = rest.iter().fold(start, |a, b| join(a, *b));
    }
}

/// Extremes of blocks by level, each level filled up to whole groups of sixteen with values that nothing meets.
#[derive(Debug)]
struct Pyramid {
    levels: [Vec<f64>; 3],
}

impl Pyramid {
    fn new(
        values: &[f64],
        join: impl Fn(f64, f64) -> f64 + Copy + Sync,
        start: f64,
        parallel: bool,
    ) -> Self {
        let room = |count: usize| vec![start; count.div_ceil(WIDTH).next_multiple_of(WIDTH)];
        let mut first = room(values.len());
        let used = values.len().div_ceil(WIDTH);
        if parallel {
            first[..used]
                .par_chunks_mut(SHARE)
                .zip(values.par_chunks(SHARE * WIDTH))
                .for_each(|(out, part)| blocks(part, out, join, start));
        } else {
            blocks(values, &mut first[..used], join, start);
        }
        let mut second = room(first.len());
        blocks(&first, &mut second, join, start);
        let mut third = room(second.len());
        blocks(&second, &mut third, join, start);
        Self { levels: [first, second, third] }
    }

    /// The values themselves, then the blocks.
    fn over<'p>(&'p self, values: &'p [f64]) -> Series<'p> {
        Series { levels: [values, &self.levels[0], &self.levels[1], &self.levels[2]] }
    }
}

/// Lowest and highest values of blocks of bars.
#[derive(Debug)]
pub struct Extremes {
    low: Pyramid,
    high: Pyramid,
}

impl Extremes {
    /// Of bars that reach from `low` to `high`; `parallel` builds on the threads of the pool it is called in.
    pub fn new(low: &[f64], high: &[f64], parallel: bool) -> Self {
        let lows = || Pyramid::new(low, lower, f64::INFINITY, parallel);
        let highs = || Pyramid::new(high, higher, f64::NEG_INFINITY, parallel);
        let (low, high) = if parallel { rayon::join(lows, highs) } else { (lows(), highs()) };
        Self { low, high }
    }

    /// With the columns it was made of, for searches.
    pub fn over<'p>(&'p self, low: &'p [f64], high: &'p [f64]) -> Span<'p> {
        Span { low: self.low.over(low), high: self.high.over(high) }
    }
}

/// Highest values of blocks of a series that may hold NaN.
#[derive(Debug)]
pub struct Peaks {
    high: Pyramid,
}

impl Peaks {
    /// Of a series; `parallel` builds on the threads of the pool it is called in.
    pub fn new(values: &[f64], parallel: bool) -> Self {
        Self { high: Pyramid::new(values, higher, f64::NEG_INFINITY, parallel) }
    }

    /// With the series it was made of, for searches.
    pub fn over<'p>(&'p self, values: &'p [f64]) -> Series<'p> {
        self.high.over(values)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::simd::Simd;

    fn series() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(prop_oneof![9 => 0.0..1.0, 1 => Just(f64::NAN)], 1..9000)
    }

    /// Two of a kind: near each other, where most searches end, and far apart.
    fn span(n: usize, (from, length): (usize, usize)) -> (usize, usize) {
        let from = from % n;
        (from, (from + length).min(n))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn searches_are_those_of_a_scan(
            values in series(),
            spans in prop::collection::vec(
                (0_usize..9000, prop_oneof![0_usize..40, 0_usize..9000]), 12
            ),
            level in prop_oneof![0.9..1.01, 0.999..1.0001],
        ) {
            let n = values.len();
            let low: Vec<f64> = values.iter().map(|v| if v.is_nan() { 0.5 } else { *v }).collect();
            let high: Vec<f64> = low.iter().map(|v| v + 0.1).collect();
            let parallel = n % 2 == 0;
            let peaks = Peaks::new(&values, parallel);
            let extremes = Extremes::new(&low, &high, parallel);
            let (series, bars) = (peaks.over(&values), extremes.over(&low, &high));
            for (from, to) in spans.into_iter().map(|s| span(n, s)) {
                let part = from..to;
                let lowest = low[part.clone()].iter().copied().fold(f64::INFINITY, lower);
                let highest = high[part.clone()].iter().copied().fold(f64::NEG_INFINITY, higher);
                let (below, above) = (1.0 - level, level + 0.09);
                for simd in Simd::available() {
                    let want = part.clone().find(|i| values[*i] >= level).unwrap_or(to);
                    prop_assert_eq!(series.first_at_least(simd, (from, to), level), want);
                    for (below, above) in [(below, above), (f64::NAN, above), (below, f64::NAN)] {
                        let hit = |i: &usize| low[*i] <= below || high[*i] >= above;
                        let want = part.clone().find(hit).unwrap_or(to);
                        let found = bars.first_outside(simd, (from, to), (below, above));
                        prop_assert_eq!(found, want);
                    }
                    let found = bars.range(simd, (from, to));
                    prop_assert_eq!(found, (lowest, highest));
                }
            }
        }

        #[test]
        fn the_least_and_those_below_are_found(
            values in prop::collection::vec(0_u8..20, 0..70), level in 0_u8..20
        ) {
            let mut all = Unordered::new(0.0, values.len());
            for (number, value) in values.iter().enumerate() {
                all.set(number, f64::from(*value));
            }
            let least = values.iter().min().map_or(f64::INFINITY, |v| f64::from(*v));
            let below: Vec<usize> = (0..values.len()).filter(|k| values[*k] <= level).collect();
            for simd in Simd::available() {
                let mut found = vec![];
                all.collect(simd, f64::from(level), &mut found);
                prop_assert_eq!(all.least(simd), least);
                prop_assert_eq!(&found, &below);
            }
        }
    }
}
