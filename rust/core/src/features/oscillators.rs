//! Oscillators: differences, shares and positions that swing around a middle.

use super::average::{Wilder, wilder_fade};
use super::momentum::Rsi;
use super::node::{Kernel, Memory, Visit, node};
use super::operators::{quotient, relative};
use super::overlap::{Average, matype, no_mama};
use super::registry::{Function, Input, Parameter, consistent, count};
use super::undefined::{Held, defined, whole};
use super::volatility::true_range;
use super::window::{Delay, Fold, Largest, Smallest, Window, bars};
use crate::numeric::Sum;

/// What a function makes of a value and the one some bars before it.
#[derive(Clone, Debug)]
pub struct Against<F>(Delay, F);

impl<F: Fn(f64, f64) -> f64 + Clone + Send + Sync + 'static> Kernel<1, 1> for Against<F> {
    #[inline]
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        [(self.1)(x, self.0.push(x))]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }
}

/// Largest or smallest value of a window and how many bars ago it was, the latest of equal ones.
#[derive(Clone, Copy, Debug)]
pub struct Extreme<const HIGH: bool> {
    n: f64,
    /// The value.
    pub value: f64,
    /// Bars since.
    pub age: f64,
}

impl<const HIGH: bool> Default for Extreme<HIGH> {
    fn default() -> Self {
        let value = if HIGH { f64::NEG_INFINITY } else { f64::INFINITY };
        Self { n: 0.0, value, age: 0.0 }
    }
}

impl<const HIGH: bool> Extreme<HIGH> {
    fn below(a: f64, b: f64) -> bool {
        if HIGH { a < b } else { a > b }
    }
}

impl<const HIGH: bool> Fold for Extreme<HIGH> {
    fn append(&mut self, x: f64) {
        let older = !Self::below(x, self.value);
        self.age = if older { 0.0 } else { self.age + 1.0 };
        self.value = if older { x } else { self.value };
        self.n += 1.0;
    }

    fn prepend(&mut self, x: f64) {
        if self.n == 0.0 || Self::below(self.value, x) {
            (self.value, self.age) = (x, self.n);
        }
        self.n += 1.0;
    }

    fn join(self, newer: Self) -> Self {
        let n = self.n + newer.n;
        if newer.n == 0.0 || Self::below(newer.value, self.value) {
            Self { n, value: self.value, age: self.age + newer.n }
        } else {
            Self { n, ..newer }
        }
    }
}

/// Chande's Aroon: how lately the lowest low and the highest high were.
#[derive(Clone, Debug)]
pub struct Aroon {
    high: Window<Extreme<true>>,
    low: Window<Extreme<false>>,
    period: f64,
}

impl Aroon {
    fn new(period: f64) -> Self {
        let bars = count(period) + 1;
        Self { high: Window::new(bars), low: Window::new(bars), period }
    }
}

impl Kernel<2, 2> for Aroon {
    #[inline]
    fn step(&mut self, at: i64, bar: [f64; 2]) -> [f64; 2] {
        let [high, low] = whole(bar);
        match (self.high.push(at, high), self.low.push(at, low)) {
            (Some(high), Some(low)) => {
                [low.age, high.age].map(|age| 100.0 * (self.period - age) / self.period)
            }
            _ => [f64::NAN; 2],
        }
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.high.visit(state);
        self.low.visit(state);
    }
}

/// [`Aroon`] up less down.
#[derive(Clone, Debug)]
pub struct AroonOscillator(Aroon);

impl Kernel<2, 1> for AroonOscillator {
    #[inline]
    fn step(&mut self, at: i64, bar: [f64; 2]) -> [f64; 1] {
        let [down, up] = self.0.step(at, bar);
        [up - down]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }
}

/// Chande's momentum oscillator on Wilder means.
#[derive(Clone, Debug)]
pub struct Cmo {
    up: Wilder,
    down: Wilder,
    /// NaN before the first value.
    previous: f64,
}

impl Kernel<1, 1> for Cmo {
    #[inline]
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        let change = x - std::mem::replace(&mut self.previous, x);
        if change.is_nan() {
            return [f64::NAN];
        }
        let up = self.up.update(if change > 0.0 { change } else { 0.0 });
        let down = self.down.update(if change < 0.0 { -change } else { 0.0 });
        let moved = up + down;
        [if moved == 0.0 { 0.0 } else { 100.0 * ((up - down) / moved) }]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.up.visit(state);
        self.down.visit(state);
        state.float(&mut self.previous);
    }
}

/// Chande's intraday momentum index.
#[derive(Clone, Debug)]
pub struct Imi {
    up: Window<Sum>,
    down: Window<Sum>,
}

impl Kernel<2, 1> for Imi {
    #[inline]
    fn step(&mut self, at: i64, [open, close]: [f64; 2]) -> [f64; 1] {
        let change = close - open;
        let (up, down) = if change.is_nan() {
            (f64::NAN, f64::NAN)
        } else if change > 0.0 {
            (change, 0.0)
        } else {
            (0.0, -change)
        };
        [match (self.up.push(at, up), self.down.push(at, down)) {
            (Some(up), Some(down)) => {
                let up = up.value();
                let all = up + down.value();
                if all == 0.0 { 50.0 } else { 100.0 * (up / all) }
            }
            _ => f64::NAN,
        }]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.up.visit(state);
        self.down.visit(state);
    }
}

/// Where the close lies in the range of a window, from 0 at the lowest low to 1 at the highest high.
#[derive(Clone, Debug)]
pub struct Place {
    high: Window<Largest>,
    low: Window<Smallest>,
}

impl Place {
    fn new(period: f64) -> Self {
        Self { high: Window::new(count(period)), low: Window::new(count(period)) }
    }

    #[inline]
    fn update(&mut self, at: i64, bar: [f64; 3]) -> f64 {
        let [high, low, close] = whole(bar);
        match (self.high.push(at, high), self.low.push(at, low)) {
            (Some(high), Some(low)) => {
                let range = high.0 - low.0;
                if range == 0.0 { 0.5 } else { (close - low.0) / range }
            }
            _ => f64::NAN,
        }
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.high.visit(state);
        self.low.visit(state);
    }
}

/// Williams's %R.
#[derive(Clone, Debug)]
pub struct Williams(Place);

impl Kernel<3, 1> for Williams {
    #[inline]
    fn step(&mut self, at: i64, bar: [f64; 3]) -> [f64; 1] {
        [100.0 * (self.0.update(at, bar) - 1.0)]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }
}

/// Fast stochastic: %K and its average.
#[derive(Clone, Debug)]
pub struct FastStochastic {
    place: Place,
    smooth: Average,
    holds: bool,
}

impl FastStochastic {
    fn new(k: f64, d: f64, kind: f64) -> Self {
        let (place, smooth) = (Place::new(k), Average::new(kind, d));
        Self { place, smooth, holds: Average::holds(kind, d) }
    }
}

impl Kernel<3, 2> for FastStochastic {
    #[inline]
    fn step(&mut self, at: i64, bar: [f64; 3]) -> [f64; 2] {
        if self.holds && bar.iter().any(|x| x.is_nan()) {
            return [f64::NAN; 2];
        }
        let k = 100.0 * self.place.update(at, bar);
        let d = self.smooth.update(at, k);
        if d.is_nan() { [f64::NAN; 2] } else { [k, d] }
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.place.visit(state);
        self.smooth.visit(state);
    }
}

/// Fast stochastic of the relative strength index.
#[derive(Clone, Debug)]
pub struct StochasticRsi(Rsi, FastStochastic);

impl Kernel<1, 2> for StochasticRsi {
    #[inline]
    fn step(&mut self, at: i64, x: [f64; 1]) -> [f64; 2] {
        let [index] = self.0.step(at, x);
        self.1.step(at, [index; 3])
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
        self.1.visit(state);
    }
}

/// Williams's ultimate oscillator.
#[derive(Clone, Debug)]
pub struct Ultimate {
    /// Buying pressure and true range over three windows, the shortest first.
    windows: [[Window<Sum>; 2]; 3],
    /// Close before; NaN before the first bar.
    previous: f64,
}

impl Ultimate {
    fn new(p: &[f64]) -> Self {
        let mut lengths = [count(p[0]), count(p[1]), count(p[2])];
        lengths.sort_unstable();
        Self { windows: lengths.map(|n| [Window::new(n), Window::new(n)]), previous: f64::NAN }
    }
}

impl Kernel<3, 1> for Ultimate {
    fn step(&mut self, at: i64, bar: [f64; 3]) -> [f64; 1] {
        let [high, low, close] = whole(bar);
        let before = std::mem::replace(&mut self.previous, close);
        let [range, close, before] = whole([true_range(high, low, before), close, before]);
        let pressure = close - if low < before { low } else { before };
        let mut share = 0.0;
        for ([up, all], weight) in self.windows.iter_mut().zip([4.0, 2.0, 1.0]) {
            share += weight
                * match (up.push(at, pressure), all.push(at, range)) {
                    (Some(up), Some(all)) if all.value() == 0.0 => 0.5 + 0.0 * up.value(),
                    (Some(up), Some(all)) => up.value() / all.value(),
                    _ => f64::NAN,
                };
        }
        [100.0 * (share / 7.0)]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        for window in self.windows.iter_mut().flatten() {
            window.visit(state);
        }
        state.float(&mut self.previous);
    }
}

const X: &[Input] = &[Input::Series("close")];
const HIGH_LOW: &[Input] = &[Input::Column("high"), Input::Column("low")];
const HIGH_LOW_CLOSE: &[Input] =
    &[Input::Column("high"), Input::Column("low"), Input::Column("close")];
const TEN: &[Parameter] = &[Parameter::window("period", 1, Some(10.0))];

fn change_memory(p: &[f64]) -> Memory {
    Memory::Finite(bars(p[0]) + 1)
}

fn period(p: &[f64]) -> u64 {
    bars(p[0])
}

fn stochastic_memory(p: &[f64]) -> Memory {
    Average::memory(p[2], p[1]).over(Memory::Finite(bars(p[0])))
}

fn stochastic_warmup(p: &[f64]) -> u64 {
    bars(p[0]) - 1 + Average::warmup(p[2], p[1])
}

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "mom",
        known_as: &[],
        family: "momentum",
        inputs: X,
        parameters: TEN,
        outputs: &[],
        memory: change_memory,
        warmup: period,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Against(Delay::new(count(p[0])), |x: f64, before: f64| x - before)),
        summary: "Momentum: change over a number of bars",
        formula: "x[t] - x[t - period], in the unit of x.",
        source: "As MOM of TA-Lib.",
    },
    Function {
        name: "roc",
        known_as: &["rate_of_change"],
        family: "momentum",
        inputs: X,
        parameters: TEN,
        outputs: &[],
        memory: change_memory,
        warmup: period,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| {
            node(Against(Delay::new(count(p[0])), |x, before| defined(100.0 * relative(x, before))))
        },
        summary: "Rate of change over a number of bars, in percent",
        formula: "100 * (x[t] - x[t - period]) / x[t - period]; NaN where x[t - period] is 0.",
        source: "As ROC of TA-Lib, which gives 0 where x[t - period] is 0.",
    },
    Function {
        name: "rocp",
        known_as: &[],
        family: "momentum",
        inputs: X,
        parameters: TEN,
        outputs: &[],
        memory: change_memory,
        warmup: period,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Against(Delay::new(count(p[0])), |x, before| defined(relative(x, before)))),
        summary: "Rate of change over a number of bars, as a share",
        formula: "(x[t] - x[t - period]) / x[t - period]; NaN where x[t - period] is 0.",
        source: "As ROCP of TA-Lib, which gives 0 where x[t - period] is 0; simple_return with another default.",
    },
    Function {
        name: "rocr",
        known_as: &[],
        family: "momentum",
        inputs: X,
        parameters: TEN,
        outputs: &[],
        memory: change_memory,
        warmup: period,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Against(Delay::new(count(p[0])), |x, before| defined(quotient(x, before)))),
        summary: "Growth factor over a number of bars",
        formula: "x[t] / x[t - period]; NaN where x[t - period] is 0.",
        source: "As ROCR of TA-Lib, which gives 0 where x[t - period] is 0.",
    },
    Function {
        name: "rocr100",
        known_as: &[],
        family: "momentum",
        inputs: X,
        parameters: TEN,
        outputs: &[],
        memory: change_memory,
        warmup: period,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| {
            node(Against(Delay::new(count(p[0])), |x, before| defined(100.0 * quotient(x, before))))
        },
        summary: "Growth factor over a number of bars, times 100",
        formula: "100 * x[t] / x[t - period]; NaN where x[t - period] is 0.",
        source: "As ROCR100 of TA-Lib, which gives 0 where x[t - period] is 0.",
    },
    Function {
        name: "aroon",
        known_as: &[],
        family: "momentum",
        inputs: HIGH_LOW,
        parameters: &[Parameter::window("period", 2, Some(14.0))],
        outputs: &["down", "up"],
        memory: change_memory,
        warmup: period,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Aroon::new(p[0])),
        summary: "Aroon: how lately the extremes were",
        formula: "100 * (period - bars since) / period, of the lowest low (down) and of the highest high (up) of the last \
                  period + 1 bars, the latest of equal ones; in [0, 100].",
        source: "T. Chande, 1995; as AROON of TA-Lib.",
    },
    Function {
        name: "aroonosc",
        known_as: &["aroon_oscillator"],
        family: "momentum",
        inputs: HIGH_LOW,
        parameters: &[Parameter::window("period", 2, Some(14.0))],
        outputs: &[],
        memory: change_memory,
        warmup: period,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(AroonOscillator(Aroon::new(p[0]))),
        summary: "Aroon oscillator",
        formula: "aroon(period).up - aroon(period).down; in [-100, 100].",
        source: "T. Chande, 1995; as AROONOSC of TA-Lib.",
    },
    Function {
        name: "cmo",
        known_as: &["chande_momentum_oscillator"],
        family: "momentum",
        inputs: X,
        parameters: &[Parameter::window("period", 2, Some(14.0))],
        outputs: &[],
        memory: |p| Memory::Fading(bars(p[0]) + 1 + wilder_fade(p[0])),
        warmup: period,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| {
            node(Held(Cmo { up: Wilder::new(p[0]), down: Wilder::new(p[0]), previous: f64::NAN }))
        },
        summary: "Chande's momentum oscillator",
        formula: "100 * (u - d) / (u + d), u and d the Wilder means of gains and losses as in rsi; in [-100, 100], 0 where \
                  nothing moved.",
        source: "T. Chande; as CMO of TA-Lib, which smooths as Wilder does where Chande took plain sums.",
    },
    Function {
        name: "imi",
        known_as: &["intraday_momentum_index"],
        family: "momentum",
        inputs: &[Input::Column("open"), Input::Column("close")],
        parameters: &[Parameter::window("period", 2, Some(14.0))],
        outputs: &[],
        memory: |p| Memory::Finite(bars(p[0])),
        warmup: |p| bars(p[0]) - 1,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Imi { up: Window::new(count(p[0])), down: Window::new(count(p[0])) }),
        summary: "Intraday momentum index",
        formula: "100 * up / (up + down) over period bars, up and down the sums of close - open of bars that rose and of \
                  open - close of those that fell; in [0, 100], 50 where none moved.",
        source: "T. Chande; as IMI of TA-Lib, which gives 0 where none moved.",
    },
    Function {
        name: "stochf",
        known_as: &["fast_stochastic"],
        family: "momentum",
        inputs: HIGH_LOW_CLOSE,
        parameters: &[
            Parameter::window("k", 1, Some(5.0)),
            Parameter::window("d", 1, Some(3.0)),
            matype("matype", 0.0),
        ],
        outputs: &["k", "d"],
        memory: stochastic_memory,
        warmup: stochastic_warmup,
        delays: |_| [0, 0],
        check: |p| no_mama(p[2]),
        build: |p| node(FastStochastic::new(p[0], p[1], p[2])),
        summary: "Fast stochastic oscillator",
        formula: "k = 100 * (close - lowest low) / (highest high - lowest low) over k bars, 50 where they are equal; d = \
                  ma(k, d, matype). k in [0, 100]; the two outputs begin together.",
        source: "G. Lane; as STOCHF of TA-Lib, which gives 0 where the range is 0.",
    },
    Function {
        name: "stochrsi",
        known_as: &["stochastic_rsi"],
        family: "momentum",
        inputs: X,
        parameters: &[
            Parameter::window("period", 2, Some(14.0)),
            Parameter::window("k", 1, Some(5.0)),
            Parameter::window("d", 1, Some(3.0)),
            matype("matype", 0.0),
        ],
        outputs: &["k", "d"],
        memory: |p| {
            stochastic_memory(&p[1..]).over(Memory::Fading(bars(p[0]) + 1 + wilder_fade(p[0])))
        },
        warmup: |p| bars(p[0]) + stochastic_warmup(&p[1..]),
        delays: |_| [0, 0],
        check: |p| no_mama(p[3]),
        build: |p| node(Held(StochasticRsi(Rsi::new(p[0]), FastStochastic::new(p[1], p[2], p[3])))),
        summary: "Fast stochastic oscillator of the relative strength index",
        formula: "k = 100 * (r - lowest) / (highest - lowest) of r = rsi(x, period) over k bars, 50 where they are equal; d \
                  = ma(k, d, matype). k in [0, 100]; the two outputs begin together.",
        source: "T. Chande and S. Kroll, 1994; as STOCHRSI of TA-Lib, which gives 0 where the range is 0.",
    },
    Function {
        name: "ultosc",
        known_as: &["ultimate_oscillator"],
        family: "momentum",
        inputs: HIGH_LOW_CLOSE,
        parameters: &[
            Parameter::window("period1", 1, Some(7.0)),
            Parameter::window("period2", 1, Some(14.0)),
            Parameter::window("period3", 1, Some(28.0)),
        ],
        outputs: &[],
        memory: |p| Memory::Finite(bars(p[0].max(p[1]).max(p[2])) + 1),
        warmup: |p| bars(p[0].max(p[1]).max(p[2])),
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Ultimate::new(p)),
        summary: "Ultimate oscillator",
        formula: "100 * (4 * s1 + 2 * s2 + s3) / 7, s the sum of close - min(low, c') over the sum of true ranges, c' the \
                  close before, over the shortest, the middle and the longest period; in [0, 100], a share being 0.5 where \
                  the ranges are 0.",
        source: "L. Williams, 1985; as ULTOSC of TA-Lib, whose shares are 0 where the ranges are 0.",
    },
    Function {
        name: "willr",
        known_as: &["williams_r", "williams_percent_r"],
        family: "momentum",
        inputs: HIGH_LOW_CLOSE,
        parameters: &[Parameter::window("period", 2, Some(14.0))],
        outputs: &[],
        memory: |p| Memory::Finite(bars(p[0])),
        warmup: |p| bars(p[0]) - 1,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Williams(Place::new(p[0]))),
        summary: "Williams's %R",
        formula: "-100 * (highest high - close) / (highest high - lowest low) over period bars; in [-100, 0], -50 where \
                  they are equal.",
        source: "L. Williams; as WILLR of TA-Lib, which gives 0 where the range is 0.",
    },
];

#[cfg(test)]
mod tests;
