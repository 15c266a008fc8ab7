//! Wilder's parabolic stop and reverse.
//!
//! A stop follows the price, faster with every new extreme; where a bar touches it, the side is reversed and the stop
//! begins anew at the old extreme. Which side a bar is on depends on all that went before, so the memory is cumulative,
//! though two starts mostly meet at some reversal.

use super::node::{Kernel, Memory, Visit, node};
use super::registry::{Function, Input, Kind, Parameter, consistent};
use super::undefined::Held;
use crate::numeric;

/// How fast a stop follows on one side: at first, per new extreme, at most.
#[derive(Clone, Copy, Debug)]
struct Speed {
    first: f64,
    step: f64,
    most: f64,
}

impl Speed {
    /// Neither the first speed nor a step is above the most.
    fn new(first: f64, step: f64, most: f64) -> Self {
        Self { first: numeric::min(first, most), step: numeric::min(step, most), most }
    }
}

/// The stop, its side and what it follows.
#[derive(Clone, Debug)]
pub struct Parabolic {
    long: Speed,
    short: Speed,
    /// Where to start: above 0 long, below 0 short, at 0 as the first two bars say.
    start: f64,
    /// Share that is added at a reversal.
    offset: f64,
    /// Whether a stop above the price is given below 0.
    signed: bool,
    /// 0 before the first bar, 1 before the second.
    seen: f64,
    /// 1 long, -1 short.
    side: f64,
    stop: f64,
    extreme: f64,
    speed: f64,
    /// High and low of the bar before.
    before: [f64; 2],
}

impl Parabolic {
    fn new(long: Speed, short: Speed, start: f64, offset: f64, signed: bool) -> Self {
        Self {
            long,
            short,
            start,
            offset,
            signed,
            seen: 0.0,
            side: 0.0,
            stop: 0.0,
            extreme: 0.0,
            speed: 0.0,
            before: [0.0; 2],
        }
    }

    fn begin(&mut self, high: f64, low: f64) {
        let [first_high, first_low] = self.before;
        let (rise, fall) = (high - first_high, first_low - low);
        let short = if self.start == 0.0 { fall > 0.0 && fall > rise } else { self.start < 0.0 };
        let stop = if short { first_high } else { first_low };
        self.stop = if self.start == 0.0 { stop } else { self.start.abs() };
        (self.side, self.extreme) = if short { (-1.0, low) } else { (1.0, high) };
        self.speed = if short { self.short.first } else { self.long.first };
        // The stop may be inside the range of the second bar, not of the first.
        self.before = [high, low];
    }

    /// The stop outside of the last two bars.
    fn outside(&self, stop: f64, high: f64, low: f64) -> f64 {
        let [high_before, low_before] = self.before;
        if self.side > 0.0 {
            numeric::min(stop, numeric::min(low_before, low))
        } else {
            numeric::max(stop, numeric::max(high_before, high))
        }
    }
}

impl Kernel<2, 1> for Parabolic {
    fn step(&mut self, _at: i64, [high, low]: [f64; 2]) -> [f64; 1] {
        if self.seen == 0.0 {
            self.seen = 1.0;
            self.before = [high, low];
            return [f64::NAN];
        }
        if self.seen == 1.0 {
            self.seen = 2.0;
            self.begin(high, low);
        }
        let touched = if self.side > 0.0 { low <= self.stop } else { high >= self.stop };
        if touched {
            self.side = -self.side;
            self.stop = self.outside(self.extreme, high, low);
            self.stop -= self.side * self.stop * self.offset;
            (self.extreme, self.speed) =
                if self.side > 0.0 { (high, self.long.first) } else { (low, self.short.first) };
        }
        let told = if self.signed && self.side < 0.0 { -self.stop } else { self.stop };
        if !touched {
            let (new, speed) = if self.side > 0.0 {
                (high > self.extreme, self.long)
            } else {
                (low < self.extreme, self.short)
            };
            if new {
                self.extreme = if self.side > 0.0 { high } else { low };
                self.speed = numeric::min(self.speed + speed.step, speed.most);
            }
        }
        let next = self.stop + self.speed * (self.extreme - self.stop);
        self.stop = self.outside(next, high, low);
        self.before = [high, low];
        [told]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.float(&mut self.seen);
        state.float(&mut self.side);
        state.float(&mut self.stop);
        state.float(&mut self.extreme);
        state.float(&mut self.speed);
        state.floats(&mut self.before);
    }
}

/// The largest factor; more than once the way to the extreme makes no sense.
const MOST: f64 = 1e3;

const fn factor(name: &'static str, default: f64) -> Parameter {
    Parameter { name, kind: Kind::Within(0.0, MOST), default: Some(default) }
}

const HIGH_LOW: &[Input] = &[Input::Column("high"), Input::Column("low")];

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "sar",
        known_as: &["parabolic_sar", "psar", "parabolic"],
        family: "trend",
        inputs: HIGH_LOW,
        parameters: &[factor("acceleration", 0.02), factor("maximum", 0.2)],
        outputs: &[],
        memory: |_| Memory::Cumulative,
        warmup: |_| 1,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| {
            let speed = Speed::new(p[0], p[0], p[1]);
            node(Held(Parabolic::new(speed, speed, 0.0, 0.0, false)))
        },
        summary: "Wilder's parabolic stop and reverse",
        formula: "stop += a * (extreme - stop), kept outside of the last two bars; a begins with acceleration and grows by \
                  it with each new extreme up to maximum. A bar that touches the stop reverses the side, and the stop is \
                  the old extreme. Begins on the side of the larger directional movement between the first two bars, long \
                  if they are equal; in the unit of the price. Two starts mostly meet at a reversal, but need not.",
        source: "J. W. Wilder, New Concepts in Technical Trading Systems, 1978; as SAR of TA-Lib.",
    },
    Function {
        name: "sarext",
        known_as: &[],
        family: "trend",
        inputs: HIGH_LOW,
        parameters: &[
            Parameter { name: "start", kind: Kind::Real, default: Some(0.0) },
            factor("offset", 0.0),
            factor("init_long", 0.02),
            factor("long", 0.02),
            factor("max_long", 0.2),
            factor("init_short", 0.02),
            factor("short", 0.02),
            factor("max_short", 0.2),
        ],
        outputs: &[],
        memory: |_| Memory::Cumulative,
        warmup: |_| 1,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| {
            let (long, short) = (Speed::new(p[2], p[3], p[4]), Speed::new(p[5], p[6], p[7]));
            node(Held(Parabolic::new(long, short, p[0], p[1], true)))
        },
        summary: "Parabolic stop and reverse, each side with its own speed",
        formula: "As sar, with first speed, step and most for each side, the share offset added at a reversal, and a first \
                  stop: start > 0 begins long there, < 0 short at its size, 0 as sar does. Below 0 where the stop is above \
                  the price; in the unit of the price.",
        source: "As SAREXT of TA-Lib: its startvalue, offsetonreverse, accelerationinitlong, accelerationlong, \
                 accelerationmaxlong, and the same for short.",
    },
];

#[cfg(test)]
mod tests {
    use crate::features::contract::single;

    #[test]
    fn stop_follows_and_reverses_by_hand() {
        let high = [10.0, 11.0, 13.0, 12.0, 9.0];
        let low = [9.0, 10.0, 12.0, 11.0, 8.0];
        let got = single("sar", &[0.5, 0.5], &[&high, &low]);
        // Long from 9: half the way to 11 is 10; half to 13 is 11.5, but no higher than the low of 10; then than that
        // of 11, which the last low touches: short from the extreme of 13.
        assert!(got[0].is_nan());
        assert_eq!(got[1..], [9.0, 10.0, 10.0, 13.0]);
        let got = single("sarext", &[-20.0, 0.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5], &[&high, &low]);
        assert_eq!(got[1..3], [-20.0, -15.0]);
    }
}
