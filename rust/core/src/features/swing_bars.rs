//! Oscillators of whole bars: of highs, lows and volumes beside the close.

use super::average::{Ema, Mean, ema_fade};
use super::node::{Kernel, Memory, Visit, node};
use super::operators::quotient;
use super::parts::within;
use super::parts::{Map, ROW, Sums, Then, finite, finite_changes, full, full_changes};
use super::registry::{Function, Input, Parameter, count};
use super::swing::Twice;
use super::undefined::defined;
use super::volatility::true_range;
use super::window::{Largest, Smallest, Window, Windowed, bars};
use crate::numeric;

/// Highest and lowest of a window.
#[derive(Clone, Debug)]
pub(super) struct Extremes {
    high: Window<Largest>,
    low: Window<Smallest>,
}

impl Extremes {
    pub(super) fn new(period: f64) -> Self {
        Self { high: Window::new(count(period)), low: Window::new(count(period)) }
    }

    pub(super) fn push(&mut self, at: i64, high: f64, low: f64) -> Option<[f64; 2]> {
        match (self.high.push(at, high), self.low.push(at, low)) {
            (Some(high), Some(low)) => Some([high.0, low.0]),
            _ => None,
        }
    }

    pub(super) fn visit(&mut self, state: &mut dyn Visit) {
        self.high.visit(state);
        self.low.visit(state);
    }
}

/// Share of the old value that Ehlers's transform keeps, and what it holds values inside of.
const KEPT: f64 = 0.67;
const EDGE: f64 = 0.999;

/// Ehlers's Fisher transform.
#[derive(Clone)]
struct Fisher {
    extremes: Extremes,
    smooth: f64,
    value: f64,
    seen: f64,
}

impl Kernel<2, 2> for Fisher {
    fn step(&mut self, at: i64, [high, low]: [f64; 2]) -> [f64; 2] {
        let middle = f64::midpoint(high, low);
        if middle.is_nan() {
            return [f64::NAN; 2];
        }
        let Some([top, bottom]) = self.extremes.push(at, middle, middle) else {
            return [f64::NAN; 2];
        };
        let range = top - bottom;
        let place = if range == 0.0 { 0.0 } else { 2.0 * ((middle - bottom) / range) - 1.0 };
        self.smooth = within((1.0 - KEPT) * place + KEPT * self.smooth, -EDGE, EDGE);
        let before = self.value;
        let odds = (1.0 + self.smooth) / (1.0 - self.smooth);
        self.value = 0.5 * numeric::ln(odds) + 0.5 * before;
        // The trigger is the value before, which the first has none of.
        if self.seen == 0.0 {
            self.seen = 1.0;
            return [f64::NAN; 2];
        }
        [self.value, before]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.extremes.visit(state);
        state.float(&mut self.smooth);
        state.float(&mut self.value);
        state.float(&mut self.seen);
    }
}

/// Highs and lows against a mean of the close.
#[derive(Clone)]
struct ElderRay(Ema);

impl Kernel<3, 2> for ElderRay {
    fn step(&mut self, _at: i64, [high, low, close]: [f64; 3]) -> [f64; 2] {
        if high.is_nan() || low.is_nan() || close.is_nan() {
            return [f64::NAN; 2];
        }
        let mean = self.0.update(close);
        [high - mean, low - mean]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }
}

/// Sum of ratios of a smoothed range to itself smoothed again.
#[derive(Clone)]
struct MassIndex {
    once: Ema,
    twice: Ema,
    sum: Window<numeric::Sum>,
}

impl Kernel<2, 1> for MassIndex {
    fn step(&mut self, at: i64, [high, low]: [f64; 2]) -> [f64; 1] {
        let range = high - low;
        if range.is_nan() {
            return [f64::NAN];
        }
        let once = self.once.update(range);
        let twice = self.twice.update(once);
        let sum = self.sum.push(at, quotient(once, twice));
        [sum.map_or(f64::NAN, |sum| defined(sum.value()))]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.once.visit(state);
        self.twice.visit(state);
        self.sum.visit(state);
    }
}

/// Change times volume, smoothed.
#[derive(Clone)]
struct Force {
    before: f64,
    mean: Ema,
}

impl Kernel<2, 1> for Force {
    fn step(&mut self, _at: i64, [close, volume]: [f64; 2]) -> [f64; 1] {
        if close.is_nan() || volume.is_nan() {
            return [f64::NAN];
        }
        let change = close - std::mem::replace(&mut self.before, close);
        [self.mean.update(defined(change * volume))]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.float(&mut self.before);
        self.mean.visit(state);
    }
}

/// Two plain means of the middle of bars.
#[derive(Clone)]
pub(super) struct Awesome(Windowed<Mean>, Windowed<Mean>);

impl Awesome {
    /// Of so many bars each.
    pub(super) fn new(fast: f64, slow: f64) -> Self {
        Self(Windowed::new(count(fast)), Windowed::new(count(slow)))
    }
}

impl Kernel<2, 1> for Awesome {
    fn step(&mut self, at: i64, [high, low]: [f64; 2]) -> [f64; 1] {
        let middle = [f64::midpoint(high, low)];
        let ([fast], [slow]) = (self.0.step(at, middle), self.1.step(at, middle));
        [fast - slow]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
        self.1.visit(state);
    }
}

/// Blau's stochastic momentum.
#[derive(Clone)]
struct StochasticMomentum {
    extremes: Extremes,
    distance: Twice,
    range: Twice,
}

impl Kernel<3, 1> for StochasticMomentum {
    fn step(&mut self, at: i64, [high, low, close]: [f64; 3]) -> [f64; 1] {
        if high.is_nan() || low.is_nan() || close.is_nan() {
            return [f64::NAN];
        }
        let Some([top, bottom]) = self.extremes.push(at, high, low) else { return [f64::NAN] };
        let distance = self.distance.update(close - f64::midpoint(top, bottom));
        let range = self.range.update(top - bottom);
        [if range == 0.0 {
            0.0
        } else {
            within(defined(200.0 * (distance / range)), -100.0, 100.0)
        }]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.extremes.visit(state);
        self.distance.visit(state);
        self.range.visit(state);
    }
}

/// Mean of four values with weights 1, 2, 2, 1.
#[derive(Clone)]
struct Tapered([f64; 3]);

impl Tapered {
    fn push(&mut self, x: f64) -> f64 {
        let [a, b, c] = self.0;
        self.0 = [b, c, x];
        (x + 2.0 * c + 2.0 * b + a) / 6.0
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.floats(&mut self.0);
    }
}

/// Bodies over ranges, and a signal.
#[derive(Clone)]
struct Vigor {
    body: Tapered,
    range: Tapered,
    bodies: Window<numeric::Sum>,
    ranges: Window<numeric::Sum>,
    signal: Tapered,
}

impl Kernel<4, 2> for Vigor {
    fn step(&mut self, at: i64, [open, high, low, close]: [f64; 4]) -> [f64; 2] {
        let body = self.body.push(close - open);
        let range = self.range.push(high - low);
        let folds = (self.bodies.push(at, body), self.ranges.push(at, range));
        let vigor = match folds {
            (Some(body), Some(range)) => {
                let range = range.value();
                if range == 0.0 { 0.0 } else { defined(body.value() / range) }
            }
            _ => f64::NAN,
        };
        let signal = self.signal.push(vigor);
        if signal.is_nan() { [f64::NAN; 2] } else { [vigor, signal] }
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.body.visit(state);
        self.range.visit(state);
        self.bodies.visit(state);
        self.ranges.visit(state);
        self.signal.visit(state);
    }
}

const X: &[Input] = &[Input::Series("close")];
const OPEN: Input = Input::Column("open");
const HIGH: Input = Input::Column("high");
const LOW: Input = Input::Column("low");
const CLOSE: Input = Input::Column("close");

const fn window(name: &'static str, least: u32, default: f64) -> Parameter {
    Parameter::window(name, least, Some(default))
}

const ONE: Function = Function { family: "swing", inputs: X, ..ROW };

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "fisher",
        known_as: &["fisher_transform", "ehlers_fisher"],
        inputs: &[HIGH, LOW],
        parameters: &[window("period", 1, 10.0)],
        outputs: &["fisher", "trigger"],
        // The first mean keeps 0.67 a bar, an ema of 5.1; near its edge the logarithm stretches what is left by 500. The
        // second keeps half, an ema of 3.
        memory: |p| Memory::Fading(bars(p[0]) + 2 * ema_fade(5.1) + ema_fade(3.0) + 2),
        warmup: |p| bars(p[0]),
        build: |p| {
            node(Fisher { extremes: Extremes::new(p[0]), smooth: 0.0, value: 0.0, seen: 0.0 })
        },
        summary: "Ehlers's Fisher transform",
        formula: "s = 0.33 p + 0.67 s[t - 1], held in [-0.999, 0.999], p = 2 (m - min(m, period)) / (max(m, period) - min(m, \
                  period)) - 1 with m = (high + low) / 2, 0 where they meet; fisher = ln((1 + s) / (1 - s)) / 2 + fisher[t - \
                  1] / 2; trigger = fisher[t - 1]. Begun with 0; in about [-7.6, 7.6].",
        source: "J. Ehlers, Using the Fisher Transform, 2002.",
        ..ONE
    },
    Function {
        name: "vortex",
        known_as: &["vortex_indicator"],
        inputs: &[HIGH, LOW, CLOSE],
        parameters: &[window("period", 1, 14.0)],
        outputs: &["plus", "minus"],
        memory: finite_changes,
        warmup: full_changes,
        build: |p| {
            let terms = |[high, low, close]: [f64; 3], [old_high, old_low, before]: [f64; 3]| {
                let up = (high - old_low).abs();
                let down = (low - old_high).abs();
                // The larger and smaller of two let a NaN pass.
                let known = !(close.is_nan() || before.is_nan());
                [up, down, if known { true_range(high, low, before) } else { f64::NAN }]
            };
            node(Sums::new(count(p[0]), terms, |[up, down, range], _, _| {
                [defined(quotient(up, range)), defined(quotient(down, range))]
            }))
        },
        summary: "Movement up and down as shares of the true range",
        formula: "plus = sum |high[t] - low[t - 1]| / sum of true ranges, minus = sum |low[t] - high[t - 1]| / the same, over \
                  period bars; >= 0, NaN where nothing moved.",
        source: "E. Botes and D. Siepman, The Vortex Indicator, 2010.",
        ..ONE
    },
    Function {
        name: "elder_ray",
        known_as: &["bull_bear_power"],
        inputs: &[HIGH, LOW, CLOSE],
        parameters: &[window("period", 1, 13.0)],
        outputs: &["bull", "bear"],
        memory: |p| Memory::Fading(bars(p[0]) + ema_fade(p[0])),
        warmup: full,
        build: |p| node(ElderRay(Ema::new(p[0]))),
        summary: "High and low against a mean of the close",
        formula: "bull = high - ema(close, period), bear = low - ema(close, period); in the unit of the price.",
        source: "A. Elder, Trading for a Living, 1993.",
        ..ONE
    },
    Function {
        name: "mass_index",
        known_as: &["mass"],
        inputs: &[HIGH, LOW],
        parameters: &[window("ema", 2, 9.0), window("period", 1, 25.0)],
        memory: |p| Memory::Fading(2 * (bars(p[0]) + ema_fade(p[0])) + bars(p[1])),
        warmup: |p| 2 * (bars(p[0]) - 1) + bars(p[1]) - 1,
        build: |p| {
            node(MassIndex {
                once: Ema::new(p[0]),
                twice: Ema::new(p[0]),
                sum: Window::new(count(p[1])),
            })
        },
        summary: "Sum of ratios of the smoothed range to itself smoothed again",
        formula: "sum over period bars of e / ema(e, ema), e = ema(high - low, ema); about period, > 0, NaN where nothing \
                  moved.",
        source: "D. Dorsey, The Mass Index, 1992.",
        ..ONE
    },
    Function {
        name: "force_index",
        known_as: &["elder_force"],
        inputs: &[CLOSE, Input::Column("volume")],
        parameters: &[window("period", 1, 13.0)],
        // Volumes differ by more orders than prices: a spike in the seed fades twice.
        memory: |p| Memory::Fading(bars(p[0]) + 1 + 2 * ema_fade(p[0])),
        warmup: |p| bars(p[0]),
        build: |p| node(Force { before: f64::NAN, mean: Ema::new(p[0]) }),
        summary: "Change of the close times volume, smoothed",
        formula: "ema((close[t] - close[t - 1]) volume[t], period); in the quote currency.",
        source: "A. Elder, Trading for a Living, 1993.",
        ..ONE
    },
    Function {
        name: "awesome",
        known_as: &["awesome_oscillator"],
        inputs: &[HIGH, LOW],
        parameters: &[window("fast", 1, 5.0), window("slow", 2, 34.0)],
        memory: |p| Memory::Finite(bars(p[1])),
        warmup: |p| bars(p[1]) - 1,
        check: |p| (p[0] >= p[1]).then_some("`fast` of awesome must be below `slow`"),
        build: |p| node(Awesome::new(p[0], p[1])),
        summary: "Fast less slow mean of the middle of bars",
        formula: "sma(m, fast) - sma(m, slow), m = (high + low) / 2; in the unit of the price.",
        source: "B. Williams, New Trading Dimensions, 1998.",
        ..ONE
    },
    Function {
        name: "smi",
        known_as: &["stochastic_momentum", "stochastic_momentum_index"],
        inputs: &[HIGH, LOW, CLOSE],
        parameters: &[window("period", 2, 10.0), window("first", 1, 3.0), window("second", 1, 3.0)],
        memory: |p| {
            Memory::Fading(bars(p[0]) + bars(p[1]) + bars(p[2]) + ema_fade(p[1]) + ema_fade(p[2]))
        },
        warmup: |p| bars(p[0]) + bars(p[1]) + bars(p[2]) - 3,
        build: |p| {
            node(StochasticMomentum {
                extremes: Extremes::new(p[0]),
                distance: Twice::new(p[1], p[2]),
                range: Twice::new(p[1], p[2]),
            })
        },
        summary: "Stochastic momentum index",
        formula: "100 ema(ema(close - (h + l) / 2, first), second) / (ema(ema(h - l, first), second) / 2), h and l the highest \
                  high and lowest low of period bars; in [-100, 100], 0 where nothing moved.",
        source: "W. Blau, Stochastic Momentum, 1993.",
        ..ONE
    },
    Function {
        name: "relative_vigor",
        known_as: &["rvgi", "relative_vigor_index"],
        inputs: &[OPEN, HIGH, LOW, CLOSE],
        parameters: &[window("period", 1, 10.0)],
        outputs: &["vigor", "signal"],
        memory: |p| Memory::Finite(bars(p[0]) + 6),
        warmup: |p| bars(p[0]) + 5,
        build: |p| {
            node(Vigor {
                body: Tapered([f64::NAN; 3]),
                range: Tapered([f64::NAN; 3]),
                bodies: Window::new(count(p[0])),
                ranges: Window::new(count(p[0])),
                signal: Tapered([f64::NAN; 3]),
            })
        },
        summary: "Bodies over ranges",
        formula: "vigor = sum(w(close - open)) / sum(w(high - low)) over period bars, 0 where nothing moved; signal = \
                  w(vigor); w(x) = (x[t] + 2 x[t - 1] + 2 x[t - 2] + x[t - 3]) / 6. In [-1, 1].",
        source: "J. Ehlers, Relative Vigor Index, 2002.",
        ..ONE
    },
    Function {
        name: "qstick",
        known_as: &["q_stick"],
        inputs: &[OPEN, CLOSE],
        parameters: &[window("period", 1, 8.0)],
        memory: finite,
        warmup: full,
        build: |p| {
            node(Then(
                Map(|[open, close]: [f64; 2]| [close - open]),
                Windowed::<Mean>::new(count(p[0])),
            ))
        },
        summary: "Mean body of the last bars",
        formula: "sma(close - open, period); in the unit of the price.",
        source: "T. Chande and S. Kroll, The New Technical Trader, 1994.",
        ..ONE
    },
];

#[cfg(test)]
mod tests {
    use crate::features::contract::{all, single};

    #[test]
    fn oscillators_of_bars_by_hand() {
        let got = all("vortex", &[1.0], &[&[2.0, 5.0], &[1.0, 3.0], &[1.5, 4.0]]);
        assert_eq!((got[0][1], got[1][1]), (4.0 / 3.5, 1.0 / 3.5));
        let got = all("elder_ray", &[1.0], &[&[5.0], &[1.0], &[2.0]]);
        assert_eq!((got[0][0], got[1][0]), (3.0, -1.0));
        assert_eq!(single("mass_index", &[2.0, 3.0], &[&[3.0; 6], &[1.0; 6]])[4..], [3.0, 3.0]);
    }
}
