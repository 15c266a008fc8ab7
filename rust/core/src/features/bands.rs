//! Channels around the price, and where it stands in them.

use super::average::{Ema, ema_fade, wilder_fade};
use super::node::{Kernel, Memory, Visit, node};
use super::operators::quotient;
use super::parts::{Map, ROW, finite, full};
use super::registry::{Function, Input, Kind, Parameter, count};
use super::undefined::defined;
use super::volatility::Atr;
use super::window::{Largest, Smallest, Window, bars};

/// Highest high and lowest low of a window.
#[derive(Clone, Debug)]
struct Extremes {
    high: Window<Largest>,
    low: Window<Smallest>,
}

impl Extremes {
    fn new(period: f64) -> Self {
        Self { high: Window::new(count(period)), low: Window::new(count(period)) }
    }

    fn push(&mut self, at: i64, high: f64, low: f64) -> Option<[f64; 2]> {
        match (self.high.push(at, high), self.low.push(at, low)) {
            (Some(high), Some(low)) => Some([high.0, low.0]),
            _ => None,
        }
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.high.visit(state);
        self.low.visit(state);
    }
}

/// Donchian's channel.
#[derive(Clone, Debug)]
struct Donchian(Extremes);

impl Kernel<3, 5> for Donchian {
    fn step(&mut self, at: i64, [high, low, close]: [f64; 3]) -> [f64; 5] {
        let extremes = self.0.push(at, high, low);
        let Some([upper, lower]) = extremes.filter(|_| !close.is_nan()) else {
            return [f64::NAN; 5];
        };
        let middle = f64::midpoint(upper, lower);
        let range = upper - lower;
        let position = if range == 0.0 { 0.5 } else { (close - lower) / range };
        [upper, middle, lower, defined(position), defined(quotient(range, middle))]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }
}

/// Keltner's channel.
#[derive(Clone, Debug)]
struct Keltner {
    mean: Ema,
    range: Atr,
    multiple: f64,
}

impl Kernel<3, 4> for Keltner {
    fn step(&mut self, at: i64, bar: [f64; 3]) -> [f64; 4] {
        if bar.iter().any(|x| x.is_nan()) {
            return [f64::NAN; 4];
        }
        let [_, _, close] = bar;
        let middle = self.mean.update(close);
        let [range] = self.range.step(at, bar);
        let half = self.multiple * range;
        if middle.is_nan() || half.is_nan() {
            return [f64::NAN; 4];
        }
        [
            defined(middle + half),
            middle,
            defined(middle - half),
            defined(quotient(close - middle + half, 2.0 * half)),
        ]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.mean.visit(state);
        self.range.visit(state);
    }
}

/// Stops that hang below the highest high and above the lowest low.
#[derive(Clone, Debug)]
struct Chandelier {
    extremes: Extremes,
    range: Atr,
    multiple: f64,
}

impl Kernel<3, 2> for Chandelier {
    fn step(&mut self, at: i64, bar: [f64; 3]) -> [f64; 2] {
        if bar.iter().any(|x| x.is_nan()) {
            return [f64::NAN; 2];
        }
        let extremes = self.extremes.push(at, bar[0], bar[1]);
        let [range] = self.range.step(at, bar);
        let Some([high, low]) = extremes else { return [f64::NAN; 2] };
        [defined(high - self.multiple * range), defined(low + self.multiple * range)]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.extremes.visit(state);
        self.range.visit(state);
    }
}

/// A band that follows the price in one direction until it is crossed.
#[derive(Clone, Debug)]
struct Supertrend {
    range: Atr,
    multiple: f64,
    upper: f64,
    lower: f64,
    close: f64,
    direction: f64,
}

impl Kernel<3, 2> for Supertrend {
    fn step(&mut self, at: i64, bar: [f64; 3]) -> [f64; 2] {
        if bar.iter().any(|x| x.is_nan()) {
            return [f64::NAN; 2];
        }
        let [high, low, close] = bar;
        let [range] = self.range.step(at, bar);
        let before = std::mem::replace(&mut self.close, close);
        if range.is_nan() {
            return [f64::NAN; 2];
        }
        let middle = f64::midpoint(high, low);
        let (upper, lower) = (middle + self.multiple * range, middle - self.multiple * range);
        if upper < self.upper || before > self.upper || self.upper.is_nan() {
            self.upper = upper;
        }
        if lower > self.lower || before < self.lower || self.lower.is_nan() {
            self.lower = lower;
        }
        if self.direction > 0.0 && close < self.lower {
            self.direction = -1.0;
        } else if self.direction < 0.0 && close > self.upper {
            self.direction = 1.0;
        }
        let line = if self.direction > 0.0 { self.lower } else { self.upper };
        [defined(line), self.direction]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.range.visit(state);
        for value in [&mut self.upper, &mut self.lower, &mut self.close, &mut self.direction] {
            state.float(value);
        }
    }
}

/// Middles of three ranges, as Hosoda drew them.
#[derive(Clone, Debug)]
struct Ichimoku([Extremes; 3]);

impl Kernel<2, 4> for Ichimoku {
    fn step(&mut self, at: i64, [high, low]: [f64; 2]) -> [f64; 4] {
        let mut middles = [f64::NAN; 3];
        for (middle, extremes) in middles.iter_mut().zip(&mut self.0) {
            if let Some([high, low]) = extremes.push(at, high, low) {
                *middle = f64::midpoint(high, low);
            }
        }
        let [conversion, base, slow] = middles;
        if conversion.is_nan() || base.is_nan() || slow.is_nan() {
            return [f64::NAN; 4];
        }
        [conversion, base, f64::midpoint(conversion, base), slow]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        for extremes in &mut self.0 {
            extremes.visit(state);
        }
    }
}

/// Powers of ten that a double holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Distance to the next number of so many digits, in units of its last.
fn round_distance(x: f64, digits: usize) -> f64 {
    let size = x.abs();
    // Scaled by one exact power, so that the number has its digits before the point.
    let above = POWERS.iter().take_while(|power| **power <= size).count();
    let scaled = if above > 0 {
        if above == POWERS.len() {
            return f64::NAN;
        }
        if above >= digits { size / POWERS[above - digits] } else { size * POWERS[digits - above] }
    } else {
        let Some(zeros) = POWERS.iter().position(|power| size * power >= 1.0) else {
            return f64::NAN;
        };
        let Some(power) = POWERS.get(zeros + digits - 1) else { return f64::NAN };
        size * power
    };
    let off = scaled - (scaled + 0.5).floor();
    if x < 0.0 { -off } else { off }
}

const HIGH_LOW_CLOSE: &[Input] =
    &[Input::Column("high"), Input::Column("low"), Input::Column("close")];
const HIGH_LOW: &[Input] = &[Input::Column("high"), Input::Column("low")];

const fn multiple(default: f64) -> Parameter {
    Parameter { name: "multiple", kind: Kind::Positive, default: Some(default) }
}

fn atr_memory(period: f64) -> u64 {
    bars(period) + 1 + wilder_fade(period)
}

const ONE: Function = Function { family: "bands", inputs: HIGH_LOW_CLOSE, ..ROW };

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "donchian",
        known_as: &["donchian_channel", "price_channel"],
        parameters: &[Parameter::window("period", 1, Some(20.0))],
        outputs: &["upper", "middle", "lower", "position", "width"],
        memory: finite,
        warmup: full,
        build: |p| node(Donchian(Extremes::new(p[0]))),
        summary: "Donchian's channel",
        formula: "upper and lower = highest high and lowest low of the last period bars, middle their mean, in the unit of \
                  the price; position = (close - lower) / (upper - lower), in [0, 1], 0.5 where they meet; width = (upper - \
                  lower) / middle, >= 0. The bar's own high and low are in.",
        source: "R. Donchian.",
        ..ONE
    },
    Function {
        name: "keltner",
        known_as: &["keltner_channel"],
        parameters: &[
            Parameter::window("period", 1, Some(20.0)),
            Parameter::window("atr", 1, Some(10.0)),
            multiple(2.0),
        ],
        outputs: &["upper", "middle", "lower", "position"],
        memory: |p| Memory::Fading(atr_memory(p[1]).max(bars(p[0]) + ema_fade(p[0]))),
        warmup: |p| bars(p[1]).max(bars(p[0]) - 1),
        build: |p| node(Keltner { mean: Ema::new(p[0]), range: Atr::new(p[1]), multiple: p[2] }),
        summary: "Keltner's channel",
        formula: "middle = ema(close, period), upper and lower = middle +- multiple atr(atr), in the unit of the price; \
                  position = (close - lower) / (upper - lower), NaN where they meet.",
        source: "C. Keltner, 1960; with the ema and the true range of L. Raschke.",
        ..ONE
    },
    Function {
        name: "chandelier",
        known_as: &["chandelier_exit"],
        parameters: &[Parameter::window("period", 1, Some(22.0)), multiple(3.0)],
        outputs: &["long", "short"],
        memory: |p| Memory::Fading(atr_memory(p[0])),
        warmup: |p| bars(p[0]),
        build: |p| {
            node(Chandelier {
                extremes: Extremes::new(p[0]),
                range: Atr::new(p[0]),
                multiple: p[1],
            })
        },
        summary: "Stops that hang from the highest high and stand on the lowest low",
        formula: "long = highest high of the last period bars - multiple atr(period), short = lowest low + multiple \
                  atr(period); in the unit of the price.",
        source: "C. Le Beau; A. Elder, Come Into My Trading Room, 2002.",
        ..ONE
    },
    Function {
        name: "supertrend",
        known_as: &["super_trend"],
        parameters: &[Parameter::window("period", 1, Some(10.0)), multiple(3.0)],
        outputs: &["line", "direction"],
        memory: |_| Memory::Cumulative,
        warmup: |p| bars(p[0]),
        build: |p| {
            node(Supertrend {
                range: Atr::new(p[0]),
                multiple: p[1],
                upper: f64::NAN,
                lower: f64::NAN,
                close: f64::NAN,
                direction: 1.0,
            })
        },
        summary: "Band that follows the price until it is crossed",
        formula: "u and l = (high + low) / 2 +- multiple atr(period); u falls only, unless the close before lay above it, l \
                  rises only, unless the close before lay below it. direction = 1 at first, -1 once close < l, 1 once close > \
                  u; line = l where it is 1, else u, in the unit of the price. How it began may show until both directions \
                  turn together.",
        source: "O. Seban.",
        ..ONE
    },
    Function {
        name: "ichimoku",
        known_as: &["ichimoku_cloud", "ichimoku_kinko_hyo"],
        inputs: HIGH_LOW,
        parameters: &[
            Parameter::window("conversion", 1, Some(9.0)),
            Parameter::window("base", 1, Some(26.0)),
            Parameter::window("span", 1, Some(52.0)),
        ],
        outputs: &["conversion", "base", "span_a", "span_b"],
        memory: |p| Memory::Finite(bars(p[0]).max(bars(p[1])).max(bars(p[2]))),
        warmup: |p| bars(p[0]).max(bars(p[1])).max(bars(p[2])) - 1,
        build: |p| node(Ichimoku([Extremes::new(p[0]), Extremes::new(p[1]), Extremes::new(p[2])])),
        summary: "Lines of the Ichimoku chart, as they are known at the bar",
        formula: "conversion, base and span_b = (highest high + lowest low) / 2 of the last conversion, base and span bars; \
                  span_a = (conversion + base) / 2; in the unit of the price. Charts draw the spans base bars later: \
                  lag(ichimoku().span_a, 26). The lagging line is the close itself, drawn earlier, and is left out.",
        source: "G. Hosoda, 1969.",
        ..ONE
    },
    Function {
        name: "round_distance",
        known_as: &["round_number", "distance_to_round"],
        inputs: &[Input::Series("close")],
        parameters: &[Parameter { name: "digits", kind: Kind::Whole(1, 15), default: Some(2.0) }],
        build: |p| {
            let digits = count(p[0]);
            node(Map(move |[x]: [f64; 1]| {
                [if x.is_nan() { f64::NAN } else { round_distance(x, digits) }]
            }))
        },
        summary: "Distance to the nearest round number",
        formula: "(x - r) / u, r the nearest number of digits decimal digits, u the unit of its last digit; in [-0.5, 0.5), \
                  mirrored below 0. 64,321 lies 0.321 above 64,000 with 2 digits. NaN for 0, and outside of 1e-22 to 1e22.",
        source: "Definition; C. Osler, Currency Orders and Exchange Rate Dynamics, Journal of Finance 58, 2003, on why \
                 orders gather there.",
        ..ONE
    },
];

#[cfg(test)]
mod tests {
    use crate::features::contract::{all, single};

    #[test]
    fn round_numbers_by_hand() {
        let x = [64_321.0, 99.5, 0.001_234_5, 1.0, -2.5, 0.0, 1e300, 1e-300];
        let got = single("round_distance", &[2.0], &[&x]);
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        near(got[0], 0.321);
        near(got[1], -0.5);
        near(got[2], 0.345);
        assert_eq!((got[3], got[4]), (0.0, 0.0));
        assert!(got[5..].iter().all(|v| v.is_nan()));
    }

    #[test]
    fn channels_by_hand() {
        let (high, low, close) = ([3.0, 5.0, 4.0], [1.0, 3.0, 2.0], [2.0, 4.0, 3.0]);
        let bar: [&[f64]; 3] = [&high, &low, &close];
        let got = all("donchian", &[2.0], &bar);
        assert_eq!([got[0][1], got[1][1], got[2][1], got[3][1]], [5.0, 3.0, 1.0, 0.75]);
        // True ranges 3 and 2, means of one bar.
        let got = all("keltner", &[1.0, 1.0, 1.0], &bar);
        assert_eq!([got[0][1], got[1][1], got[2][1], got[3][1]], [7.0, 4.0, 1.0, 0.5]);
        let got = all("chandelier", &[1.0, 1.0], &bar);
        assert_eq!([got[0][2], got[1][2]], [2.0, 4.0]);
        let got = all("ichimoku", &[1.0, 2.0, 3.0], &[&high, &low]);
        assert_eq!([got[0][2], got[1][2], got[2][2], got[3][2]], [3.0, 3.5, 3.25, 3.0]);
        // Falls through 4 - 0.1 x 3, then 3 + 0.1 x 2 hangs above.
        let got = all("supertrend", &[1.0, 0.1], &bar);
        assert_eq!((got[0][1], got[1][1]), (3.7, 1.0));
        assert_eq!((got[0][2], got[1][2]), (3.2, -1.0));
    }
}
