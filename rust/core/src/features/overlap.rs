//! Averages made of averages, and channels around a price.

use super::average::{Ema, Mean, WeightedMean, ema_fade, fade};
use super::node::{Kernel, Memory, Visit, node};
use super::parts::{finite, full};
use super::registry::{Function, Input, Kind, Parameter, consistent, count};
use super::undefined::{Held, defined, whole};
use super::window::{Delay, Largest, Smallest, Window, Windowed, bars};
use crate::numeric::Sum;

/// A chain of exponential means, each of the one before it and seeded with the plain mean of its first values.
#[derive(Clone, Debug)]
pub struct Chain<const N: usize>([Ema; N]);

impl<const N: usize> Chain<N> {
    /// Each over `period` values.
    pub fn new(period: f64) -> Self {
        Self(std::array::from_fn(|_| Ema::new(period)))
    }

    /// The means of one more value; NaN those that have no seed yet.
    #[inline]
    pub fn update(&mut self, x: f64) -> [f64; N] {
        let mut value = x;
        std::array::from_fn(|k| {
            value = self.0[k].update(value);
            value
        })
    }

    /// As [`Kernel::visit`].
    pub fn visit(&mut self, state: &mut dyn Visit) {
        for mean in &mut self.0 {
            mean.visit(state);
        }
    }
}

/// Double exponential mean.
#[derive(Clone, Debug)]
pub struct Dema(Chain<2>);

impl Kernel<1, 1> for Dema {
    #[inline]
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        let [one, two] = self.0.update(x);
        [2.0 * one - two]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }
}

/// Triple exponential mean.
#[derive(Clone, Debug)]
pub struct Tema(Chain<3>);

impl Kernel<1, 1> for Tema {
    #[inline]
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        let [one, two, three] = self.0.update(x);
        [3.0 * one - 3.0 * two + three]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }
}

/// Tillson's T3: six exponential means, weighted.
#[derive(Clone, Debug)]
pub struct T3 {
    chain: Chain<6>,
    /// Weights of the third to the sixth mean.
    weights: [f64; 4],
}

impl T3 {
    /// Over `period` values with volume factor `v`.
    pub fn new(period: f64, v: f64) -> Self {
        let (square, cube) = (v * v, v * v * v);
        let weights = [
            1.0 + 3.0 * v + cube + 3.0 * square,
            -6.0 * square - 3.0 * (v + cube),
            3.0 * (square + cube),
            -cube,
        ];
        Self { chain: Chain::new(period), weights }
    }
}

impl Kernel<1, 1> for T3 {
    #[inline]
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        let means = self.chain.update(x);
        let [three, four, five, six] = self.weights;
        [six * means[5] + five * means[4] + four * means[3] + three * means[2]]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.chain.visit(state);
    }
}

/// Triangular mean: a plain mean of plain means.
#[derive(Clone, Debug)]
pub struct Trima(Windowed<Mean>, Windowed<Mean>);

impl Trima {
    /// Over `period` values.
    pub fn new(period: usize) -> Self {
        let half = period.div_ceil(2);
        Self(Windowed::new(half), Windowed::new(period + 1 - half))
    }
}

impl Kernel<1, 1> for Trima {
    #[inline]
    fn step(&mut self, at: i64, x: [f64; 1]) -> [f64; 1] {
        let mean = self.0.step(at, x);
        self.1.step(at, mean)
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
        self.1.visit(state);
    }
}

/// Kaufman's adaptive mean.
#[derive(Clone, Debug)]
pub struct Kama {
    path: Window<Sum>,
    begin: Delay,
    /// NaN before the first value.
    previous: f64,
    /// NaN before the path is whole.
    mean: f64,
}

/// Smoothing of exponential means over 2 and 30 values, between which Kaufman's moves.
const KAUFMAN: [f64; 2] = [2.0 / 3.0, 2.0 / 31.0];

impl Kama {
    /// Efficiency over `period` changes.
    pub fn new(period: usize) -> Self {
        let (path, begin) = (Window::new(period), Delay::new(period));
        Self { path, begin, previous: f64::NAN, mean: f64::NAN }
    }
}

impl Kernel<1, 1> for Kama {
    fn step(&mut self, at: i64, [x]: [f64; 1]) -> [f64; 1] {
        let before = std::mem::replace(&mut self.previous, x);
        let begin = self.begin.push(x);
        if before.is_nan() {
            return [f64::NAN];
        }
        let Some(path) = self.path.push(at, (x - before).abs()) else { return [f64::NAN] };
        if self.mean.is_nan() {
            self.mean = before;
        }
        let (way, path) = ((x - begin).abs(), path.value());
        let efficiency = if path <= way { 1.0 } else { way / path };
        let alpha = efficiency * (KAUFMAN[0] - KAUFMAN[1]) + KAUFMAN[1];
        self.mean += alpha * alpha * (x - self.mean);
        [self.mean]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.path.visit(state);
        self.begin.visit(state);
        state.float(&mut self.previous);
        state.float(&mut self.mean);
    }
}

/// An average of the kind that a number names, in the order of TA-Lib's `MA_Type`.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // a few of them a graph; a box would be one step further a bar
pub enum Average {
    /// 0, and any over one value, which is that value.
    Sma(Windowed<Mean>),
    /// 1
    Ema(Ema),
    /// 2
    Wma(Windowed<WeightedMean>),
    /// 3
    Dema(Dema),
    /// 4
    Tema(Tema),
    /// 5
    Trima(Trima),
    /// 6
    Kama(Kama),
    /// 8
    T3(T3),
}

/// Volume factor of T3 where it cannot be chosen.
const FACTOR: f64 = 0.7;

impl Average {
    /// Of `kind` over `period` values.
    pub fn new(kind: f64, period: f64) -> Self {
        let n = count(period);
        match count(kind) {
            _ if n <= 1 => Self::Sma(Windowed::new(1)),
            0 => Self::Sma(Windowed::new(n)),
            1 => Self::Ema(Ema::new(period)),
            2 => Self::Wma(Windowed::new(n)),
            3 => Self::Dema(Dema(Chain::new(period))),
            4 => Self::Tema(Tema(Chain::new(period))),
            5 => Self::Trima(Trima::new(n)),
            6 => Self::Kama(Kama::new(n)),
            _ => Self::T3(T3::new(period, FACTOR)),
        }
    }

    /// How much of the past it depends on.
    pub fn memory(kind: f64, period: f64) -> Memory {
        match count(kind) {
            _ if period <= 1.0 => Memory::Finite(1),
            0 | 2 | 5 => Memory::Finite(bars(period)),
            1 => chained(1, period),
            3 => chained(2, period),
            4 => chained(3, period),
            6 => kaufman(period),
            _ => chained(6, period),
        }
    }

    /// Values before the first mean.
    pub fn warmup(kind: f64, period: f64) -> u64 {
        let one = bars(period) - 1;
        match count(kind) {
            _ if one == 0 => 0,
            3 => 2 * one,
            4 => 3 * one,
            6 => one + 1,
            8 => 6 * one,
            _ => one,
        }
    }

    /// Whether it holds its state over a NaN, as recursions do.
    pub fn holds(kind: f64, period: f64) -> bool {
        !matches!(Self::memory(kind, period), Memory::Finite(_))
    }

    /// Takes one value.
    #[inline]
    pub fn update(&mut self, at: i64, x: f64) -> f64 {
        let [mean] = match self {
            Self::Sma(mean) => mean.step(at, [x]),
            Self::Ema(mean) => mean.step(at, [x]),
            Self::Wma(mean) => mean.step(at, [x]),
            Self::Dema(mean) => mean.step(at, [x]),
            Self::Tema(mean) => mean.step(at, [x]),
            Self::Trima(mean) => mean.step(at, [x]),
            Self::Kama(_) if x.is_nan() => [x],
            Self::Kama(mean) => mean.step(at, [x]),
            Self::T3(mean) => mean.step(at, [x]),
        };
        mean
    }

    /// As [`Kernel::visit`].
    pub fn visit(&mut self, state: &mut dyn Visit) {
        match self {
            Self::Sma(mean) => mean.visit(state),
            Self::Ema(mean) => mean.visit(state),
            Self::Wma(mean) => mean.visit(state),
            Self::Dema(mean) => mean.visit(state),
            Self::Tema(mean) => mean.visit(state),
            Self::Trima(mean) => mean.visit(state),
            Self::Kama(mean) => mean.visit(state),
            Self::T3(mean) => mean.visit(state),
        }
    }
}

impl Kernel<1, 1> for Average {
    #[inline]
    fn step(&mut self, at: i64, [x]: [f64; 1]) -> [f64; 1] {
        [self.update(at, x)]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        Self::visit(self, state);
    }
}

/// Parameter for the kind of an [`Average`].
pub const fn matype(name: &'static str, default: f64) -> Parameter {
    Parameter { name, kind: Kind::Whole(0, 8), default: Some(default) }
}

/// The one kind of TA-Lib's that is no [`Average`] over a period.
pub fn no_mama(kind: f64) -> Option<&'static str> {
    (kind == 7.0).then_some("kind 7, MAMA, has no period: use mama")
}

/// Memory of `times` exponential means of each other.
pub fn chained(times: u64, period: f64) -> Memory {
    Memory::Fading(times * (bars(period) + ema_fade(period)))
}

/// Where nothing moves in one direction Kaufman's mean is at its slowest.
fn kaufman(period: f64) -> Memory {
    Memory::Fading(bars(period) + 1 + fade(1.0 - KAUFMAN[1] * KAUFMAN[1]))
}

/// Middle between the largest and the smallest value of a window.
#[derive(Clone, Debug)]
pub struct Middle {
    high: Window<Largest>,
    low: Window<Smallest>,
}

impl Middle {
    /// Over `period` bars.
    pub fn new(period: usize) -> Self {
        Self { high: Window::new(period), low: Window::new(period) }
    }
}

impl Kernel<2, 1> for Middle {
    #[inline]
    fn step(&mut self, at: i64, bar: [f64; 2]) -> [f64; 1] {
        let [high, low] = whole(bar);
        [match (self.high.push(at, high), self.low.push(at, low)) {
            (Some(high), Some(low)) => f64::midpoint(high.0, low.0),
            _ => f64::NAN,
        }]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.high.visit(state);
        self.low.visit(state);
    }
}

/// [`Middle`] of one series.
#[derive(Clone, Debug)]
pub struct Midpoint(Middle);

impl Kernel<1, 1> for Midpoint {
    #[inline]
    fn step(&mut self, at: i64, [x]: [f64; 1]) -> [f64; 1] {
        self.0.step(at, [x, x])
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }
}

/// Headley's acceleration bands.
#[derive(Clone, Debug)]
pub struct AccelerationBands([Windowed<Mean>; 3]);

impl Kernel<3, 3> for AccelerationBands {
    fn step(&mut self, at: i64, bar: [f64; 3]) -> [f64; 3] {
        let [high, low, close] = whole(bar);
        let reach = if high + low == 0.0 { 0.0 } else { 4.0 * (high - low) / (high + low) };
        let values = [high * (1.0 + reach), close, low * (1.0 - reach)];
        std::array::from_fn(|k| self.0[k].step(at, [defined(values[k])])[0])
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        for mean in &mut self.0 {
            mean.visit(state);
        }
    }
}

const X: &[Input] = &[Input::Series("close")];
const HIGH_LOW: &[Input] = &[Input::Column("high"), Input::Column("low")];
const HIGH_LOW_CLOSE: &[Input] =
    &[Input::Column("high"), Input::Column("low"), Input::Column("close")];

const fn period(default: f64) -> Parameter {
    Parameter::window("period", 1, Some(default))
}

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "dema",
        known_as: &["double_exponential_moving_average"],
        family: "average",
        inputs: X,
        parameters: &[period(30.0)],
        outputs: &[],
        memory: |p| chained(2, p[0]),
        warmup: |p| 2 * full(p),
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Dema(Chain::new(p[0]))),
        summary: "Double exponential moving average",
        formula: "2 * e1 - e2, e1 = ema(x, period), e2 = ema(e1, period); in the unit of x.",
        source: "P. Mulloy, 1994; as DEMA of TA-Lib.",
    },
    Function {
        name: "tema",
        known_as: &["triple_exponential_moving_average"],
        family: "average",
        inputs: X,
        parameters: &[period(30.0)],
        outputs: &[],
        memory: |p| chained(3, p[0]),
        warmup: |p| 3 * full(p),
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Tema(Chain::new(p[0]))),
        summary: "Triple exponential moving average",
        formula: "3 * e1 - 3 * e2 + e3, e1 = ema(x, period), e2 = ema(e1, period), e3 = ema(e2, period); in the unit \
                  of x.",
        source: "P. Mulloy, 1994; as TEMA of TA-Lib.",
    },
    Function {
        name: "t3",
        known_as: &["tillson"],
        family: "average",
        inputs: X,
        parameters: &[
            period(5.0),
            Parameter { name: "vfactor", kind: Kind::Within(0.0, 1.0), default: Some(FACTOR) },
        ],
        outputs: &[],
        memory: |p| chained(6, p[0]),
        warmup: |p| 6 * full(p),
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(T3::new(p[0], p[1])),
        summary: "Tillson's T3 moving average",
        formula: "Thrice (1 + v) * ema - v * ema(ema), each of the one before, v = vfactor: that is c1 * e6 + c2 * e5 + \
                  c3 * e4 + c4 * e3 of six nested ema(period), c1 = -v^3, c2 = 3 * (v^2 + v^3), c3 = -6 * v^2 - 3 * (v + \
                  v^3), c4 = 1 + 3 * v + v^3 + 3 * v^2; in the unit of x.",
        source: "T. Tillson, 1998; as T3 of TA-Lib.",
    },
    Function {
        name: "trima",
        known_as: &["triangular_moving_average"],
        family: "average",
        inputs: X,
        parameters: &[period(30.0)],
        outputs: &[],
        memory: finite,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Trima::new(count(p[0]))),
        summary: "Triangular moving average",
        formula: "sma(sma(x, n), period + 1 - n), n = period / 2 rounded up; in the unit of x.",
        source: "As TRIMA of TA-Lib.",
    },
    Function {
        name: "kama",
        known_as: &["kaufman", "kaufman_adaptive_moving_average"],
        family: "average",
        inputs: X,
        parameters: &[period(30.0)],
        outputs: &[],
        memory: |p| kaufman(p[0]),
        warmup: |p| bars(p[0]),
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Held(Kama::new(count(p[0])))),
        summary: "Kaufman's adaptive moving average",
        formula: "k += a^2 * (x - k), a = e * (2/3 - 2/31) + 2/31, e = |x[t] - x[t - period]| / sum of the last period \
                  |x[i] - x[i - 1]|, 1 where nothing moved; seeded with x[period - 1]. In the unit of x.",
        source: "P. Kaufman, Smarter Trading, 1995; as KAMA of TA-Lib.",
    },
    Function {
        name: "ma",
        known_as: &[],
        family: "average",
        inputs: X,
        parameters: &[period(30.0), matype("matype", 0.0)],
        outputs: &[],
        memory: |p| Average::memory(p[1], p[0]),
        warmup: |p| Average::warmup(p[1], p[0]),
        delays: |_| [0, 0],
        check: |p| no_mama(p[1]),
        build: |p| node(Average::new(p[1], p[0])),
        summary: "Moving average of a kind given by number",
        formula: "matype 0 sma, 1 ema, 2 wma, 3 dema, 4 tema, 5 trima, 6 kama, 8 t3(period, 0.7); in the unit of x. The \
                  same numbers serve wherever a matype is asked for.",
        source: "As MA of TA-Lib; 7, which is mama there, has no period and is refused.",
    },
    Function {
        name: "midpoint",
        known_as: &["mid_point"],
        family: "average",
        inputs: X,
        parameters: &[period(14.0)],
        outputs: &[],
        memory: finite,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Midpoint(Middle::new(count(p[0])))),
        summary: "Middle between the largest and the smallest value of the last bars",
        formula: "(max(x, period) + min(x, period)) / 2, in the unit of x.",
        source: "As MIDPOINT of TA-Lib.",
    },
    Function {
        name: "midprice",
        known_as: &["mid_price"],
        family: "average",
        inputs: HIGH_LOW,
        parameters: &[period(14.0)],
        outputs: &[],
        memory: finite,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Middle::new(count(p[0]))),
        summary: "Middle between the highest high and the lowest low of the last bars",
        formula: "(max(high, period) + min(low, period)) / 2, in the unit of the price.",
        source: "As MIDPRICE of TA-Lib.",
    },
    Function {
        name: "accbands",
        known_as: &["acceleration_bands"],
        family: "volatility",
        inputs: HIGH_LOW_CLOSE,
        parameters: &[period(20.0)],
        outputs: &["upper", "middle", "lower"],
        memory: finite,
        warmup: full,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(AccelerationBands(std::array::from_fn(|_| Windowed::new(count(p[0]))))),
        summary: "Acceleration bands",
        formula: "Plain means over period bars of high * (1 + r), of the close, and of low * (1 - r), r = 4 * (high - \
                  low) / (high + low); in the unit of the price.",
        source: "P. Headley; as ACCBANDS of TA-Lib.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::contract::{all, single};

    #[test]
    fn averages_of_averages_by_hand() {
        let x = [1.0, 2.0, 6.0, 3.0, 9.0];
        // alpha 2/3: e1 from bar 1: 1.5, 4.5, 3.5, 43/6; e2 from bar 2: 3, 10/3, 53/9.
        let got = single("dema", &[2.0], &[&x]);
        assert!(got[1].is_nan());
        for (got, want) in got[2..].iter().zip([6.0, 11.0 / 3.0, 43.0 / 3.0 - 53.0 / 9.0]) {
            assert!((got - want).abs() < 1e-14, "{got} {want}");
        }
        // Over four values the weights are 1, 2, 2, 1; over three 1, 2, 1.
        assert_eq!(single("trima", &[4.0], &[&x])[3..], [20.0 / 6.0, 29.0 / 6.0]);
        assert_eq!(single("trima", &[3.0], &[&x])[2..], [11.0 / 4.0, 17.0 / 4.0, 21.0 / 4.0]);
        assert_eq!(single("midpoint", &[3.0], &[&x])[2..], [3.5, 4.0, 6.0]);
        assert_eq!(single("midprice", &[2.0], &[&x, &[0.0, 1.0, 1.0, 1.0, 1.0]])[1..3], [1.0, 3.5]);
        // r is 4 * 2 / 4 = 2: high 3 becomes 9, low 1 becomes -1.
        let got = all("accbands", &[1.0], &[&[3.0], &[1.0], &[2.0]]);
        assert_eq!([got[0][0], got[1][0], got[2][0]], [9.0, 2.0, -1.0]);
    }

    #[test]
    fn kaufman_follows_what_is_efficient_and_waits_for_what_is_not() {
        let got = single("kama", &[2.0], &[&[1.0, 2.0, 3.0, 2.0]]);
        let fast = 4.0 / 9.0;
        assert!(got[1].is_nan());
        assert!((got[2] - (2.0 + fast)).abs() < 1e-15);
        // There and back: efficiency 0, the slow smoothing.
        let slow = 4.0 / 961.0;
        assert!((got[3] - (got[2] + slow * (2.0 - got[2]))).abs() < 1e-15);
    }

    #[test]
    fn kinds_of_averages_are_those_of_their_names() {
        let x: Vec<f64> = (0..80).map(|i| 100.0 + f64::from(i * i % 17)).collect();
        for (kind, name) in
            ["sma", "ema", "wma", "dema", "tema", "trima", "kama"].into_iter().enumerate()
        {
            let bits = |v: Vec<f64>| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            let named = single(name, &[9.0], &[&x]);
            assert_eq!(bits(single("ma", &[9.0, kind as f64], &[&x])), bits(named), "{name}");
        }
        assert_eq!(single("ma", &[9.0, 8.0], &[&x])[79], single("t3", &[9.0, FACTOR], &[&x])[79]);
        assert!(no_mama(7.0).is_some());
    }
}
