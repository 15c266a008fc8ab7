//! Trend: how strongly a price moves in one direction, whichever it is.

use super::average::wilder_fade;
use super::node::{Kernel, Memory, Visit, node};
use super::registry::{Function, Input, Parameter, consistent};
use super::volatility::true_range;
use super::window::bars;

/// Wilder's average directional index.
///
/// Written with Wilder's running totals (`s = s - s / period + x`), which begin with the sum of `period - 1` bars, as
/// in TA-Lib. The index itself is seeded with the plain mean of its first `period` terms.
#[derive(Clone, Debug)]
pub struct Adx {
    period: f64,
    /// Changes taken so far, at most `2 * period`.
    seen: f64,
    /// High, low and close of the bar before; NaN before the first.
    previous: [f64; 3],
    /// Totals of rising and falling directional movement and of true range.
    totals: [f64; 3],
    /// The index, or the sum of its terms until there are `period`.
    index: f64,
}

impl Adx {
    /// Over `period` bars, at least 2.
    pub fn new(period: f64) -> Self {
        debug_assert!(period >= 2.0);
        Self { period, seen: 0.0, previous: [f64::NAN; 3], totals: [0.0; 3], index: 0.0 }
    }

    /// How one-sided the movement was, in percent; None where nothing moved.
    fn directional(&self) -> Option<f64> {
        let [up, down, range] = self.totals;
        // The range cancels, but without it there is nothing to relate movement to.
        (range > 0.0 && up + down > 0.0).then(|| 100.0 * ((up - down).abs() / (up + down)))
    }
}

impl Kernel<3, 1> for Adx {
    fn step(&mut self, _at: i64, bar: [f64; 3]) -> [f64; 1] {
        if bar.iter().any(|x| x.is_nan()) {
            return [f64::NAN];
        }
        let [high, low, _] = bar;
        let [high_before, low_before, close_before] = std::mem::replace(&mut self.previous, bar);
        if close_before.is_nan() {
            return [f64::NAN];
        }
        let (up, down) = (high - high_before, low_before - low);
        let moves = [
            if up > 0.0 && up > down { up } else { 0.0 },
            if down > 0.0 && down > up { down } else { 0.0 },
            true_range(high, low, close_before),
        ];
        self.seen += 1.0;
        if self.seen < self.period {
            for (total, x) in self.totals.iter_mut().zip(moves) {
                *total += x;
            }
            return [f64::NAN];
        }
        for (total, x) in self.totals.iter_mut().zip(moves) {
            *total = *total - *total / self.period + x;
        }
        let term = self.directional();
        let seeded = 2.0 * self.period - 1.0;
        if self.seen <= seeded {
            self.index += term.unwrap_or(0.0);
            if self.seen < seeded {
                return [f64::NAN];
            }
            self.index /= self.period;
        } else {
            self.seen = 2.0 * self.period;
            if let Some(term) = term {
                self.index = (self.index * (self.period - 1.0) + term) / self.period;
            }
        }
        [self.index]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.float(&mut self.seen);
        state.floats(&mut self.previous);
        state.floats(&mut self.totals);
        state.float(&mut self.index);
    }
}

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[Function {
    name: "adx",
    known_as: &["average_directional_index", "dmi", "directional_movement"],
    family: "trend",
    inputs: &[Input::Column("high"), Input::Column("low"), Input::Column("close")],
    parameters: &[Parameter::window("period", 2, Some(14.0))],
    outputs: &[],
    memory: |p| Memory::Fading(2 * (bars(p[0]) + wilder_fade(p[0]))),
    warmup: |p| 2 * bars(p[0]) - 1,
    delays: |_| [0, 0],
    check: consistent,
    build: |p| node(Adx::new(p[0])),
    summary: "Wilder's average directional index",
    formula: "Wilder mean of 100 * |plus - minus| / (plus + minus), plus and minus the Wilder totals of rises of the \
              high and falls of the low, of the larger one only; in [0, 100]. A bar before which nothing moved leaves \
              it as it is.",
    source: "J. W. Wilder, New Concepts in Technical Trading Systems, 1978; as ADX of TA-Lib.",
}];

#[cfg(test)]
mod tests {
    use crate::features::contract::single;

    #[test]
    fn adx_by_hand() {
        // Movements up, up, down, and an inside bar; ranges 2, 2, 3, 1.
        let high = [10.0, 11.0, 12.0, 11.5, 11.0];
        let low = [9.0, 10.0, 11.0, 9.0, 10.0];
        let close = [9.0, 11.0, 12.0, 10.0, 10.5];
        let got = single("adx", &[2.0], &[&high, &low, &close]);
        // Totals of up: 1, 1.5, 0.75, 0.375; of down: 0, 0, 2, 1. Terms from the second on: 100, then 1.25 / 2.75
        // twice, as an inside bar only halves both.
        let term = 125.0 / 2.75;
        assert!(got[..3].iter().all(|v| v.is_nan()));
        assert!((got[3] - f64::midpoint(100.0, term)).abs() < 1e-13, "{}", got[3]);
        assert!((got[4] - f64::midpoint(got[3], term)).abs() < 1e-13, "{}", got[4]);
    }

    #[test]
    fn adx_stands_still_where_nothing_moves() {
        let still = vec![5.0; 20];
        assert_eq!(single("adx", &[3.0], &[&still, &still, &still])[5..], [0.0; 15]);
    }
}
