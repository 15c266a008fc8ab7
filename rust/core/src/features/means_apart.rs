//! Oscillators that are means apart: how far a fast one lies above a slow one.

use super::average::ema_fade;
use super::node::{Kernel, Memory, Visit, node};
use super::operators::relative;
use super::overlap::{Average, Chain, chained, matype, no_mama};
use super::registry::{Function, Input, Parameter, consistent};
use super::undefined::{Held, defined};
use super::window::bars;

/// A fast average and a slow one.
#[derive(Clone, Debug)]
pub struct Two {
    fast: Average,
    slow: Average,
    /// Values that the fast one lets pass, so that both begin together; counted down.
    late: f64,
    holds: bool,
}

impl Two {
    /// Averages by kind and period; with `together` the fast one begins with the slow one.
    fn new([fast, fast_kind]: [f64; 2], [slow, slow_kind]: [f64; 2], together: bool) -> Self {
        let ahead =
            Average::warmup(slow_kind, slow) as f64 - Average::warmup(fast_kind, fast) as f64;
        Self {
            fast: Average::new(fast_kind, fast),
            slow: Average::new(slow_kind, slow),
            late: if together { ahead.max(0.0) } else { 0.0 },
            holds: Average::holds(fast_kind, fast) || Average::holds(slow_kind, slow),
        }
    }

    #[inline]
    fn update(&mut self, at: i64, x: f64) -> [f64; 2] {
        if self.holds && x.is_nan() {
            return [f64::NAN; 2];
        }
        let fast = if self.late > 0.0 {
            self.late -= 1.0;
            f64::NAN
        } else {
            self.fast.update(at, x)
        };
        [fast, self.slow.update(at, x)]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.fast.visit(state);
        self.slow.visit(state);
        state.float(&mut self.late);
    }
}

/// What a function makes of a fast and a slow average.
#[derive(Clone, Debug)]
pub struct Between<F>(Two, F);

impl<F: Fn(f64, f64) -> f64 + Clone + Send + Sync + 'static> Kernel<1, 1> for Between<F> {
    #[inline]
    fn step(&mut self, at: i64, [x]: [f64; 1]) -> [f64; 1] {
        let [fast, slow] = self.0.update(at, x);
        [(self.1)(fast, slow)]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }
}

/// Convergence and divergence of averages of any kind.
#[derive(Clone, Debug)]
pub struct MacdExt {
    two: Two,
    signal: Average,
    holds: bool,
}

impl Kernel<1, 3> for MacdExt {
    fn step(&mut self, at: i64, [x]: [f64; 1]) -> [f64; 3] {
        if self.holds && x.is_nan() {
            return [f64::NAN; 3];
        }
        let [fast, slow] = self.two.update(at, x);
        let line = fast - slow;
        // An average that holds must not see the NaN before its first value, one over a window may.
        let signal = self.signal.update(at, line);
        if signal.is_nan() { [f64::NAN; 3] } else { [line, signal, line - signal] }
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.two.visit(state);
        self.signal.visit(state);
    }
}

/// Exponential mean of any smoothing, seeded with a plain mean, over values after those it lets pass.
#[derive(Clone, Debug)]
struct Seeded {
    length: f64,
    alpha: f64,
    late: f64,
    seen: f64,
    mean: f64,
}

impl Seeded {
    fn new(length: f64, alpha: f64, late: f64) -> Self {
        Self { length, alpha, late, seen: 0.0, mean: 0.0 }
    }

    #[inline]
    fn update(&mut self, x: f64) -> f64 {
        if self.seen < self.length + self.late {
            self.seen += 1.0;
            if self.seen <= self.late {
                return f64::NAN;
            }
            self.mean += (x - self.mean) / (self.seen - self.late);
            return if self.seen < self.length + self.late { f64::NAN } else { self.mean };
        }
        self.mean += self.alpha * (x - self.mean);
        self.mean
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.float(&mut self.seen);
        state.float(&mut self.mean);
    }
}

/// Appel's own smoothing constants, of about 12 and 26 values.
const APPEL: [f64; 2] = [0.15, 0.075];

/// Convergence and divergence with Appel's constants.
#[derive(Clone, Debug)]
pub struct MacdFix {
    fast: Seeded,
    slow: Seeded,
    signal: Seeded,
}

impl Kernel<1, 3> for MacdFix {
    #[inline]
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 3] {
        let line = self.fast.update(x) - self.slow.update(x);
        if line.is_nan() {
            return [f64::NAN; 3];
        }
        let signal = self.signal.update(line);
        if signal.is_nan() { [f64::NAN; 3] } else { [line, signal, line - signal] }
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.fast.visit(state);
        self.slow.visit(state);
        self.signal.visit(state);
    }
}

/// One-bar change of a triple exponential mean, in percent.
#[derive(Clone, Debug)]
pub struct Trix {
    chain: Chain<3>,
    /// NaN before the first.
    previous: f64,
}

impl Kernel<1, 1> for Trix {
    #[inline]
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        let [.., mean] = self.chain.update(x);
        let before = std::mem::replace(&mut self.previous, mean);
        [100.0 * relative(mean, before)]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.chain.visit(state);
        state.float(&mut self.previous);
    }
}

const X: &[Input] = &[Input::Series("close")];
const FAST_SLOW: &[Parameter] = &[
    Parameter::window("fast", 2, Some(12.0)),
    Parameter::window("slow", 2, Some(26.0)),
    matype("matype", 1.0),
];

fn two_memory([fast, fast_kind]: [f64; 2], [slow, slow_kind]: [f64; 2]) -> Memory {
    Average::memory(fast_kind, fast).joined(Average::memory(slow_kind, slow))
}

fn between_memory(p: &[f64]) -> Memory {
    two_memory([p[0], p[2]], [p[1], p[2]])
}

fn between_warmup(p: &[f64]) -> u64 {
    Average::warmup(p[2], p[1]).max(Average::warmup(p[2], p[0]))
}

fn macd_warmup(p: &[f64]) -> u64 {
    Average::warmup(p[1], p[0]).max(Average::warmup(p[3], p[2])) + Average::warmup(p[5], p[4])
}

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "apo",
        known_as: &["absolute_price_oscillator"],
        family: "momentum",
        inputs: X,
        parameters: FAST_SLOW,
        outputs: &[],
        memory: between_memory,
        warmup: between_warmup,
        delays: |_| [0, 0],
        check: |p| {
            (p[0] >= p[1]).then_some("`fast` of apo must be less than `slow`").or(no_mama(p[2]))
        },
        build: |p| {
            let two = Two::new([p[0], p[2]], [p[1], p[2]], false);
            node(Between(two, |fast: f64, slow: f64| fast - slow))
        },
        summary: "Absolute price oscillator",
        formula: "ma(x, fast, matype) - ma(x, slow, matype), each from its own seed; in the unit of x.",
        source: "As APO of TA-Lib, which exchanges periods in the wrong order.",
    },
    Function {
        name: "ppo",
        known_as: &["percentage_price_oscillator"],
        family: "momentum",
        inputs: X,
        parameters: FAST_SLOW,
        outputs: &[],
        memory: between_memory,
        warmup: between_warmup,
        delays: |_| [0, 0],
        check: |p| {
            (p[0] >= p[1]).then_some("`fast` of ppo must be less than `slow`").or(no_mama(p[2]))
        },
        build: |p| {
            let two = Two::new([p[0], p[2]], [p[1], p[2]], false);
            node(Between(two, |fast, slow| defined(100.0 * relative(fast, slow))))
        },
        summary: "Percentage price oscillator",
        formula: "100 * (fast - slow) / slow, of ma(x, fast, matype) and ma(x, slow, matype), each from its own seed; NaN \
                  where the slow one is 0.",
        source: "As PPO of TA-Lib, which exchanges periods in the wrong order and gives 0 where the slow one is 0.",
    },
    Function {
        name: "pvo",
        known_as: &["percentage_volume_oscillator"],
        family: "momentum",
        inputs: &[Input::Column("volume")],
        parameters: FAST_SLOW,
        outputs: &[],
        // Volumes differ by more orders than prices: a spike in the seed fades twice.
        memory: |p| match between_memory(p) {
            Memory::Fading(n) => Memory::Fading(2 * n),
            other => other,
        },
        warmup: between_warmup,
        delays: |_| [0, 0],
        check: |p| {
            (p[0] >= p[1]).then_some("`fast` of pvo must be less than `slow`").or(no_mama(p[2]))
        },
        build: |p| {
            let two = Two::new([p[0], p[2]], [p[1], p[2]], false);
            node(Between(two, |fast, slow| defined(100.0 * relative(fast, slow))))
        },
        summary: "Percentage volume oscillator",
        formula: "100 * (fast - slow) / slow, of ma(volume, fast, matype) and ma(volume, slow, matype), each from its own \
                  seed; NaN where the slow one is 0.",
        source: "As PVO of TA-Lib, which exchanges periods in the wrong order and gives 0 where the slow one is 0.",
    },
    Function {
        name: "macdext",
        known_as: &[],
        family: "momentum",
        inputs: X,
        parameters: &[
            Parameter::window("fast", 2, Some(12.0)),
            matype("fast_matype", 0.0),
            Parameter::window("slow", 2, Some(26.0)),
            matype("slow_matype", 0.0),
            Parameter::window("signal", 1, Some(9.0)),
            matype("signal_matype", 0.0),
        ],
        outputs: &["macd", "signal", "hist"],
        memory: |p| Average::memory(p[5], p[4]).over(two_memory([p[0], p[1]], [p[2], p[3]])),
        warmup: macd_warmup,
        delays: |_| [0, 0],
        check: |p| {
            (p[0] >= p[2])
                .then_some("`fast` of macdext must be less than `slow`")
                .or(no_mama(p[1]))
                .or(no_mama(p[3]))
                .or(no_mama(p[5]))
        },
        build: |p| {
            let two = Two::new([p[0], p[1]], [p[2], p[3]], true);
            let holds = two.holds || Average::holds(p[5], p[4]);
            node(MacdExt { two, signal: Average::new(p[5], p[4]), holds })
        },
        summary: "Moving average convergence divergence with averages of any kind",
        formula: "macd = ma(x, fast, fast_matype) - ma(x, slow, slow_matype); signal = ma(macd, signal, signal_matype); \
                  hist = macd - signal. The fast average is seeded when the slow one is; the three outputs begin \
                  together; in the unit of x.",
        source: "As MACDEXT of TA-Lib, which exchanges periods in the wrong order.",
    },
    Function {
        name: "macdfix",
        known_as: &[],
        family: "momentum",
        inputs: X,
        parameters: &[Parameter::window("signal", 1, Some(9.0))],
        outputs: &["macd", "signal", "hist"],
        memory: |p| {
            Memory::Fading(26 + ema_fade(2.0 / APPEL[1] - 1.0) + bars(p[0]) + ema_fade(p[0]))
        },
        warmup: |p| 24 + bars(p[0]),
        delays: |_| [0, 0],
        check: consistent,
        build: |p| {
            node(Held(MacdFix {
                fast: Seeded::new(12.0, APPEL[0], 14.0),
                slow: Seeded::new(26.0, APPEL[1], 0.0),
                signal: Seeded::new(p[0], 2.0 / (p[0] + 1.0), 0.0),
            }))
        },
        summary: "Moving average convergence divergence with Appel's constants",
        formula: "macd = fast - slow, exponential means with alpha 0.15 and 0.075, seeded at bar 25 with the plain means \
                  of the last 12 and 26 values; signal = ema(macd, signal); hist = macd - signal; in the unit of x.",
        source: "G. Appel; as MACDFIX of TA-Lib.",
    },
    Function {
        name: "trix",
        known_as: &[],
        family: "momentum",
        inputs: X,
        parameters: &[Parameter::window("period", 1, Some(30.0))],
        outputs: &[],
        memory: |p| Memory::Finite(2).over(chained(3, p[0])),
        warmup: |p| 3 * bars(p[0]) - 2,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Held(Trix { chain: Chain::new(p[0]), previous: f64::NAN })),
        summary: "One-bar rate of change of a triple exponential mean",
        formula: "100 * (e[t] - e[t - 1]) / e[t - 1], e = ema(ema(ema(x))), each over period values; in percent, NaN where \
                  e[t - 1] is 0.",
        source: "J. Hutson; as TRIX of TA-Lib, which gives 0 where e[t - 1] is 0.",
    },
];

#[cfg(test)]
mod tests {
    use crate::features::contract::single;

    #[test]
    fn means_apart_by_hand() {
        let x = [1.0, 2.0, 4.0, 3.0];
        assert_eq!(single("apo", &[2.0, 3.0, 0.0], &[&x])[2..], [3.0 - 7.0 / 3.0, 0.5]);
        // Means 3 and 7/3, then 3.5 and 3.
        let got = single("pvo", &[2.0, 3.0, 0.0], &[&x]);
        assert!((got[2] - 200.0 / 7.0).abs() < 1e-12 && (got[3] - 50.0 / 3.0).abs() < 1e-12);
    }
}
