//! Momentum: how hard and how one-sidedly a price has been moving.

use super::average::{Ema, Mean, Wilder, ema_fade, wilder_fade};
use super::node::{Kernel, Memory, Visit, node};
use super::recursion::{GROUP, next_piece, strengths};
use super::registry::{Function, Input, Parameter, consistent, count};
use super::wide::{self, PIECE};
use super::window::{Largest, Moments, Smallest, Window, Windowed, bars};

/// Wilder's relative strength index.
#[derive(Clone, Debug)]
pub struct Rsi {
    up: Wilder,
    down: Wilder,
    /// NaN before the first value.
    previous: f64,
}

impl Rsi {
    /// Over `period` changes, at least 1.
    pub fn new(period: f64) -> Self {
        Self { up: Wilder::new(period), down: Wilder::new(period), previous: f64::NAN }
    }
}

impl Kernel<1, 1> for Rsi {
    #[inline]
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        if x.is_nan() {
            return [f64::NAN];
        }
        let change = x - std::mem::replace(&mut self.previous, x);
        if change.is_nan() {
            return [f64::NAN];
        }
        let up = self.up.update(gain(change));
        let down = self.down.update(gain(-change));
        [strength(up, down)]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.up.visit(state);
        self.down.visit(state);
        state.float(&mut self.previous);
    }

    fn block(&mut self, at: &[i64], [x]: [&[f64]; 1], [y]: [&mut [f64]; 1]) {
        let mut from = 0;
        while from < x.len() {
            // The first value has no change, and after a NaN the one before is another one. Both means take the same values,
            // so that their groups begin together.
            let begins = self.up.begins() && self.down.begins();
            let begins = begins && from > 0 && self.previous == x[from - 1];
            let to = next_piece(from, x.len(), begins);
            let (mut means, mut nan) = ([*self.up.mean(), *self.down.mean()], true);
            if to - from >= GROUP {
                strengths(self.up.law(), &mut means, x, from..to, y, &mut nan);
            }
            if nan {
                for i in from..to {
                    [y[i]] = self.step(at[i], [x[i]]);
                }
            } else {
                [*self.up.mean(), *self.down.mean()] = means;
                self.previous = x[to - 1];
            }
            from = to;
        }
    }
}

/// What of a change is a gain.
#[inline]
pub(super) fn gain(change: f64) -> f64 {
    if change > 0.0 { change } else { 0.0 }
}

/// Gains as a share of all moves, in percent.
#[inline]
pub(super) fn strength(up: f64, down: f64) -> f64 {
    let moved = up + down;
    if moved == 0.0 { 50.0 } else { 100.0 * up / moved }
}

/// Moving average convergence divergence: line, signal and their difference.
#[derive(Clone, Debug)]
pub struct Macd {
    fast: Ema,
    slow: Ema,
    signal: Ema,
}

impl Kernel<1, 3> for Macd {
    #[inline]
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 3] {
        let line = self.fast.update(x) - self.slow.update(x);
        let signal = self.signal.update(line);
        // The three begin together; NaN is what the signal was before it was seeded.
        if signal.is_nan() { [f64::NAN; 3] } else { [line, signal, line - signal] }
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.fast.visit(state);
        self.slow.visit(state);
        self.signal.visit(state);
    }

    fn block(&mut self, _at: &[i64], [x]: [&[f64]; 1], [line, signal, hist]: [&mut [f64]; 3]) {
        let n = x.len();
        wide::scratch(|scratch| {
            let [fast, slow, spare_line, spare_signal] = scratch.columns(n);
            let line = if line.is_empty() { spare_line } else { line };
            let signal = if signal.is_empty() { spare_signal } else { signal };
            self.fast.fill(x, &mut fast[..n]);
            // Pieces that begin where groups of the slow mean do, and with the usual periods those of the signal.
            let mut from = 0;
            while from < n {
                let to = n.min(from + if self.slow.begins() { PIECE } else { 1 });
                let (slow, line) = (&mut slow[..to - from], &mut line[from..to]);
                self.slow.fill(&x[from..to], slow);
                wide::each([&fast[from..to], &*slow], line, |[fast, slow]| fast - slow);
                self.signal.fill(line, &mut signal[from..to]);
                let signal = &signal[from..to];
                if !hist.is_empty() {
                    wide::each([&*line, signal], &mut hist[from..to], |[line, signal]| {
                        line - signal
                    });
                }
                if !wide::no_nan(signal) {
                    // The three begin together.
                    for (line, signal) in line.iter_mut().zip(signal) {
                        *line = if signal.is_nan() { f64::NAN } else { *line };
                    }
                }
                from = to;
            }
        });
    }
}

/// Stochastic oscillator, slowed: %K and %D.
#[derive(Clone, Debug)]
pub struct Stochastic {
    high: Window<Largest>,
    low: Window<Smallest>,
    slow_k: Windowed<Mean>,
    slow_d: Windowed<Mean>,
}

impl Kernel<3, 2> for Stochastic {
    fn step(&mut self, at: i64, [high, low, close]: [f64; 3]) -> [f64; 2] {
        let fast = match (self.high.push(at, high), self.low.push(at, low)) {
            (Some(high), Some(low)) => position(high.0, low.0, close),
            _ => f64::NAN,
        };
        let [k] = self.slow_k.step(at, [fast]);
        let [d] = self.slow_d.step(at, [k]);
        if d.is_nan() { [f64::NAN; 2] } else { [k, d] }
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.high.visit(state);
        self.low.visit(state);
        self.slow_k.visit(state);
        self.slow_d.visit(state);
    }

    fn block(&mut self, at: &[i64], [high, low, close]: [&[f64]; 3], [k, d]: [&mut [f64]; 2]) {
        let n = close.len();
        wide::scratch(|scratch| {
            let [highest, lowest, fast, slow] = scratch.columns(n);
            self.high.fill(at, high, [&mut highest[..n]], |fold, _| [fold.0]);
            self.low.fill(at, low, [&mut lowest[..n]], |fold, _| [fold.0]);
            wide::each([highest, lowest, close], &mut fast[..n], |[high, low, close]| {
                position(high, low, close)
            });
            self.slow_k.block(at, [&fast[..n]], [&mut slow[..n]]);
            self.slow_d.block(at, [&slow[..n]], [&mut lowest[..n]]);
            wide::each([slow, lowest], k, |[k, d]| if d.is_nan() { f64::NAN } else { k });
            let wanted = d.len();
            d.copy_from_slice(&lowest[..wanted]);
        });
    }
}

/// Where a close lies in a range, in percent.
#[inline]
pub(super) fn position(high: f64, low: f64, close: f64) -> f64 {
    let range = high - low;
    // A NaN close passes either way: it must reach the windows below.
    if range == 0.0 && !close.is_nan() { 50.0 } else { 100.0 * (close - low) / range }
}

/// Lambert's commodity channel index.
#[derive(Clone, Debug)]
pub struct Cci {
    window: Window<Moments>,
    length: f64,
}

/// Lambert's scale: about three quarters of all values fall between -100 and 100.
const LAMBERT: f64 = 0.015;

impl Kernel<3, 1> for Cci {
    fn step(&mut self, at: i64, [high, low, close]: [f64; 3]) -> [f64; 1] {
        let typical = (high + low + close) / 3.0;
        [self.window.push(at, typical).map_or(f64::NAN, |fold| {
            let mean = fold.mean();
            let mut spread = 0.0;
            for x in self.window.values() {
                spread += (x - mean).abs();
            }
            channel(spread, fold.distance(typical), self.length)
        })]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.window.visit(state);
    }

    fn block(&mut self, at: &[i64], [high, low, close]: [&[f64]; 3], [y]: [&mut [f64]; 1]) {
        let (n, length) = (y.len(), self.length);
        let bars = count(length);
        wide::scratch(|scratch| {
            let [values, mean, distance, spread] = scratch.columns(n + bars);
            let mut past = 0;
            for (slot, x) in values.iter_mut().zip(self.window.values()) {
                *slot = x;
                past += 1;
            }
            let typical = &mut values[past..past + n];
            wide::each([high, low, close], typical, |[high, low, close]| {
                (high + low + close) / 3.0
            });
            let (mean, distance, spread) = (&mut mean[..n], &mut distance[..n], &mut spread[..n]);
            let columns = [&mut mean[..], &mut distance[..]];
            self.window.fill(at, typical, columns, |fold, x| [fold.mean(), fold.distance(x)]);
            // Bars before the first full window have no mean.
            let early = (bars - 1).saturating_sub(past).min(n);
            spread[..early].fill(f64::NAN);
            let values = &values[past + early + 1 - bars.min(past + early + 1)..past + n];
            wide::distances(values, bars, &mean[early..], &mut spread[early..]);
            wide::each([&*mean, &*distance, &*spread], y, |[mean, distance, spread]| {
                if mean.is_nan() { f64::NAN } else { channel(spread, distance, length) }
            });
        });
    }
}

/// The index of a value at a distance from the mean of a window, whose distances add up to `spread`.
#[inline]
fn channel(spread: f64, distance: f64, length: f64) -> f64 {
    if spread == 0.0 { 0.0 } else { distance / (LAMBERT * (spread / length)) }
}

const HIGH_LOW_CLOSE: &[Input] =
    &[Input::Column("high"), Input::Column("low"), Input::Column("close")];

fn stochastic_warmup(p: &[f64]) -> u64 {
    bars(p[0]) + bars(p[1]) + bars(p[2]) - 3
}

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "rsi",
        known_as: &["relative_strength_index", "wilder_rsi"],
        family: "momentum",
        inputs: &[Input::Series("close")],
        parameters: &[Parameter::window("period", 1, Some(14.0))],
        outputs: &[],
        memory: |p| Memory::Fading(bars(p[0]) + 1 + wilder_fade(p[0])),
        warmup: |p| bars(p[0]),
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Rsi::new(p[0])),
        summary: "Wilder's relative strength index",
        formula: "100 * u / (u + d), u and d the Wilder means (alpha = 1 / period, seeded with the plain mean of the \
                  first period changes) of gains and losses; in [0, 100], 50 where nothing moved.",
        source: "J. W. Wilder, New Concepts in Technical Trading Systems, 1978; as RSI of TA-Lib, which gives 0 where \
                 nothing moved.",
    },
    Function {
        name: "macd",
        known_as: &["moving_average_convergence_divergence"],
        family: "momentum",
        inputs: &[Input::Series("close")],
        parameters: &[
            Parameter::window("fast", 2, Some(12.0)),
            Parameter::window("slow", 2, Some(26.0)),
            Parameter::window("signal", 2, Some(9.0)),
        ],
        outputs: &["macd", "signal", "hist"],
        memory: |p| Memory::Fading(bars(p[1]) + bars(p[2]) + ema_fade(p[1]) + ema_fade(p[2])),
        warmup: |p| bars(p[1]) + bars(p[2]) - 2,
        delays: |_| [0, 0],
        check: |p| (p[0] >= p[1]).then_some("`fast` of macd must be less than `slow`"),
        build: |p| {
            node(Macd { fast: Ema::new(p[0]), slow: Ema::new(p[1]), signal: Ema::new(p[2]) })
        },
        summary: "Moving average convergence divergence",
        formula: "macd = ema(x, fast) - ema(x, slow); signal = ema(macd, signal); hist = macd - signal. Each mean is \
                  seeded with the plain mean of its first values; the three outputs begin together.",
        source: "As MACD of TA-Lib once the seeds have faded: TA-Lib delays the fast mean's seed until the slow one's.",
    },
    Function {
        name: "stoch",
        known_as: &["stochastic", "slow_stochastic", "stochastics"],
        family: "momentum",
        inputs: HIGH_LOW_CLOSE,
        parameters: &[
            Parameter::window("k", 1, Some(14.0)),
            Parameter::window("slow_k", 1, Some(3.0)),
            Parameter::window("slow_d", 1, Some(3.0)),
        ],
        outputs: &["k", "d"],
        memory: |p| Memory::Finite(stochastic_warmup(p) + 1),
        warmup: stochastic_warmup,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| {
            node(Stochastic {
                high: Window::new(count(p[0])),
                low: Window::new(count(p[0])),
                slow_k: Windowed::new(count(p[1])),
                slow_d: Windowed::new(count(p[2])),
            })
        },
        summary: "Stochastic oscillator, slowed",
        formula: "fast = 100 * (close - lowest low) / (highest high - lowest low) over k bars, 50 where they are equal; \
                  k = sma(fast, slow_k); d = sma(k, slow_d). In [0, 100]; the two outputs begin together.",
        source: "G. Lane; as STOCH of TA-Lib with plain means (its default k is 5), which gives 0 where the range is 0.",
    },
    Function {
        name: "cci",
        known_as: &["commodity_channel_index"],
        family: "momentum",
        inputs: HIGH_LOW_CLOSE,
        parameters: &[Parameter::window("period", 2, Some(20.0))],
        outputs: &[],
        memory: |p| Memory::Finite(bars(p[0])),
        warmup: |p| bars(p[0]) - 1,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Cci { window: Window::new(count(p[0])), length: p[0] }),
        summary: "Commodity channel index",
        formula: "(tp - mean) / (0.015 * mean absolute deviation) of the typical price tp = (high + low + close) / 3 \
                  over period bars; 0 where they are all equal.",
        source: "D. Lambert, 1980; as CCI of TA-Lib (its default period is 14).",
    },
];

#[cfg(test)]
mod tests {
    use crate::features::contract::{all, single};

    #[test]
    fn rsi_by_hand() {
        let got = single("rsi", &[2.0], &[&[1.0, 2.0, 3.0, 2.0, 2.0]]);
        assert!(got[0].is_nan() && got[1].is_nan());
        assert_eq!(got[2..], [100.0, 50.0, 50.0]);
    }

    #[test]
    fn macd_by_hand() {
        let x = [1.0, 3.0, 8.0, 4.0, 4.0, 12.0, 12.0];
        let got = all("macd", &[2.0, 3.0, 3.0], &[&x]);
        // fast, alpha 2/3: 2, 6, 14/3, 38/9, 254/27, 902/81; slow, alpha 1/2: 4, 4, 4, 8, 10.
        let lines = [2.0, 2.0 / 3.0, 2.0 / 9.0, 38.0 / 27.0, 92.0 / 81.0];
        let seed = (lines[0] + lines[1] + lines[2]) / 3.0;
        let signal = [seed, f64::midpoint(seed, lines[3])];
        assert!(got.iter().all(|column| column[3].is_nan()));
        for (i, signal) in signal.into_iter().enumerate() {
            for (got, want) in got.iter().zip([lines[i + 2], signal, lines[i + 2] - signal]) {
                assert!((got[i + 4] - want).abs() < 1e-14, "{} {want}", got[i + 4]);
            }
        }
    }

    #[test]
    fn stochastic_by_hand() {
        let (high, low) = ([4.0, 5.0, 5.0, 3.0], [1.0, 2.0, 3.0, 3.0]);
        let close = [2.0, 5.0, 4.0, 3.0];
        // Over two bars: (5 - 1) of 4, (4 - 2) of 3, (3 - 3) of 2.
        let got = all("stoch", &[2.0, 1.0, 1.0], &[&high, &low, &close]);
        assert_eq!(got[0][1..], [100.0, 200.0 / 3.0, 0.0]);
        assert_eq!(got[0][1..], got[1][1..]);
        let got = all("stoch", &[2.0, 2.0, 2.0], &[&high, &low, &close]);
        assert!(got[0][2].is_nan());
        assert!((got[0][3] - 100.0 / 3.0).abs() < 1e-13);
        assert!((got[1][3] - 175.0 / 3.0).abs() < 1e-13);
    }

    #[test]
    fn cci_by_hand() {
        // Typical prices 1, 2, 6: mean 3, mean absolute deviation 2.
        let x: &[f64] = &[1.0, 2.0, 6.0];
        let got = single("cci", &[3.0], &[x, x, x])[2];
        assert!((got - 100.0).abs() < 1e-12, "{got}");
    }
}
