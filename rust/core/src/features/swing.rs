//! Oscillators and smoothers that TA-Lib lacks.

use super::average::{Ema, Mean, WeightedMean, ema_fade, wilder_fade};
use super::momentum::Rsi;
use super::node::{Kernel, Memory, Visit, node};
use super::operators::{quotient, relative};
use super::order::Sorted;
use super::parts::within;
use super::parts::{Map, ROW, Sums, Then, defined, finite, finite_changes, full, full_changes};
use super::registry::{Function, Input, Parameter, count};
use super::volatility::true_range;
use super::window::{Delay, Largest, Smallest, Window, Windowed, bars};
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

/// Hull's moving average.
#[derive(Clone)]
struct Hull {
    half: Windowed<WeightedMean>,
    whole: Windowed<WeightedMean>,
    root: Windowed<WeightedMean>,
}

impl Kernel<1, 1> for Hull {
    fn step(&mut self, at: i64, x: [f64; 1]) -> [f64; 1] {
        let ([half], [whole]) = (self.half.step(at, x), self.whole.step(at, x));
        self.root.step(at, [2.0 * half - whole])
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.half.visit(state);
        self.whole.visit(state);
        self.root.visit(state);
    }
}

fn whole_root(period: f64) -> usize {
    count(period.sqrt())
}

/// Exponential mean of values that are moved on by what they changed over the mean's lag.
#[derive(Clone)]
struct ZeroLag {
    delay: Delay,
    mean: Ema,
}

impl Kernel<1, 1> for ZeroLag {
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        if x.is_nan() {
            return [f64::NAN];
        }
        let old = self.delay.push(x);
        [self.mean.update(x + (x - old))]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.delay.visit(state);
        self.mean.visit(state);
    }
}

fn lag_of(period: f64) -> u64 {
    (bars(period) - 1) / 2
}

/// An exponential mean of another.
#[derive(Clone)]
struct Twice(Ema, Ema);

impl Twice {
    fn new(first: f64, second: f64) -> Self {
        Self(Ema::new(first), Ema::new(second))
    }

    fn update(&mut self, x: f64) -> f64 {
        let mean = self.0.update(x);
        self.1.update(mean)
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
        self.1.visit(state);
    }
}

/// Change, smoothed twice, over its size, smoothed as often.
#[derive(Clone)]
struct TrueStrength {
    before: f64,
    change: Twice,
    size: Twice,
}

impl Kernel<1, 1> for TrueStrength {
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        if x.is_nan() {
            return [f64::NAN];
        }
        let change = x - std::mem::replace(&mut self.before, x);
        let (net, size) = (self.change.update(change), self.size.update(change.abs()));
        [if size == 0.0 { 0.0 } else { within(defined(100.0 * (net / size)), -100.0, 100.0) }]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.float(&mut self.before);
        self.change.visit(state);
        self.size.visit(state);
    }
}

/// Connors's mean of three oscillators.
#[derive(Clone)]
struct Connors {
    rsi: Rsi,
    of_run: Rsi,
    growth: Sorted,
    before: f64,
    run: f64,
    rank: f64,
}

impl Kernel<1, 1> for Connors {
    fn step(&mut self, at: i64, [x]: [f64; 1]) -> [f64; 1] {
        if x.is_nan() {
            return [f64::NAN];
        }
        let [rsi] = self.rsi.step(at, [x]);
        let before = std::mem::replace(&mut self.before, x);
        if before.is_nan() {
            return [f64::NAN];
        }
        let sign = if x > before {
            1.0
        } else if x < before {
            -1.0
        } else {
            0.0
        };
        let held = if self.run * sign > 0.0 { self.run } else { 0.0 };
        self.run = within(held + sign, -self.rank, self.rank);
        let [of_run] = self.of_run.step(at, [self.run]);
        let growth = relative(x, before);
        let Some(sorted) = self.growth.push(growth) else { return [f64::NAN] };
        let below = sorted.partition_point(|v| *v < growth) as f64;
        [(rsi + of_run + 100.0 * below / self.rank) / 3.0]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.rsi.visit(state);
        self.of_run.visit(state);
        self.growth.visit(state);
        state.float(&mut self.before);
        state.float(&mut self.run);
    }
}

/// Sum of two rates of change in percent.
#[derive(Clone)]
struct TwoRates(Delay, Delay);

impl Kernel<1, 1> for TwoRates {
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        let (long, short) = (relative(x, self.0.push(x)), relative(x, self.1.push(x)));
        [defined(100.0 * (long + short))]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
        self.1.visit(state);
    }
}

/// Spans and smoothings of Pring's four rates of change; their weights are 1 to 4.
const KST: [(usize, usize); 4] = [(10, 10), (15, 10), (20, 10), (30, 15)];

/// Pring's know sure thing.
#[derive(Clone)]
struct KnowSureThing {
    rates: [(Delay, Windowed<Mean>); 4],
    signal: Windowed<Mean>,
}

impl Kernel<1, 2> for KnowSureThing {
    fn step(&mut self, at: i64, [x]: [f64; 1]) -> [f64; 2] {
        let mut sum = 0.0;
        for (weight, (delay, mean)) in (1_u8..).zip(&mut self.rates) {
            let [rate] = mean.step(at, [relative(x, delay.push(x))]);
            sum += 100.0 * f64::from(weight) * rate;
        }
        let sum = defined(sum);
        let [signal] = self.signal.step(at, [sum]);
        if signal.is_nan() { [f64::NAN; 2] } else { [sum, signal] }
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        for (delay, mean) in &mut self.rates {
            delay.visit(state);
            mean.visit(state);
        }
        self.signal.visit(state);
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

/// An earlier value less the mean around it.
#[derive(Clone)]
struct Detrended(Delay, Windowed<Mean>);

impl Kernel<1, 1> for Detrended {
    fn step(&mut self, at: i64, [x]: [f64; 1]) -> [f64; 1] {
        let [mean] = self.1.step(at, [x]);
        [self.0.push(x) - mean]
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

/// Ehlers's filter of two poles.
#[derive(Clone)]
struct SuperSmoother {
    /// Weights of the mean of two inputs and of the two outputs before.
    weights: [f64; 3],
    x: f64,
    last: [f64; 2],
    seen: f64,
}

impl SuperSmoother {
    fn new(period: f64) -> Self {
        let angle = std::f64::consts::SQRT_2 * std::f64::consts::PI / period;
        let decay = numeric::exp(-angle);
        let (b, c) = (2.0 * decay * numeric::cos(angle), -decay * decay);
        Self { weights: [1.0 - b - c, b, c], x: f64::NAN, last: [f64::NAN; 2], seen: 0.0 }
    }
}

impl Kernel<1, 1> for SuperSmoother {
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        if x.is_nan() {
            return [f64::NAN];
        }
        let before = std::mem::replace(&mut self.x, x);
        let [one, two] = self.last;
        if self.seen < 2.0 {
            self.seen += 1.0;
            self.last = [x, one];
            return [f64::NAN];
        }
        let [a, b, c] = self.weights;
        let next = a * f64::midpoint(x, before) + b * one + c * two;
        self.last = [next, one];
        [next]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.float(&mut self.x);
        state.floats(&mut self.last);
        state.float(&mut self.seen);
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
        name: "hma",
        known_as: &["hull", "hull_moving_average"],
        parameters: &[Parameter::window("period", 2, None)],
        memory: |p| Memory::Finite(bars(p[0]) + whole_root(p[0]) as u64 - 1),
        warmup: |p| bars(p[0]) + whole_root(p[0]) as u64 - 2,
        build: |p| {
            node(Hull {
                half: Windowed::new(count(p[0]) / 2),
                whole: Windowed::new(count(p[0])),
                root: Windowed::new(whole_root(p[0])),
            })
        },
        summary: "Hull's moving average",
        formula: "wma(2 wma(x, floor(period / 2)) - wma(x, period), floor(sqrt(period))); in the unit of x.",
        source: "A. Hull, 2005.",
        ..ONE
    },
    Function {
        name: "zlema",
        known_as: &["zero_lag_ema"],
        parameters: &[Parameter::window("period", 3, None)],
        memory: |p| Memory::Fading(lag_of(p[0]) + bars(p[0]) + ema_fade(p[0])),
        warmup: |p| lag_of(p[0]) + bars(p[0]) - 1,
        build: |p| {
            let lag = count(p[0] - 1.0) / 2;
            node(ZeroLag { delay: Delay::new(lag), mean: Ema::new(p[0]) })
        },
        summary: "Exponential mean that makes up for its lag",
        formula: "ema(2 x[t] - x[t - floor((period - 1) / 2)], period); in the unit of x.",
        source: "J. Ehlers and R. Way, Zero Lag (Well, Almost), 2010.",
        ..ONE
    },
    Function {
        name: "super_smoother",
        known_as: &["ehlers_smoother"],
        parameters: &[Parameter::window("period", 2, None)],
        // The poles have the size e^(-sqrt(2) pi / period): 1e-12 is left after 6.3 periods, and what their ringing adds.
        memory: |p| Memory::Fading(8 * bars(p[0]) + 12),
        warmup: |_| 2,
        build: |p| node(SuperSmoother::new(p[0])),
        summary: "Ehlers's filter of two poles",
        formula: "y = (1 - b - c) (x[t] + x[t - 1]) / 2 + b y[t - 1] + c y[t - 2], d = e^-(sqrt(2) pi / period), b = 2 d \
                  cos(sqrt(2) pi / period), c = -d^2, begun with the first two values; in the unit of x.",
        source: "J. Ehlers, Cycle Analytics for Traders, 2013.",
        ..ONE
    },
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
        name: "tsi",
        known_as: &["true_strength_index"],
        parameters: &[window("long", 1, 25.0), window("short", 1, 13.0)],
        memory: |p| Memory::Fading(1 + bars(p[0]) + bars(p[1]) + ema_fade(p[0]) + ema_fade(p[1])),
        warmup: |p| bars(p[0]) + bars(p[1]) - 1,
        build: |p| {
            node(TrueStrength {
                before: f64::NAN,
                change: Twice::new(p[0], p[1]),
                size: Twice::new(p[0], p[1]),
            })
        },
        summary: "True strength index",
        formula: "100 ema(ema(c, long), short) / ema(ema(|c|, long), short), c = x[t] - x[t - 1]; in [-100, 100], 0 where \
                  nothing moved.",
        source: "W. Blau, True Strength Index, 1991.",
        ..ONE
    },
    Function {
        name: "connors_rsi",
        known_as: &["connors"],
        parameters: &[window("period", 1, 3.0), window("run", 1, 2.0), window("rank", 2, 100.0)],
        memory: |p| {
            let fade = wilder_fade(p[0]).max(wilder_fade(p[1]));
            Memory::Fading(bars(p[0]) + bars(p[1]) + bars(p[2]) + 2 + fade)
        },
        warmup: |p| (bars(p[2]) + 1).max(bars(p[0])).max(bars(p[1]) + 1),
        build: |p| {
            node(Connors {
                rsi: Rsi::new(p[0]),
                of_run: Rsi::new(p[1]),
                growth: Sorted::new(count(p[2]) + 1),
                before: f64::NAN,
                run: 0.0,
                rank: p[2],
            })
        },
        summary: "Connors's mean of an RSI, an RSI of runs, and a rank",
        formula: "(rsi(x, period) + rsi(r, run) + 100 b) / 3, r the signed number of moves in one direction so far, counted up \
                  to rank, b the share of the rank one-bar returns before this one's that lie below it; in [0, 100].",
        source: "L. Connors and C. Alvarez, An Introduction to ConnorsRSI, 2012.",
        ..ONE
    },
    Function {
        name: "coppock",
        known_as: &["coppock_curve"],
        parameters: &[window("long", 1, 14.0), window("short", 1, 11.0), window("period", 1, 10.0)],
        memory: |p| Memory::Finite(bars(p[0]).max(bars(p[1])) + bars(p[2])),
        warmup: |p| bars(p[0]).max(bars(p[1])) + bars(p[2]) - 1,
        build: |p| {
            node(Then(
                TwoRates(Delay::new(count(p[0])), Delay::new(count(p[1]))),
                Windowed::<WeightedMean>::new(count(p[2])),
            ))
        },
        summary: "Coppock's curve",
        formula: "wma(100 (x / x[t - long] - 1) + 100 (x / x[t - short] - 1), period); in percent.",
        source: "E. Coppock, 1962.",
        ..ONE
    },
    Function {
        name: "kst",
        known_as: &["know_sure_thing"],
        parameters: &[window("signal", 1, 9.0)],
        outputs: &["kst", "signal"],
        memory: |p| Memory::Finite(44 + bars(p[0])),
        warmup: |p| 43 + bars(p[0]),
        build: |p| {
            node(KnowSureThing {
                rates: KST.map(|(span, mean)| (Delay::new(span), Windowed::new(mean))),
                signal: Windowed::new(count(p[0])),
            })
        },
        summary: "Pring's know sure thing",
        formula: "kst = sma(r10, 10) + 2 sma(r15, 10) + 3 sma(r20, 10) + 4 sma(r30, 15), rk = 100 (x / x[t - k] - 1), in \
                  percent; signal = sma(kst, signal).",
        source: "M. Pring, Summed Rate of Change, 1992; his spans for daily bars.",
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
        name: "dpo",
        known_as: &["detrended_price"],
        parameters: &[window("period", 1, 20.0)],
        memory: |p| Memory::Finite(bars(p[0]).max(bars(p[0]) / 2 + 2)),
        warmup: |p| (bars(p[0]) - 1).max(bars(p[0]) / 2 + 1),
        build: |p| node(Detrended(Delay::new(count(p[0]) / 2 + 1), Windowed::new(count(p[0])))),
        summary: "Value of half a period ago less the mean around it",
        formula: "x[t - floor(period / 2) - 1] - sma(x, period)[t]; in the unit of x. Charts that draw it half a period \
                  earlier show the future.",
        source: "Definition in use; as dpo(centered=False) of common libraries.",
        ..ONE
    },
    Function {
        name: "up_share",
        known_as: &["psychological_line", "psy"],
        parameters: &[window("period", 1, 12.0)],
        memory: finite_changes,
        warmup: full_changes,
        build: |p| {
            let term = |[x]: [f64; 1], [before]: [f64; 1]| {
                let change = x - before;
                [if change.is_nan() {
                    f64::NAN
                } else if x > before {
                    1.0
                } else {
                    0.0
                }]
            };
            node(Sums::new(count(p[0]), term, |[sum], _, n| [sum / n]))
        },
        summary: "Share of the last bars that rose",
        formula: "Number of the last period changes above 0 / period; in [0, 1].",
        source: "Definition; the psychological line is 100 times this.",
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
    fn smoothers_by_hand() {
        let x = [1.0, 2.0, 3.0, 4.0, 5.0];
        // Without lag on a line.
        assert!((single("hma", &[4.0], &[&x])[4] - 5.0).abs() < 1e-15);
        assert_eq!(single("zlema", &[3.0], &[&x])[3..], [4.0, 5.0]);
        assert_eq!(single("super_smoother", &[2.0], &[&[3.0; 4]])[2], 3.0);
        assert_eq!(single("dpo", &[3.0], &[&x])[2..], [-1.0, -1.0, -1.0]);
        assert_eq!(single("up_share", &[2.0], &[&[1.0, 2.0, 2.0, 1.0]])[2..], [0.5, 0.0]);
    }

    #[test]
    fn oscillators_by_hand() {
        let x = [1.0, 2.0, 4.0, 2.0];
        assert_eq!(single("tsi", &[1.0, 1.0], &[&x])[1..], [100.0, 100.0, -100.0]);
        assert_eq!(single("coppock", &[2.0, 1.0, 1.0], &[&x])[2..], [400.0, -50.0]);
        // Changes 2 and -2: every part of the last bar is 0 but the run's, of which there is one change, -3.
        assert_eq!(single("connors_rsi", &[1.0, 1.0, 2.0], &[&x])[3], 0.0);
        let got = all("vortex", &[1.0], &[&[2.0, 5.0], &[1.0, 3.0], &[1.5, 4.0]]);
        assert_eq!((got[0][1], got[1][1]), (4.0 / 3.5, 1.0 / 3.5));
        let got = all("elder_ray", &[1.0], &[&[5.0], &[1.0], &[2.0]]);
        assert_eq!((got[0][0], got[1][0]), (3.0, -1.0));
        assert_eq!(single("mass_index", &[2.0, 3.0], &[&[3.0; 6], &[1.0; 6]])[4..], [3.0, 3.0]);
    }
}
