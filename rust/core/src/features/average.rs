//! Averages, and how far a series lies above them.

use super::node::{Kernel, Memory, Visit, node};
use super::operators::relative;
use super::parts::{finite, full};
use super::recursion::{GROUP, Recursion, groups};
use super::registry::{Function, Input, Parameter, consistent, count};
use super::wide;
use super::window::{Statistic, Total, Weighted, Windowed, bars};
use crate::numeric;

/// Plain mean of a window.
#[derive(Clone, Debug)]
pub struct Mean;

impl Statistic for Mean {
    type Fold = Total;

    #[inline]
    fn read(fold: Total, _x: f64, length: f64) -> f64 {
        fold.value() / length
    }
}

/// Mean of a window with weights 1, 2, ... up to the newest value.
#[derive(Clone, Debug)]
pub struct WeightedMean;

impl Statistic for WeightedMean {
    type Fold = Weighted;

    #[inline]
    fn read(fold: Weighted, _x: f64, length: f64) -> f64 {
        fold.value() / (0.5 * length * (length + 1.0))
    }
}

/// What is left of the seed of a recursion, relative to what it was, when it counts as forgotten. A thousandth of the
/// 1e-9 that [`Memory::Fading`] promises: the seed may have been taken in the middle of a jump.
const FORGOTTEN: f64 = 1e-12;

/// Bars until a recursion that keeps the share `keep` of its state a bar has forgotten its seed.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn fade(keep: f64) -> u64 {
    // A share of 0 has the logarithm minus infinity, and the quotient 0.
    (numeric::ln(FORGOTTEN) / numeric::ln(keep)).ceil() as u64
}

/// Bars in which an [`Ema`] forgets its seed.
pub(super) fn ema_fade(period: f64) -> u64 {
    fade((period - 1.0) / (period + 1.0))
}

/// Bars in which a [`Wilder`] mean forgets its seed.
pub(super) fn wilder_fade(period: f64) -> u64 {
    fade((period - 1.0) / period)
}

/// Powers 1 to [`GROUP`] of a share.
fn powers(keep: f64) -> [f64; GROUP] {
    let mut power = 1.0;
    std::array::from_fn(|_| {
        power *= keep;
        power
    })
}

/// Exponential mean: `mean += alpha * (x - mean)`, `alpha = 2 / (period + 1)`, seeded with the plain mean of the first
/// `period` values. A NaN gives NaN and changes nothing.
///
/// Written that way a bar waits for the bar before it, three operations long. So bars are taken in groups of eight from
/// the seed on: with `g` the first value of the group and `m` the mean before it, the mean after its bar `j` is
/// `g + keep^(j + 1) * (m - g)`, plus a recursion over `x - g` that begins anew in each group. Only `m` ties groups
/// together. Values that are all equal still have exactly themselves as their mean.
#[derive(Clone, Debug)]
pub struct Ema {
    period: f64,
    alpha: f64,
    keep: f64,
    powers: [f64; GROUP],
    /// Values taken; past the seed it counts those of the group on top of `period`.
    seen: f64,
    /// Mean before the group.
    mean: f64,
    /// First value of the group.
    first: f64,
    /// What the group's values add.
    part: f64,
}

impl Ema {
    /// Over `period` values, at least 1.
    pub fn new(period: f64) -> Self {
        debug_assert!(period >= 1.0);
        let keep = (period - 1.0) / (period + 1.0);
        Self {
            period,
            alpha: 2.0 / (period + 1.0),
            keep,
            powers: powers(keep),
            seen: 0.0,
            mean: 0.0,
            first: 0.0,
            part: 0.0,
        }
    }

    /// Takes one value.
    #[inline]
    pub fn update(&mut self, x: f64) -> f64 {
        if x.is_nan() {
            return f64::NAN;
        }
        if self.seen < self.period {
            // Taken as a running mean, values that are all equal have exactly themselves as their mean.
            self.seen += 1.0;
            self.mean += (x - self.mean) / self.seen;
            return if self.seen < self.period { f64::NAN } else { self.mean };
        }
        let at = count(self.seen - self.period).min(GROUP - 1);
        if at == 0 {
            (self.first, self.part) = (x, 0.0);
        }
        self.part = self.keep * self.part + self.alpha * (x - self.first);
        let mean = self.first + (self.powers[at] * (self.mean - self.first) + self.part);
        if at + 1 == GROUP {
            (self.seen, self.mean) = (self.period, mean);
        } else {
            self.seen += 1.0;
        }
        mean
    }

    /// Whether the next value begins a group.
    pub(super) fn begins(&self) -> bool {
        self.seen == self.period
    }

    /// Takes many values; the same bits.
    pub fn fill(&mut self, x: &[f64], y: &mut [f64]) {
        grouped(
            self,
            x,
            y,
            Self::begins,
            |state, x, y| {
                let law = Recursion { keep: state.keep, gain: state.alpha, powers: state.powers };
                taken::<true>(law, &mut state.mean, x, y)
            },
            Self::update,
        );
    }

    /// As [`Kernel::visit`].
    pub fn visit(&mut self, state: &mut dyn Visit) {
        state.float(&mut self.seen);
        state.float(&mut self.mean);
        state.float(&mut self.first);
        state.float(&mut self.part);
    }
}

/// Bars one by one until a group begins, then whole groups, then the rest one by one; and all one by one where a NaN is
/// among the groups. These tell of it as they go: to look for it first would cost half as much again.
#[inline]
fn grouped<S>(
    state: &mut S,
    x: &[f64],
    y: &mut [f64],
    begins: impl Fn(&S) -> bool,
    groups: impl FnOnce(&mut S, &[f64], &mut [f64]) -> bool,
    mut update: impl FnMut(&mut S, f64) -> f64,
) {
    let n = x.len();
    let mut from = 0;
    while from < n && !begins(state) {
        y[from] = update(state, x[from]);
        from += 1;
    }
    let to = from + (n - from) / GROUP * GROUP;
    if groups(state, &x[from..to], &mut y[from..to]) {
        from = to;
    }
    for (x, y) in x[from..].iter().zip(&mut y[from..]) {
        *y = update(state, *x);
    }
}

/// Runs a recursion over whole groups; false, and the mean as it was, where a NaN is among them.
#[inline]
fn taken<const RELATIVE: bool>(law: Recursion, mean: &mut f64, x: &[f64], y: &mut [f64]) -> bool {
    let (mut next, mut nan) = (*mean, false);
    groups::<RELATIVE>(law, &mut next, x, y, &mut nan);
    if !nan {
        *mean = next;
    }
    !nan
}

impl Kernel<1, 1> for Ema {
    #[inline]
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        [self.update(x)]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.visit(state);
    }

    fn block(&mut self, _at: &[i64], [x]: [&[f64]; 1], [y]: [&mut [f64]; 1]) {
        self.fill(x, y);
    }
}

/// Wilder's mean: `mean = (mean * (period - 1) + x) / period`, seeded with the plain mean of the first `period` values.
/// A NaN gives NaN and changes nothing. Taken in groups as [`Ema`] is, without the detour over a first value: zeros stay
/// zeros.
#[derive(Clone, Debug)]
pub struct Wilder {
    period: f64,
    share: f64,
    keep: f64,
    powers: [f64; GROUP],
    /// As in [`Ema`].
    seen: f64,
    mean: f64,
    part: f64,
}

impl Wilder {
    /// Over `period` values, at least 1.
    pub fn new(period: f64) -> Self {
        debug_assert!(period >= 1.0);
        let keep = (period - 1.0) / period;
        Self {
            period,
            share: 1.0 / period,
            keep,
            powers: powers(keep),
            seen: 0.0,
            mean: 0.0,
            part: 0.0,
        }
    }

    /// Takes one value.
    #[inline]
    pub fn update(&mut self, x: f64) -> f64 {
        if x.is_nan() {
            return f64::NAN;
        }
        if self.seen < self.period {
            self.seen += 1.0;
            self.mean += x;
            if self.seen < self.period {
                return f64::NAN;
            }
            self.mean /= self.period;
            return self.mean;
        }
        let at = count(self.seen - self.period).min(GROUP - 1);
        if at == 0 {
            self.part = 0.0;
        }
        self.part = self.keep * self.part + self.share * x;
        let mean = self.powers[at] * self.mean + self.part;
        if at + 1 == GROUP {
            (self.seen, self.mean) = (self.period, mean);
        } else {
            self.seen += 1.0;
        }
        mean
    }

    /// Whether the next value begins a group.
    pub(super) fn begins(&self) -> bool {
        self.seen == self.period
    }

    /// What whole groups do to [`Wilder::mean`], which only they may change.
    pub(super) fn law(&self) -> Recursion {
        Recursion { keep: self.keep, gain: self.share, powers: self.powers }
    }

    /// The mean before a group.
    pub(super) fn mean(&mut self) -> &mut f64 {
        &mut self.mean
    }

    /// Takes many values; the same bits.
    pub fn fill(&mut self, x: &[f64], y: &mut [f64]) {
        grouped(
            self,
            x,
            y,
            Self::begins,
            |state, x, y| taken::<false>(state.law(), &mut state.mean, x, y),
            Self::update,
        );
    }

    /// As [`Kernel::visit`].
    pub fn visit(&mut self, state: &mut dyn Visit) {
        state.float(&mut self.seen);
        state.float(&mut self.mean);
        state.float(&mut self.part);
    }
}

impl Kernel<1, 1> for Wilder {
    #[inline]
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        [self.update(x)]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.visit(state);
    }

    fn block(&mut self, _at: &[i64], [x]: [&[f64]; 1], [y]: [&mut [f64]; 1]) {
        self.fill(x, y);
    }
}

/// How far a series lies above an average of itself.
#[derive(Clone, Debug)]
pub struct Above<K>(K);

impl<K: Kernel<1, 1>> Kernel<1, 1> for Above<K> {
    #[inline]
    fn step(&mut self, at: i64, [x]: [f64; 1]) -> [f64; 1] {
        let [mean] = self.0.step(at, [x]);
        [relative(x, mean)]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }

    fn block(&mut self, at: &[i64], [x]: [&[f64]; 1], [y]: [&mut [f64]; 1]) {
        wide::scratch(|scratch| {
            let [mean] = scratch.columns(x.len());
            self.0.block(at, [x], [&mut *mean]);
            wide::each([x, mean], y, |[x, mean]| relative(x, mean));
        });
    }
}

const X: &[Input] = &[Input::Series("close")];
const PERIOD: &[Parameter] = &[Parameter::window("period", 1, None)];
const PERIOD_FROM_2: &[Parameter] = &[Parameter::window("period", 2, None)];

fn fading(p: &[f64]) -> Memory {
    Memory::Fading(bars(p[0]) + ema_fade(p[0]))
}

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "sma",
        known_as: &["mean", "moving_average", "rolling_mean", "average"],
        family: "average",
        inputs: X,
        parameters: PERIOD,
        outputs: &[],
        memory: finite,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Windowed::<Mean>::new(count(p[0]))),
        summary: "Simple moving average",
        formula: "Plain mean of the last period values, in the unit of x.",
        source: "As SMA of TA-Lib.",
    },
    Function {
        name: "ema",
        known_as: &["ewm", "ewma", "exponential_moving_average"],
        family: "average",
        inputs: X,
        parameters: PERIOD_FROM_2,
        outputs: &[],
        memory: fading,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Ema::new(p[0])),
        summary: "Exponential moving average",
        formula: "e += alpha * (x - e), alpha = 2 / (period + 1), seeded with the plain mean of the first period \
                  values.",
        source: "As EMA of TA-Lib.",
    },
    Function {
        name: "wma",
        known_as: &["lwma", "linear_weighted_average", "weighted_moving_average"],
        family: "average",
        inputs: X,
        parameters: PERIOD,
        outputs: &[],
        memory: finite,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Windowed::<WeightedMean>::new(count(p[0]))),
        summary: "Linearly weighted moving average",
        formula: "Mean of the last period values with weights 1 (oldest) to period (newest).",
        source: "As WMA of TA-Lib.",
    },
    Function {
        name: "sma_ratio",
        known_as: &["close_to_sma", "sma_distance"],
        family: "average",
        inputs: X,
        parameters: PERIOD_FROM_2,
        outputs: &[],
        memory: finite,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Above(Windowed::<Mean>::new(count(p[0])))),
        summary: "How far a series lies above its simple moving average",
        formula: "x / sma(x, period) - 1, computed as (x - sma) / sma; NaN where the average is 0.",
        source: "Definition.",
    },
    Function {
        name: "ema_ratio",
        known_as: &["close_to_ema", "ema_distance"],
        family: "average",
        inputs: X,
        parameters: PERIOD_FROM_2,
        outputs: &[],
        memory: fading,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Above(Ema::new(p[0]))),
        summary: "How far a series lies above its exponential moving average",
        formula: "x / ema(x, period) - 1, computed as (x - ema) / ema; NaN where the average is 0.",
        source: "Definition.",
    },
    Function {
        name: "wma_ratio",
        known_as: &["close_to_wma", "wma_distance"],
        family: "average",
        inputs: X,
        parameters: PERIOD_FROM_2,
        outputs: &[],
        memory: finite,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Above(Windowed::<WeightedMean>::new(count(p[0])))),
        summary: "How far a series lies above its linearly weighted moving average",
        formula: "x / wma(x, period) - 1, computed as (x - wma) / wma; NaN where the average is 0.",
        source: "Definition.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::contract::single;

    #[test]
    fn averages_of_a_few_values_by_hand() {
        let x = [1.0, 2.0, 6.0, 3.0];
        assert_eq!(single("sma", &[3.0], &[&x])[2..], [3.0, 11.0 / 3.0]);
        // alpha is 1/2: seeded with 3, then halfway to 3 and to 9.
        let x = [1.0, 2.0, 6.0, 3.0, 9.0];
        assert_eq!(single("ema", &[3.0], &[&x])[2..], [3.0, 3.0, 6.0]);
        assert_eq!(single("wma", &[3.0], &[&x])[2..], [23.0 / 6.0, 23.0 / 6.0, 39.0 / 6.0]);
        assert_eq!(single("sma_ratio", &[3.0], &[&x])[2], 1.0);
        assert_eq!(single("ema_ratio", &[3.0], &[&x])[4], 0.5);
        assert!(single("sma_ratio", &[2.0], &[&[1.0, -1.0]])[1].is_nan());
    }

    #[test]
    fn seed_is_below_a_billionth_of_itself_when_it_counts_as_forgotten() {
        for period in [2.0, 14.0, 500.0, 1e6] {
            let left = |keep: f64, bars: u64| numeric::pow(keep, bars as f64);
            assert!(left((period - 1.0) / (period + 1.0), ema_fade(period)) <= 1.01e-12);
            assert!(left((period - 1.0) / period, wilder_fade(period)) <= 1.01e-12);
        }
        assert_eq!((ema_fade(1.0), ema_fade(3.0)), (0, 40));
    }
}
