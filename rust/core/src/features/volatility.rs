//! Volatility: how much prices move. The backtest takes its true range and its realised volatility from here too.

use super::average::{Wilder, wilder_fade};
use super::node::{Kernel, Memory, Visit, node};
use super::operators::quotient;
use super::recursion::{GROUP, next_piece, ranges};
use super::registry::{Function, Input, Kind, Parameter, consistent, count};
use super::returns::LogReturn;
use super::wide;
use super::window::{Moments, Statistic, Window, Windowed, bars};
use crate::bars::{Bar, Bars};

/// Range of a bar together with the close before it.
#[inline]
pub(super) fn true_range(high: f64, low: f64, close_before: f64) -> f64 {
    // Prices are above zero, so that the sign of zero needs no care.
    let top = if close_before > high { close_before } else { high };
    let bottom = if close_before < low { close_before } else { low };
    top - bottom
}

/// Wilder's average true range.
///
/// True range `max(h, c') - min(l, c')` with `c'` the previous close, so it starts with the second bar; the mean is
/// seeded with the plain mean of the first `period` true ranges and goes on as `(atr * (period - 1) + tr) / period`.
/// Range [0, inf), unit of the price. First finite value at bar `period`, counting from 0. A bar with a NaN gives NaN
/// and changes nothing: the close before it stays the previous close.
///
/// Reference: J. W. Wilder, *New Concepts in Technical Trading Systems*, 1978; as in TA-Lib.
#[derive(Clone, Debug)]
pub struct Atr {
    mean: Wilder,
    /// NaN before the first bar.
    previous: f64,
}

impl Atr {
    /// Smoothing over `period` bars, at least 1.
    pub fn new(period: f64) -> Self {
        Self { mean: Wilder::new(period), previous: f64::NAN }
    }
}

impl Kernel<3, 1> for Atr {
    #[inline]
    fn step(&mut self, _at: i64, [high, low, close]: [f64; 3]) -> [f64; 1] {
        if high.is_nan() || low.is_nan() || close.is_nan() {
            return [f64::NAN];
        }
        let before = std::mem::replace(&mut self.previous, close);
        if before.is_nan() {
            return [f64::NAN];
        }
        [self.mean.update(true_range(high, low, before))]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.mean.visit(state);
        state.float(&mut self.previous);
    }

    fn block(&mut self, at: &[i64], bars: [&[f64]; 3], [y]: [&mut [f64]; 1]) {
        let mut from = 0;
        while from < at.len() {
            // The first bar has no range, and after a NaN the close before is another one.
            let begins = self.mean.begins() && from > 0 && self.previous == bars[2][from - 1];
            let to = next_piece(from, at.len(), begins);
            let (mut mean, mut nan) = (*self.mean.mean(), true);
            if to - from >= GROUP {
                ranges(self.mean.law(), &mut mean, bars, from..to, y, &mut nan);
            }
            if nan {
                for i in from..to {
                    [y[i]] = self.step(at[i], bars.map(|column| column[i]));
                }
            } else {
                *self.mean.mean() = mean;
                self.previous = bars[2][to - 1];
            }
            from = to;
        }
    }
}

/// Average true range as a share of the close.
#[derive(Clone, Debug)]
pub struct AtrRatio(Atr);

impl AtrRatio {
    /// Smoothing over `period` bars, at least 1.
    pub fn new(period: f64) -> Self {
        Self(Atr::new(period))
    }
}

impl Kernel<3, 1> for AtrRatio {
    #[inline]
    fn step(&mut self, at: i64, bar: [f64; 3]) -> [f64; 1] {
        let [atr] = self.0.step(at, bar);
        [quotient(atr, bar[2])]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }

    fn block(&mut self, at: &[i64], bar: [&[f64]; 3], [y]: [&mut [f64]; 1]) {
        wide::scratch(|scratch| {
            let [atr] = scratch.columns(y.len());
            self.0.block(at, bar, [&mut atr[..y.len()]]);
            wide::each([atr, bar[2]], y, |[atr, close]| quotient(atr, close));
        });
    }
}

/// Standard deviation of a window (`ddof` 0).
#[derive(Clone, Debug)]
pub struct Deviation;

impl Statistic for Deviation {
    type Fold = Moments;

    #[inline]
    fn read(fold: Moments, _x: f64, _length: f64) -> f64 {
        fold.deviation(0.0)
    }
}

/// Standard deviation of a window (`ddof` 1).
#[derive(Clone, Debug)]
pub struct SampleDeviation;

impl Statistic for SampleDeviation {
    type Fold = Moments;

    #[inline]
    fn read(fold: Moments, _x: f64, _length: f64) -> f64 {
        fold.deviation(1.0)
    }
}

/// Standard deviation (`ddof` 1) of the last `period` one-bar log returns, per bar.
///
/// Range [0, inf), dimensionless; NaN for the first `period` bars. The caller annualises.
#[derive(Clone, Debug)]
pub struct RealisedVolatility {
    growth: LogReturn,
    window: Windowed<SampleDeviation>,
}

impl RealisedVolatility {
    /// Over `period` returns, at least 2.
    pub fn new(period: usize) -> Self {
        Self { growth: LogReturn::new(1), window: Windowed::new(period) }
    }
}

impl Kernel<1, 1> for RealisedVolatility {
    fn step(&mut self, at: i64, x: [f64; 1]) -> [f64; 1] {
        let growth = self.growth.step(at, x);
        self.window.step(at, growth)
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.growth.visit(state);
        self.window.visit(state);
    }

    fn block(&mut self, at: &[i64], x: [&[f64]; 1], [y]: [&mut [f64]; 1]) {
        wide::scratch(|scratch| {
            let [growth] = scratch.columns(y.len());
            let growth = &mut growth[..y.len()];
            self.growth.block(at, x, [&mut *growth]);
            self.window.block(at, [growth], [y]);
        });
    }
}

/// Bollinger bands: upper, middle, lower, position between them, width.
#[derive(Clone, Debug)]
pub struct Bollinger {
    window: Window<Moments>,
    deviations: f64,
}

impl Kernel<1, 5> for Bollinger {
    fn step(&mut self, at: i64, [x]: [f64; 1]) -> [f64; 5] {
        self.window.push(at, x).map_or([f64::NAN; 5], |fold| bands(fold, x, self.deviations))
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.window.visit(state);
    }

    fn block(&mut self, at: &[i64], [x]: [&[f64]; 1], y: [&mut [f64]; 5]) {
        let deviations = self.deviations;
        // Position and width cost a division each, more than all the rest: not for nothing.
        let bands_alone = y[3].is_empty() && y[4].is_empty();
        wide::scratch(|scratch| {
            let mut spare = scratch.columns::<5>(x.len()).into_iter();
            let y = y.map(|column| {
                let spare = spare.next().unwrap_or_default();
                if column.is_empty() { spare } else { column }
            });
            if bands_alone {
                let [upper, middle, lower, ..] = y;
                self.window.fill(at, x, [upper, middle, lower], |fold, x| {
                    let [upper, middle, lower, ..] = bands(fold, x, deviations);
                    [upper, middle, lower]
                });
            } else {
                self.window.fill(at, x, y, |fold, x| bands(fold, x, deviations));
            }
        });
    }
}

#[inline]
fn bands(fold: Moments, x: f64, deviations: f64) -> [f64; 5] {
    let middle = fold.mean();
    let half = deviations * fold.deviation(0.0);
    [
        middle + half,
        middle,
        middle - half,
        // (x - lower) / (upper - lower), without the offset that both share.
        quotient(fold.distance(x) + half, 2.0 * half),
        quotient(2.0 * half, middle),
    ]
}

/// Range of a bar as a share of its close.
#[derive(Clone, Debug)]
pub struct BarRange;

impl Kernel<3, 1> for BarRange {
    #[inline]
    fn step(&mut self, _at: i64, [high, low, close]: [f64; 3]) -> [f64; 1] {
        [quotient(high - low, close)]
    }

    fn visit(&mut self, _state: &mut dyn Visit) {}
}

/// [`Atr`] over whole candles; one value per bar.
pub fn atr(bars: impl Iterator<Item = Bar>, period: u32) -> Vec<f64> {
    let mut state = Atr::new(f64::from(period));
    // The clock matters to windows alone.
    bars.map(|bar| state.step(0, [bar.high, bar.low, bar.close])[0]).collect()
}

/// [`RealisedVolatility`] of the closes of whole candles; one value per bar.
pub fn realised(bars: &Bars, period: u32) -> Vec<f64> {
    // Rules may ask for a window longer than any memory; one longer than the candles never fills.
    let mut state = RealisedVolatility::new((period as usize).min(bars.len().max(2)));
    let clock = bars.open_time().iter().map(|time| time.div_euclid(bars.interval_ms()));
    clock.zip(bars.close()).map(|(at, close)| state.step(at, [*close])[0]).collect()
}

const X: &[Input] = &[Input::Series("close")];
const HIGH_LOW_CLOSE: &[Input] =
    &[Input::Column("high"), Input::Column("low"), Input::Column("close")];

pub(super) fn atr_memory(p: &[f64]) -> Memory {
    Memory::Fading(bars(p[0]) + 1 + wilder_fade(p[0]))
}

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "atr",
        known_as: &["average_true_range"],
        family: "volatility",
        inputs: HIGH_LOW_CLOSE,
        parameters: &[Parameter::window("period", 1, Some(14.0))],
        outputs: &[],
        memory: atr_memory,
        warmup: |p| bars(p[0]),
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Atr::new(p[0])),
        summary: "Wilder's average true range",
        formula: "Wilder mean (seeded with the plain mean of the first period values) of the true range max(high, c') - \
                  min(low, c'), c' the close before; >= 0, in the unit of the price.",
        source: "J. W. Wilder, New Concepts in Technical Trading Systems, 1978; as ATR of TA-Lib.",
    },
    Function {
        name: "atr_ratio",
        known_as: &["atr_percent", "atr_pct"],
        family: "volatility",
        inputs: HIGH_LOW_CLOSE,
        parameters: &[Parameter::window("period", 1, Some(14.0))],
        outputs: &[],
        memory: atr_memory,
        warmup: |p| bars(p[0]),
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(AtrRatio::new(p[0])),
        summary: "Average true range as a share of the close",
        formula: "atr(period) / close; >= 0, a fraction.",
        source: "NATR of TA-Lib is 100 times this.",
    },
    Function {
        name: "bbands",
        known_as: &["bollinger", "bollinger_bands", "bb", "bband"],
        family: "volatility",
        inputs: X,
        parameters: &[
            Parameter::window("period", 2, Some(20.0)),
            Parameter { name: "deviations", kind: Kind::Positive, default: Some(2.0) },
        ],
        outputs: &["upper", "middle", "lower", "position", "width"],
        memory: |p| Memory::Finite(bars(p[0])),
        warmup: |p| bars(p[0]) - 1,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Bollinger { window: Window::new(count(p[0])), deviations: p[1] }),
        summary: "Bollinger bands",
        formula: "middle = sma(x, period); upper and lower = middle +- deviations * sd, sd with ddof 0; position = (x - \
                  lower) / (upper - lower), NaN where the bands meet; width = (upper - lower) / middle.",
        source: "J. Bollinger; as BBANDS of TA-Lib (its default period is 5).",
    },
    Function {
        name: "stddev",
        known_as: &["std", "sd", "rolling_std", "standard_deviation", "rolling_stddev"],
        family: "volatility",
        inputs: X,
        parameters: &[Parameter::window("period", 2, Some(20.0))],
        outputs: &[],
        memory: |p| Memory::Finite(bars(p[0])),
        warmup: |p| bars(p[0]) - 1,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Windowed::<Deviation>::new(count(p[0]))),
        summary: "Standard deviation of the last bars",
        formula: "sqrt(mean((x - mean)^2)) over period values (ddof 0); >= 0, in the unit of x.",
        source: "As STDDEV of TA-Lib (its default period is 5).",
    },
    Function {
        name: "realised_volatility",
        known_as: &["realized_volatility", "volatility", "rv", "historical_volatility", "hv"],
        family: "volatility",
        inputs: X,
        parameters: &[Parameter::window("period", 2, None)],
        outputs: &[],
        memory: |p| Memory::Finite(bars(p[0]) + 1),
        warmup: |p| bars(p[0]),
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(RealisedVolatility::new(count(p[0]))),
        summary: "Standard deviation of one-bar log returns",
        formula: "Standard deviation (ddof 1) of the last period values of ln(x[t] / x[t - 1]); >= 0, per bar, not \
                  annualised.",
        source: "Definition; what sizing by volatility uses.",
    },
    Function {
        name: "bar_range",
        known_as: &["range", "high_low_range", "hl_range"],
        family: "volatility",
        inputs: HIGH_LOW_CLOSE,
        parameters: &[],
        outputs: &[],
        memory: |_| Memory::Finite(1),
        warmup: |_| 0,
        delays: |_| [0, 0],
        check: consistent,
        build: |_| node(BarRange),
        summary: "Range of a bar as a share of its close",
        formula: "(high - low) / close; >= 0, a fraction.",
        source: "Definition.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bars::Columns;

    fn bar(high: f64, low: f64, close: f64) -> Bar {
        Bar { open_time: 0, open: close, high, low, close }
    }

    #[test]
    fn atr_is_seeded_with_the_plain_mean_and_smoothed_after() {
        let bars = [
            bar(10.0, 8.0, 9.0),
            bar(11.0, 9.0, 10.0),  // tr 2
            bar(10.0, 6.0, 7.0),   // tr 4
            bar(12.0, 11.0, 11.0), // tr 12 - 7 = 5
        ];
        let got = atr(bars.into_iter(), 2);
        assert!(got[0].is_nan() && got[1].is_nan());
        assert_eq!(got[2..], [3.0, 4.0]);
    }

    #[test]
    fn bands_by_hand() {
        use crate::features::contract::{all, single};
        // Mean 4, squares 9, 1, 1, 9 about it: sd sqrt(5).
        let x: &[f64] = &[1.0, 3.0, 5.0, 7.0, 7.0];
        let got = all("bbands", &[4.0, 2.0], &[x]);
        let half = 20.0_f64.sqrt();
        let want = [4.0 + half, 4.0, 4.0 - half, (3.0 + half) / (2.0 * half), half / 2.0];
        for (column, want) in got.iter().zip(want) {
            assert!((column[3] - want).abs() < 1e-15, "{} {want}", column[3]);
        }
        assert_eq!(single("stddev", &[2.0], &[x])[1..], [1.0, 1.0, 1.0, 0.0]);
        // A close of NaN leaves the one before in its place.
        let close = [9.0, f64::NAN, 7.0];
        let got = single("atr", &[1.0], &[&[10.0, 99.0, 8.0], &[8.0, 1.0, 6.0], &close]);
        assert!(got[1].is_nan());
        assert_eq!(got[2], 3.0);
    }

    #[test]
    fn realised_of_a_window_longer_than_the_candles_is_undefined() {
        let columns = Columns {
            open_time: vec![0, 1000, 3000],
            open: vec![1.0; 3],
            high: vec![2.0; 3],
            low: vec![1.0; 3],
            close: vec![1.0, 2.0, 1.0],
            volume: vec![0.0; 3],
            ..Columns::default()
        };
        let bars = Bars::new(columns, 1000, None, vec![]).unwrap();
        let got = realised(&bars, 2);
        let want = 2.0_f64.sqrt() * std::f64::consts::LN_2;
        assert!(got[..2].iter().all(|v| v.is_nan()));
        assert!((got[2] - want).abs() < 1e-15);
        for period in [3, 4, u32::MAX] {
            assert!(realised(&bars, period).iter().all(|v| v.is_nan()));
        }
    }

    #[test]
    fn realised_needs_its_window_and_forgets_what_left_it() {
        let realised = |close: &[f64]| -> Vec<f64> {
            let mut state = RealisedVolatility::new(5);
            (0..).zip(close).map(|(at, close)| state.step(at, [*close])[0]).collect()
        };
        let mut close: Vec<f64> = (1..40).map(|i| 100.0 + f64::from(i % 7)).collect();
        let plain = realised(&close);
        assert!(plain[..5].iter().all(|v| v.is_nan()) && plain[5].is_finite());
        close[3] = 1e12;
        let spiked = realised(&close);
        assert_eq!(plain[9..], spiked[9..]);
    }
}
