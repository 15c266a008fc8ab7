//! Wilder's directional movement: its parts, and the index made of them.

use super::average::wilder_fade;
use super::node::{Kernel, Memory, Visit, node};
use super::operators::quotient;
use super::registry::{Function, Input, Parameter, consistent, count};
use super::trend::Adx;
use super::undefined::Held;
use super::volatility::true_range;
use super::window::{Delay, bars};

/// Wilder's totals of movement up, movement down and true range.
///
/// As in TA-Lib they begin with the sum of `period - 1` bars; from then on each bar takes off a share of `1 / period`.
#[derive(Clone, Debug)]
struct Totals {
    period: f64,
    /// Changes taken so far, at most `period`.
    seen: f64,
    /// High, low and close of the bar before; NaN before the first.
    previous: [f64; 3],
    moved: [f64; 3],
}

impl Totals {
    fn new(period: f64) -> Self {
        Self { period, seen: 0.0, previous: [f64::NAN; 3], moved: [0.0; 3] }
    }

    /// Takes a bar without NaN; how many changes there have been, at most `period`.
    #[inline]
    fn update(&mut self, bar: [f64; 3]) -> f64 {
        let [high, low, _] = bar;
        let [high_before, low_before, close_before] = std::mem::replace(&mut self.previous, bar);
        if close_before.is_nan() {
            return 0.0;
        }
        let (up, down) = (high - high_before, low_before - low);
        let moves = [
            if up > 0.0 && up > down { up } else { 0.0 },
            if down > 0.0 && down > up { down } else { 0.0 },
            true_range(high, low, close_before),
        ];
        let seeding = self.seen + 1.0 < self.period;
        for (total, x) in self.moved.iter_mut().zip(moves) {
            *total = if seeding { *total + x } else { *total - *total / self.period + x };
        }
        self.seen = if self.seen < self.period { self.seen + 1.0 } else { self.period };
        self.seen
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.float(&mut self.seen);
        state.floats(&mut self.previous);
        state.floats(&mut self.moved);
    }
}

/// One of the totals: movement up (0) or down (1).
#[derive(Clone, Debug)]
pub struct Movement<const SIDE: usize>(Totals);

impl<const SIDE: usize> Kernel<2, 1> for Movement<SIDE> {
    #[inline]
    fn step(&mut self, _at: i64, [high, low]: [f64; 2]) -> [f64; 1] {
        // The range is of no interest here.
        let seen = self.0.update([high, low, low]);
        let begun = seen >= 1.0 && seen >= self.0.period - 1.0;
        [if begun { self.0.moved[SIDE] } else { f64::NAN }]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }
}

/// Movement up (0) or down (1) as a share of the true range.
#[derive(Clone, Debug)]
pub struct Indicator<const SIDE: usize>(Totals);

impl<const SIDE: usize> Kernel<3, 1> for Indicator<SIDE> {
    #[inline]
    fn step(&mut self, _at: i64, bar: [f64; 3]) -> [f64; 1] {
        if self.0.update(bar) < self.0.period {
            return [f64::NAN];
        }
        let share = quotient(self.0.moved[SIDE], self.0.moved[2]);
        [if share.is_nan() { 0.0 } else { 100.0 * share }]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }
}

/// How one-sided the movement is.
#[derive(Clone, Debug)]
pub struct Dx {
    totals: Totals,
    index: f64,
}

impl Kernel<3, 1> for Dx {
    #[inline]
    fn step(&mut self, _at: i64, bar: [f64; 3]) -> [f64; 1] {
        if self.totals.update(bar) < self.totals.period {
            return [f64::NAN];
        }
        let [up, down, range] = self.totals.moved;
        if range > 0.0 && up + down > 0.0 {
            self.index = 100.0 * ((up - down).abs() / (up + down));
        }
        [self.index]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.totals.visit(state);
        state.float(&mut self.index);
    }
}

/// Mean of the average directional index and its value some bars ago.
#[derive(Clone, Debug)]
pub struct Adxr(Adx, Delay);

impl Kernel<3, 1> for Adxr {
    #[inline]
    fn step(&mut self, at: i64, bar: [f64; 3]) -> [f64; 1] {
        let [index] = self.0.step(at, bar);
        [f64::midpoint(index, self.1.push(index))]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
        self.1.visit(state);
    }
}

const HIGH_LOW: &[Input] = &[Input::Column("high"), Input::Column("low")];
const HIGH_LOW_CLOSE: &[Input] =
    &[Input::Column("high"), Input::Column("low"), Input::Column("close")];
const PERIOD: &[Parameter] = &[Parameter::window("period", 1, Some(14.0))];
const PERIOD_FROM_2: &[Parameter] = &[Parameter::window("period", 2, Some(14.0))];

fn totals(p: &[f64]) -> Memory {
    Memory::Fading(bars(p[0]) + 1 + wilder_fade(p[0]))
}

fn movement_warmup(p: &[f64]) -> u64 {
    (bars(p[0]) - 1).max(1)
}

fn period(p: &[f64]) -> u64 {
    bars(p[0])
}

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "plus_dm",
        known_as: &["plus_directional_movement"],
        family: "trend",
        inputs: HIGH_LOW,
        parameters: PERIOD,
        outputs: &[],
        memory: totals,
        warmup: movement_warmup,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Held(Movement::<0>(Totals::new(p[0])))),
        summary: "Wilder's total of rises of the high",
        formula: "s = s - s / period + m, m the rise of the high where it is above 0 and above the fall of the low, else 0; \
                  begins with the sum of period - 1 bars; >= 0, in the unit of the price.",
        source: "J. W. Wilder, New Concepts in Technical Trading Systems, 1978; as PLUS_DM of TA-Lib.",
    },
    Function {
        name: "minus_dm",
        known_as: &["minus_directional_movement"],
        family: "trend",
        inputs: HIGH_LOW,
        parameters: PERIOD,
        outputs: &[],
        memory: totals,
        warmup: movement_warmup,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Held(Movement::<1>(Totals::new(p[0])))),
        summary: "Wilder's total of falls of the low",
        formula: "s = s - s / period + m, m the fall of the low where it is above 0 and above the rise of the high, else 0; \
                  begins with the sum of period - 1 bars; >= 0, in the unit of the price.",
        source: "J. W. Wilder, New Concepts in Technical Trading Systems, 1978; as MINUS_DM of TA-Lib.",
    },
    Function {
        name: "plus_di",
        known_as: &["plus_directional_indicator"],
        family: "trend",
        inputs: HIGH_LOW_CLOSE,
        parameters: PERIOD,
        outputs: &[],
        memory: totals,
        warmup: period,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Held(Indicator::<0>(Totals::new(p[0])))),
        summary: "Wilder's positive directional indicator",
        formula: "100 * plus_dm(period) / the same total of true ranges; in [0, 100], 0 where nothing moved.",
        source: "J. W. Wilder, New Concepts in Technical Trading Systems, 1978; as PLUS_DI of TA-Lib; for period 1 TA-Lib \
                 gives a share, here it is in percent as for any other.",
    },
    Function {
        name: "minus_di",
        known_as: &["minus_directional_indicator"],
        family: "trend",
        inputs: HIGH_LOW_CLOSE,
        parameters: PERIOD,
        outputs: &[],
        memory: totals,
        warmup: period,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Held(Indicator::<1>(Totals::new(p[0])))),
        summary: "Wilder's negative directional indicator",
        formula: "100 * minus_dm(period) / the same total of true ranges; in [0, 100], 0 where nothing moved.",
        source: "J. W. Wilder, New Concepts in Technical Trading Systems, 1978; as MINUS_DI of TA-Lib; for period 1 TA-Lib \
                 gives a share, here it is in percent as for any other.",
    },
    Function {
        name: "dx",
        known_as: &["directional_movement_index"],
        family: "trend",
        inputs: HIGH_LOW_CLOSE,
        parameters: PERIOD_FROM_2,
        outputs: &[],
        memory: totals,
        warmup: period,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Held(Dx { totals: Totals::new(p[0]), index: 0.0 })),
        summary: "Wilder's directional movement index",
        formula: "100 * |plus - minus| / (plus + minus), plus and minus as plus_dm(period) and minus_dm(period); in [0, \
                  100]. Where nothing moved it stays as it was, 0 at first.",
        source: "J. W. Wilder, New Concepts in Technical Trading Systems, 1978; as DX of TA-Lib.",
    },
    Function {
        name: "adxr",
        known_as: &["average_directional_index_rating"],
        family: "trend",
        inputs: HIGH_LOW_CLOSE,
        parameters: PERIOD_FROM_2,
        outputs: &[],
        memory: |p| Memory::Fading(2 * (bars(p[0]) + wilder_fade(p[0])) + bars(p[0])),
        warmup: |p| 3 * bars(p[0]) - 2,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Held(Adxr(Adx::new(p[0]), Delay::new(count(p[0]) - 1)))),
        summary: "Wilder's average directional index rating",
        formula: "Mean of adx(period) and its value period - 1 bars ago; in [0, 100].",
        source: "J. W. Wilder, New Concepts in Technical Trading Systems, 1978; as ADXR of TA-Lib.",
    },
];

#[cfg(test)]
mod tests {
    use crate::features::contract::single;

    #[test]
    fn movements_and_indicators_by_hand() {
        // Movements up 1, up 1, down 2, and an inside bar; ranges 2, 2, 3, 1.
        let high = [10.0, 11.0, 12.0, 11.5, 11.0];
        let low = [9.0, 10.0, 11.0, 9.0, 10.0];
        let close = [9.0, 11.0, 12.0, 10.0, 10.5];
        // Totals of up: 1, 1.5, 0.75, 0.375; of down 0, 0, 2, 1; of ranges 2, 2, 4, 3.
        assert_eq!(single("plus_dm", &[2.0], &[&high, &low])[1..], [1.0, 1.5, 0.75, 0.375]);
        assert_eq!(single("minus_dm", &[2.0], &[&high, &low])[1..], [0.0, 0.0, 2.0, 1.0]);
        let bar: [&[f64]; 3] = [&high, &low, &close];
        let got = single("plus_di", &[2.0], &bar);
        assert!(got[1].is_nan());
        assert_eq!(got[2..], [75.0, 18.75, 12.5]);
        assert_eq!(single("minus_di", &[2.0], &bar)[3], 50.0);
        assert_eq!(single("dx", &[2.0], &bar)[2], 100.0);
        let index = single("adx", &[2.0], &bar);
        assert_eq!(single("adxr", &[2.0], &bar)[4], f64::midpoint(index[3], index[4]));
    }
}
