//! Kernels of what TA-Lib added in version 0.8; the rows that name them are those of [`super::talib_later`].

use super::average::{Ema, Mean, Wilder};
use super::momentum::position;
use super::node::{Kernel, Visit};
use super::operators::{quotient, relative};
use super::order::Sorted;
use super::registry::count;
use super::statistics::Regression;
use super::swing_bars::Extremes;
use super::undefined::defined;
use super::volatility::{Atr, Deviation};
use super::window::{Delay, Window, Windowed};
use crate::numeric::Sum;

/// A value less a plain mean of itself.
#[derive(Clone)]
pub(super) struct AboveMean(pub(super) Windowed<Mean>);

impl Kernel<1, 1> for AboveMean {
    fn step(&mut self, at: i64, [x]: [f64; 1]) -> [f64; 1] {
        let [mean] = self.0.step(at, [x]);
        [x - mean]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }
}

/// How far a value lies above the line through those before it.
#[derive(Clone)]
pub(super) struct Forecast<F> {
    pub(super) line: Regression<F>,
    pub(super) expected: f64,
}

impl<F> Kernel<1, 1> for Forecast<F>
where
    F: Fn(f64, f64, f64) -> f64 + Clone + Send + Sync + 'static,
{
    fn step(&mut self, at: i64, [x]: [f64; 1]) -> [f64; 1] {
        let [next] = self.line.step(at, [x]);
        let expected = std::mem::replace(&mut self.expected, next);
        [defined(100.0 * quotient(x - expected, x))]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.line.visit(state);
        state.float(&mut self.expected);
    }
}

/// The last highs and lows, oldest first.
#[derive(Clone)]
pub(super) struct Fractal {
    pub(super) right: usize,
    pub(super) highs: Vec<f64>,
    pub(super) lows: Vec<f64>,
    pub(super) length: usize,
}

impl Fractal {
    /// Whether the value `right` bars ago lies above all others.
    fn stands_out(&self, values: &[f64], sign: f64) -> f64 {
        let at = values.len() - 1 - self.right;
        let top = sign * values[at];
        let others = values.iter().enumerate().filter(|(i, _)| *i != at);
        if others.into_iter().all(|(_, x)| sign * x < top) { 100.0 } else { 0.0 }
    }
}

impl Kernel<2, 2> for Fractal {
    fn step(&mut self, _at: i64, [high, low]: [f64; 2]) -> [f64; 2] {
        for (values, x) in [(&mut self.highs, high), (&mut self.lows, low)] {
            if values.len() == self.length {
                values.remove(0);
            }
            values.push(x);
        }
        let known = |values: &[f64]| values.iter().all(|x| !x.is_nan());
        if self.highs.len() < self.length || !known(&self.highs) || !known(&self.lows) {
            return [f64::NAN; 2];
        }
        [self.stands_out(&self.highs, 1.0), self.stands_out(&self.lows, -1.0)]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.list(&mut self.highs, self.length);
        state.list(&mut self.lows, self.length);
        // A file may hold other numbers of them.
        let held = self.highs.len().min(self.lows.len());
        self.highs.truncate(held);
        self.lows.truncate(held);
    }
}

/// The stochastic oscillator with Wilder's means.
#[derive(Clone)]
pub(super) struct Kdj {
    pub(super) extremes: Extremes,
    pub(super) k: Wilder,
    pub(super) d: Wilder,
}

impl Kernel<3, 3> for Kdj {
    fn step(&mut self, at: i64, [high, low, close]: [f64; 3]) -> [f64; 3] {
        if high.is_nan() || low.is_nan() || close.is_nan() {
            return [f64::NAN; 3];
        }
        let fast = match self.extremes.push(at, high, low) {
            Some([top, bottom]) => position(top, bottom, close),
            None => f64::NAN,
        };
        let k = self.k.update(fast);
        let d = self.d.update(k);
        if d.is_nan() { [f64::NAN; 3] } else { [k, d, 3.0 * k - 2.0 * d] }
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.extremes.visit(state);
        self.k.visit(state);
        self.d.visit(state);
    }
}

/// Range of a series over the way that it went.
#[derive(Clone)]
pub(super) struct VerticalHorizontal {
    pub(super) extremes: Extremes,
    pub(super) way: Window<Sum>,
    pub(super) before: f64,
}

impl Kernel<1, 1> for VerticalHorizontal {
    fn step(&mut self, at: i64, [x]: [f64; 1]) -> [f64; 1] {
        let change = x - std::mem::replace(&mut self.before, x);
        match (self.extremes.push(at, x, x), self.way.push(at, change.abs())) {
            (Some([top, bottom]), Some(way)) => [defined(quotient(top - bottom, way.value()))],
            _ => [f64::NAN],
        }
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.extremes.visit(state);
        self.way.visit(state);
        state.float(&mut self.before);
    }
}

/// Williams's accumulation and distribution.
#[derive(Clone)]
pub(super) struct Accumulation {
    pub(super) before: f64,
    pub(super) total: Sum,
}

impl Kernel<3, 1> for Accumulation {
    fn step(&mut self, _at: i64, [high, low, close]: [f64; 3]) -> [f64; 1] {
        if high.is_nan() || low.is_nan() || close.is_nan() {
            return [f64::NAN];
        }
        let before = std::mem::replace(&mut self.before, close);
        if close > before {
            self.total.add(close - if low < before { low } else { before });
        } else if close < before {
            self.total.add(close - if high > before { high } else { before });
        }
        [defined(self.total.value())]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.float(&mut self.before);
        for part in self.total.parts() {
            state.float(part);
        }
    }
}

/// Bands of the average true range about a mean of the typical price.
#[derive(Clone)]
pub(super) struct Channel {
    pub(super) mean: Ema,
    pub(super) range: Atr,
    pub(super) multiple: f64,
}

impl Kernel<3, 3> for Channel {
    fn step(&mut self, at: i64, bar: [f64; 3]) -> [f64; 3] {
        let [high, low, close] = bar;
        let typical = (high + low + close) / 3.0;
        if typical.is_nan() {
            return [f64::NAN; 3];
        }
        let middle = self.mean.update(typical);
        let [range] = self.range.step(at, bar);
        let half = self.multiple * range;
        if middle.is_nan() || half.is_nan() {
            return [f64::NAN; 3];
        }
        [defined(middle + half), middle, defined(middle - half)]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.mean.visit(state);
        self.range.visit(state);
    }
}

/// The value of a window at a nearest rank.
#[derive(Clone)]
pub(super) struct Ranked {
    pub(super) values: Sorted,
    pub(super) place: usize,
}

impl Kernel<1, 1> for Ranked {
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        let place = self.place;
        [self.values.push(x).map_or(f64::NAN, |sorted| sorted[place])]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.values.visit(state);
    }
}

pub(super) fn nearest_rank(p: &[f64]) -> usize {
    count((p[1] / 100.0 * p[0]).ceil()).clamp(1, count(p[0])) - 1
}

/// Share of the values before that lie below.
#[derive(Clone)]
pub(super) struct PercentRank {
    pub(super) values: Sorted,
    pub(super) period: f64,
}

impl Kernel<1, 1> for PercentRank {
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        let period = self.period;
        let below = |sorted: &[f64]| sorted.partition_point(|v| *v < x) as f64;
        [self.values.push(x).map_or(f64::NAN, |sorted| 100.0 * below(sorted) / period)]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.values.visit(state);
    }
}

/// Growth in percent of a mean of ranges.
#[derive(Clone)]
pub(super) struct RangeGrowth {
    pub(super) mean: Ema,
    pub(super) delay: Delay,
}

impl Kernel<2, 1> for RangeGrowth {
    fn step(&mut self, _at: i64, [high, low]: [f64; 2]) -> [f64; 1] {
        let mean = self.mean.update(high - low);
        if (high - low).is_nan() {
            return [f64::NAN];
        }
        [defined(100.0 * relative(mean, self.delay.push(mean)))]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.mean.visit(state);
        self.delay.visit(state);
    }
}

/// Deviations of rising bars as a share of all.
#[derive(Clone)]
pub(super) struct RelativeVolatility {
    pub(super) before: f64,
    pub(super) deviation: Windowed<Deviation>,
    pub(super) up: Wilder,
    pub(super) down: Wilder,
}

impl Kernel<1, 1> for RelativeVolatility {
    fn step(&mut self, at: i64, [x]: [f64; 1]) -> [f64; 1] {
        if x.is_nan() {
            return [f64::NAN];
        }
        let [deviation] = self.deviation.step(at, [x]);
        let before = std::mem::replace(&mut self.before, x);
        if deviation.is_nan() || before.is_nan() {
            return [f64::NAN];
        }
        let up = self.up.update(if x > before { deviation } else { 0.0 });
        let down = self.down.update(if x < before { deviation } else { 0.0 });
        let all = up + down;
        [if all == 0.0 { 50.0 } else { 100.0 * (up / all) }]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.float(&mut self.before);
        self.deviation.visit(state);
        self.up.visit(state);
        self.down.visit(state);
    }
}

/// Volume against the mean of the bars before.
#[derive(Clone)]
pub(super) struct RelativeVolume {
    pub(super) mean: Windowed<Mean>,
    pub(super) before: f64,
}

impl Kernel<1, 1> for RelativeVolume {
    fn step(&mut self, at: i64, [volume]: [f64; 1]) -> [f64; 1] {
        let [mean] = self.mean.step(at, [volume]);
        [defined(quotient(volume, std::mem::replace(&mut self.before, mean)))]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.mean.visit(state);
        state.float(&mut self.before);
    }
}

/// Volume-weighted mean price from the first bar on.
#[derive(Clone)]
pub(super) struct Vwap {
    pub(super) paid: Sum,
    pub(super) volume: Sum,
}

impl Kernel<4, 1> for Vwap {
    fn step(&mut self, _at: i64, [high, low, close, volume]: [f64; 4]) -> [f64; 1] {
        let paid = defined((high + low + close) / 3.0 * volume);
        if paid.is_nan() {
            return [f64::NAN];
        }
        self.paid.add(paid);
        self.volume.add(volume);
        [defined(quotient(self.paid.value(), self.volume.value()))]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        for part in self.paid.parts().into_iter().chain(self.volume.parts()) {
            state.float(part);
        }
    }
}
