//! Oscillators and smoothers of one series, beyond what TA-Lib had for long.

use super::average::{Ema, Mean, WeightedMean, ema_fade, wilder_fade};
use super::momentum::Rsi;
use super::node::{Kernel, Memory, Visit, node};
use super::operators::relative;
use super::order::Sorted;
use super::parts::within;
use super::parts::{ROW, Sums, Then, finite_changes, full_changes};
use super::registry::{Function, Input, Parameter, count};
use super::undefined::defined;
use super::window::{Delay, Windowed, bars};
use crate::numeric;

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
pub(super) struct Twice(Ema, Ema);

impl Twice {
    pub(super) fn new(first: f64, second: f64) -> Self {
        Self(Ema::new(first), Ema::new(second))
    }

    pub(super) fn update(&mut self, x: f64) -> f64 {
        let mean = self.0.update(x);
        self.1.update(mean)
    }

    pub(super) fn visit(&mut self, state: &mut dyn Visit) {
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
];

#[cfg(test)]
mod tests {
    use crate::features::contract::single;

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
    }
}
