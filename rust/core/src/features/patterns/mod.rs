//! Candlestick patterns: a few bars by their shapes and places, as TA-Lib reads them.
//!
//! Whether a body is long or a shadow short is asked of the bars before it: each *size* is a multiple of the mean body,
//! range or shadow of the five or ten bars before the one that is judged. A mean is summed when a rule asks for it, from
//! the oldest bar on, over bars that are kept: nothing runs along, so nothing drifts and a full memory has the same bits
//! from any start. Rules ask for the cheap things first, and most bars answer no before the first mean.

mod one_two;
mod registry;
mod several;

use super::node::{Kernel, Visit};

pub use registry::FUNCTIONS;

/// Bars that are kept: the oldest that a rule judges is four bars back, and its means reach ten further.
const KEPT: usize = 16;

/// What a size is measured by.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Measure {
    Body,
    Range,
    /// Both shadows; a mean is of one of the two.
    Shadows,
}

/// A size in terms of the bars before; with no bars, of the bar itself.
#[derive(Clone, Copy, Debug)]
struct Size {
    measure: Measure,
    bars: usize,
    factor: f64,
}

const fn size(measure: Measure, bars: usize, factor: f64) -> Size {
    Size { measure, bars, factor }
}

const BODY_LONG: Size = size(Measure::Body, 10, 1.0);
const BODY_SHORT: Size = size(Measure::Body, 10, 1.0);
const BODY_DOJI: Size = size(Measure::Range, 10, 0.1);
const SHADOW_LONG: Size = size(Measure::Body, 0, 1.0);
const SHADOW_VERY_LONG: Size = size(Measure::Body, 0, 2.0);
const SHADOW_SHORT: Size = size(Measure::Shadows, 10, 1.0);
const SHADOW_VERY_SHORT: Size = size(Measure::Range, 10, 0.1);
const NEAR: Size = size(Measure::Range, 5, 0.2);
const FAR: Size = size(Measure::Range, 5, 0.6);
const EQUAL: Size = size(Measure::Range, 5, 0.05);

/// One bar.
#[derive(Clone, Copy, Debug, Default)]
struct Candle {
    open: f64,
    high: f64,
    low: f64,
    close: f64,
}

impl Candle {
    fn body(self) -> f64 {
        (self.close - self.open).abs()
    }

    fn range(self) -> f64 {
        self.high - self.low
    }

    fn white(self) -> bool {
        self.close >= self.open
    }

    fn black(self) -> bool {
        !self.white()
    }

    /// 1 white, -1 black.
    fn sign(self) -> f64 {
        if self.white() { 1.0 } else { -1.0 }
    }

    /// Upper end of the body.
    fn top(self) -> f64 {
        if self.white() { self.close } else { self.open }
    }

    /// Lower end of the body.
    fn bottom(self) -> f64 {
        if self.white() { self.open } else { self.close }
    }

    fn upper(self) -> f64 {
        self.high - self.top()
    }

    fn lower(self) -> f64 {
        self.bottom() - self.low
    }

    fn measured(self, measure: Measure) -> f64 {
        match measure {
            Measure::Body => self.body(),
            Measure::Range => self.range(),
            Measure::Shadows => self.upper() + self.lower(),
        }
    }

    /// Its whole body above that of `other`.
    fn body_above(self, other: Self) -> bool {
        self.bottom() > other.top()
    }

    /// Its whole body below that of `other`.
    fn body_below(self, other: Self) -> bool {
        self.top() < other.bottom()
    }

    /// All of it above all of `other`.
    fn above(self, other: Self) -> bool {
        self.low > other.high
    }

    /// All of it below all of `other`.
    fn below(self, other: Self) -> bool {
        self.high < other.low
    }

    /// Opens inside the body of `other`, its ends left out.
    fn opens_in(self, other: Self) -> bool {
        self.open < other.top() && self.open > other.bottom()
    }
}

/// The last bars.
#[derive(Clone, Debug)]
struct Figure {
    /// Open, high, low, close of each.
    bars: [[f64; 4]; KEPT],
    next: usize,
    /// Bars since the last NaN, at most [`KEPT`].
    clean: usize,
}

impl Figure {
    fn new() -> Self {
        Self { bars: [[f64::NAN; 4]; KEPT], next: 0, clean: 0 }
    }

    #[inline]
    fn push(&mut self, bar: [f64; 4]) {
        self.clean = if bar.iter().any(|x| x.is_nan()) { 0 } else { KEPT.min(self.clean + 1) };
        self.bars[self.next] = bar;
        self.next = (self.next + 1) % KEPT;
    }

    /// The bar so many bars ago; 0 is the newest.
    #[inline]
    fn back(&self, ago: usize) -> Candle {
        let [open, high, low, close] = self.bars[(self.next + KEPT - 1 - ago) % KEPT];
        Candle { open, high, low, close }
    }

    /// What counts as `size` for the bar so many bars ago.
    fn size(&self, size: Size, ago: usize) -> f64 {
        let measured = if size.bars == 0 {
            self.back(ago).measured(size.measure)
        } else {
            let mut sum = 0.0;
            for bars in (1..=size.bars).rev() {
                sum += self.back(ago + bars).measured(size.measure);
            }
            sum / size.bars as f64
        };
        let share = if size.measure == Measure::Shadows { 2.0 } else { 1.0 };
        size.factor * measured / share
    }

    fn long(&self, ago: usize) -> bool {
        self.back(ago).body() > self.size(BODY_LONG, ago)
    }

    fn short(&self, ago: usize) -> bool {
        self.back(ago).body() < self.size(BODY_SHORT, ago)
    }

    /// Short, or just not long.
    fn not_long(&self, ago: usize) -> bool {
        self.back(ago).body() <= self.size(BODY_SHORT, ago)
    }

    fn doji(&self, ago: usize) -> bool {
        self.back(ago).body() <= self.size(BODY_DOJI, ago)
    }

    /// Hardly an upper shadow.
    fn no_upper(&self, ago: usize) -> bool {
        self.back(ago).upper() < self.size(SHADOW_VERY_SHORT, ago)
    }

    /// Hardly a lower shadow.
    fn no_lower(&self, ago: usize) -> bool {
        self.back(ago).lower() < self.size(SHADOW_VERY_SHORT, ago)
    }

    /// Whether `x` is as good as `level` by what is equal for the bar so many bars ago.
    fn equal(&self, x: f64, level: f64, ago: usize) -> bool {
        let reach = self.size(EQUAL, ago);
        x <= level + reach && x >= level - reach
    }
}

/// What a pattern is: how far it reaches back and what it says of the last bars.
trait Rule: Clone + Send + Sync + 'static {
    /// Bars before the newest that it needs, those of its means included.
    const BACK: u64;
    /// Value in percent of certainty, signed by direction; 0 where the pattern is not there.
    fn read(figure: &Figure, penetration: f64) -> f64;
}

/// Kernel of a [`Rule`].
#[derive(Clone, Debug)]
struct Pattern<R> {
    figure: Figure,
    penetration: f64,
    rule: std::marker::PhantomData<R>,
}

impl<R: Rule> Pattern<R> {
    fn new(parameters: &[f64]) -> Self {
        let penetration = parameters.first().copied().unwrap_or(0.0);
        Self { figure: Figure::new(), penetration, rule: std::marker::PhantomData }
    }
}

impl<R: Rule> Kernel<4, 1> for Pattern<R> {
    #[inline]
    fn step(&mut self, _at: i64, bar: [f64; 4]) -> [f64; 1] {
        self.figure.push(bar);
        [if self.figure.clean as u64 > R::BACK {
            // No pattern is +0, whatever sign it was given.
            R::read(&self.figure, self.penetration) + 0.0
        } else {
            f64::NAN
        }]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        let figure = &mut self.figure;
        figure.bars.rotate_left(figure.next);
        figure.next = 0;
        for bar in &mut figure.bars {
            state.floats(bar);
        }
        let whole = |bar: &&[f64; 4]| !bar.iter().any(|x| x.is_nan());
        figure.clean = figure.bars.iter().rev().take_while(whole).count();
    }
}

/// 100 where something holds.
fn certain(holds: bool) -> f64 {
    if holds { 100.0 } else { 0.0 }
}
