//! Ehlers's cycles: the length and phase of the dominant cycle of a price, by a Hilbert transform.
//!
//! The price is smoothed over four bars and turned by a quarter of a cycle; how fast the turned and the plain part
//! rotate gives the period, which in turn sets the gain of the transform. All of it is recursive, with states that keep
//! 0.8 or less of themselves a bar, so it fades; but it is not linear, so how long that takes was measured (see
//! [`FADES`]).

use std::sync::LazyLock;

use super::average::fade;
use super::hilbert::{Hilbert, KEPT, degrees, enter, radians};
use super::node::{Kernel, Memory, Visit, node};
use super::operators::relative;
use super::registry::{Function, Input, Kind, Parameter, consistent};
use super::undefined::Held;
use crate::numeric;

/// Bars until the recursions agree to 1e-9 from any start: the longest seen was 387, over three starts on each of 80
/// random and 3 real markets.
const FADES: u64 = 600;

/// Counts bars; whether there have been more than `before`.
#[inline]
fn past(seen: &mut f64, before: f64) -> bool {
    if *seen <= before {
        *seen += 1.0;
    }
    *seen > before
}

/// Bars before the first value of those that need the period alone, and of those that need the phase.
const EARLY: f64 = 32.0;
const LATE: f64 = 63.0;
/// Bars that fill the smoothing, in each case.
const SKIP_EARLY: f64 = 12.0;
const SKIP_LATE: f64 = 37.0;

/// Period of the dominant cycle.
#[derive(Clone, Debug)]
pub struct CyclePeriod(Hilbert, f64);

impl Kernel<1, 1> for CyclePeriod {
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        self.0.update(x);
        [if past(&mut self.1, EARLY) { self.0.smooth_period } else { f64::NAN }]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
        state.float(&mut self.1);
    }
}

/// In phase and in quadrature.
#[derive(Clone, Debug)]
pub struct Phasor(Hilbert, f64);

impl Kernel<1, 2> for Phasor {
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 2] {
        self.0.update(x);
        if past(&mut self.1, EARLY) {
            [self.0.in_phase(), self.0.quadrature[0]]
        } else {
            [f64::NAN; 2]
        }
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
        state.float(&mut self.1);
    }
}

/// Mean that adapts to how fast the phase turns, and one that follows it.
#[derive(Clone, Debug)]
pub struct Mama {
    hilbert: Hilbert,
    seen: f64,
    limits: [f64; 2],
    phase: f64,
    /// NaN before the first.
    means: [f64; 2],
}

impl Kernel<1, 2> for Mama {
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 2] {
        if self.hilbert.update(x) {
            let (i, q) = (self.hilbert.in_phase(), self.hilbert.quadrature[0]);
            let phase = if i == 0.0 { 0.0 } else { degrees(numeric::atan(q / i)) };
            let turn = std::mem::replace(&mut self.phase, phase) - phase;
            let [fast, slow] = self.limits;
            let alpha = if turn > 1.0 { numeric::max(fast / turn, slow) } else { fast };
            let [mama, fama] = &mut self.means;
            if mama.is_nan() {
                (*mama, *fama) = (x, x);
            } else {
                *mama += alpha * (x - *mama);
                *fama += 0.5 * alpha * (*mama - *fama);
            }
        }
        if past(&mut self.seen, EARLY) { self.means } else { [f64::NAN; 2] }
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.hilbert.visit(state);
        state.float(&mut self.seen);
        state.float(&mut self.phase);
        state.floats(&mut self.means);
    }
}

/// Sine and cosine of each step of each period up to [`KEPT`], those of a period of `n` from `n * (n - 1) / 2` on.
static WAVES: LazyLock<Vec<[f64; 2]>> = LazyLock::new(|| {
    let wave = |n: usize| {
        (0..n).map(move |i| {
            let angle = i as f64 * std::f64::consts::TAU / n as f64;
            [numeric::sin(angle), numeric::cos(angle)]
        })
    };
    (0..=KEPT).flat_map(wave).collect()
});

/// The last values, newest first.
#[derive(Clone, Debug)]
struct Recent {
    ring: [f64; KEPT],
    next: usize,
}

impl Recent {
    const fn new() -> Self {
        Self { ring: [0.0; KEPT], next: 0 }
    }

    fn push(&mut self, x: f64) {
        self.ring[self.next] = x;
        self.next = (self.next + 1) % KEPT;
    }

    fn newest(&self) -> impl Iterator<Item = f64> {
        let (new, old) = self.ring.split_at(self.next);
        new.iter().rev().chain(old.iter().rev()).copied()
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.ring.rotate_left(self.next);
        self.next = 0;
        state.floats(&mut self.ring);
    }
}

/// Phase of the dominant cycle, degrees.
#[derive(Clone, Debug)]
struct Cycle {
    hilbert: Hilbert,
    seen: f64,
    smooth: Recent,
    phase: f64,
}

impl Cycle {
    fn new() -> Self {
        Self { hilbert: Hilbert::new(SKIP_LATE), seen: 0.0, smooth: Recent::new(), phase: 0.0 }
    }

    /// Takes a price; whether the phase moved on.
    fn update(&mut self, x: f64) -> bool {
        if !self.hilbert.update(x) {
            return false;
        }
        self.smooth.push(self.hilbert.smooth[0]);
        let n = self.hilbert.whole();
        let (mut sine, mut cosine) = (0.0, 0.0);
        let first = n * n.saturating_sub(1) / 2;
        for ([s, c], x) in WAVES[first..first + n].iter().zip(self.smooth.newest()) {
            sine += s * x;
            cosine += c * x;
        }
        if cosine != 0.0 {
            self.phase = degrees(numeric::atan(sine / cosine));
        } else if sine != 0.0 {
            self.phase += 90.0_f64.copysign(sine);
        }
        // A quarter on, and what the smoothing lags behind.
        self.phase += 90.0;
        self.phase += 360.0 / self.hilbert.smooth_period;
        if cosine < 0.0 {
            self.phase += 180.0;
        }
        if self.phase > 315.0 {
            self.phase -= 360.0;
        }
        true
    }

    fn due(&mut self) -> bool {
        past(&mut self.seen, LATE)
    }

    /// Sine of the phase, and of the phase an eighth on.
    fn sines(&self) -> [f64; 2] {
        [numeric::sin(radians(self.phase)), numeric::sin(radians(self.phase + 45.0))]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.hilbert.visit(state);
        state.float(&mut self.seen);
        self.smooth.visit(state);
        state.float(&mut self.phase);
    }
}

/// Phase of the dominant cycle.
#[derive(Clone, Debug)]
pub struct CyclePhase(Cycle);

impl Kernel<1, 1> for CyclePhase {
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        self.0.update(x);
        [if self.0.due() { self.0.phase } else { f64::NAN }]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }
}

/// Sine of the phase of the dominant cycle, and of the phase an eighth of a cycle on.
#[derive(Clone, Debug)]
pub struct CycleSine(Cycle);

impl Kernel<1, 2> for CycleSine {
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 2] {
        self.0.update(x);
        if self.0.due() { self.0.sines() } else { [f64::NAN; 2] }
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }
}

/// The price without its dominant cycle: means over one period, weighted over four bars.
#[derive(Clone, Debug)]
struct Trendline {
    prices: Recent,
    /// Newest first.
    means: [f64; 3],
}

impl Trendline {
    const fn new() -> Self {
        Self { prices: Recent::new(), means: [0.0; 3] }
    }

    fn update(&mut self, period: usize) -> f64 {
        let mut mean = 0.0;
        for x in self.prices.newest().take(period) {
            mean += x;
        }
        if period > 0 {
            mean /= period as f64;
        }
        let [a, b, c] = self.means;
        enter(&mut self.means, mean);
        (4.0 * mean + 3.0 * a + 2.0 * b + c) / 10.0
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.prices.visit(state);
        state.floats(&mut self.means);
    }
}

/// The price without its dominant cycle.
#[derive(Clone, Debug)]
pub struct TrendMean {
    hilbert: Hilbert,
    seen: f64,
    line: Trendline,
}

impl Kernel<1, 1> for TrendMean {
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        self.line.prices.push(x);
        let mut line = f64::NAN;
        if self.hilbert.update(x) {
            line = self.line.update(self.hilbert.whole());
        }
        [if past(&mut self.seen, LATE) { line } else { f64::NAN }]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.hilbert.visit(state);
        state.float(&mut self.seen);
        self.line.visit(state);
    }
}

/// Whether a price trends or cycles.
#[derive(Clone, Debug)]
pub struct TrendMode {
    cycle: Cycle,
    line: Trendline,
    sines: [f64; 2],
    /// Bars since the sines crossed, as far as any period reaches.
    since: f64,
}

/// Share of the trendline that a price in a trend may be away from it.
const AWAY: f64 = 0.015;

impl Kernel<1, 1> for TrendMode {
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        self.line.prices.push(x);
        let before = self.cycle.phase;
        let mut trend = true;
        if self.cycle.update(x) {
            let now = self.cycle.sines();
            let [sine, lead] = std::mem::replace(&mut self.sines, now);
            let line = self.line.update(self.cycle.hilbert.whole());
            let period = self.cycle.hilbert.smooth_period;
            if (now[0] > now[1] && sine <= lead) || (now[0] < now[1] && sine >= lead) {
                self.since = 0.0;
                trend = false;
            }
            self.since = numeric::min(self.since + 1.0, KEPT as f64);
            let step = 360.0 / period;
            let turn = self.cycle.phase - before;
            if self.since < 0.5 * period || (turn > 0.67 * step && turn < 1.5 * step) {
                trend = false;
            }
            if relative(self.cycle.hilbert.smooth[0], line).abs() >= AWAY {
                trend = true;
            }
        }
        [if self.cycle.due() { f64::from(u8::from(trend)) } else { f64::NAN }]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.cycle.visit(state);
        self.line.visit(state);
        state.floats(&mut self.sines);
        state.float(&mut self.since);
    }
}

const X: &[Input] = &[Input::Series("close")];

fn fades(_: &[f64]) -> Memory {
    Memory::Fading(FADES)
}

fn early(_: &[f64]) -> u64 {
    32
}

fn late(_: &[f64]) -> u64 {
    63
}

const fn limit(name: &'static str, default: f64) -> Parameter {
    Parameter { name, kind: Kind::Within(0.01, 0.99), default: Some(default) }
}

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "ht_dcperiod",
        known_as: &["dominant_cycle_period"],
        family: "cycles",
        inputs: X,
        parameters: &[],
        outputs: &[],
        memory: fades,
        warmup: early,
        delays: |_| [0, 0],
        check: consistent,
        build: |_| node(Held(CyclePeriod(Hilbert::new(SKIP_EARLY), 0.0))),
        summary: "Period of the dominant cycle",
        formula: "Ehlers's homodyne discriminator on a Hilbert transform of the price smoothed over 4 bars, smoothed twice; \
                  in bars, at most 50. Not linear: the bars in which it fades are measured.",
        source: "J. Ehlers, Rocket Science for Traders, 2001; as HT_DCPERIOD of TA-Lib.",
    },
    Function {
        name: "ht_dcphase",
        known_as: &["dominant_cycle_phase"],
        family: "cycles",
        inputs: X,
        parameters: &[],
        outputs: &[],
        memory: fades,
        warmup: late,
        delays: |_| [0, 0],
        check: consistent,
        build: |_| node(Held(CyclePhase(Cycle::new()))),
        summary: "Phase of the dominant cycle",
        formula: "Phase of the discrete Fourier component of the smoothed price at the period of ht_dcperiod, in whole bars; \
                  in degrees, in (-45, 315].",
        source: "J. Ehlers, Rocket Science for Traders, 2001; as HT_DCPHASE of TA-Lib.",
    },
    Function {
        name: "ht_phasor",
        known_as: &[],
        family: "cycles",
        inputs: X,
        parameters: &[],
        outputs: &["inphase", "quadrature"],
        memory: fades,
        warmup: early,
        delays: |_| [0, 0],
        check: consistent,
        build: |_| node(Held(Phasor(Hilbert::new(SKIP_EARLY), 0.0))),
        summary: "Phasor of the dominant cycle",
        formula: "The detrended smoothed price three bars ago, and its Hilbert transform; in the unit of x.",
        source: "J. Ehlers, Rocket Science for Traders, 2001; as HT_PHASOR of TA-Lib.",
    },
    Function {
        name: "ht_sine",
        known_as: &["sinewave"],
        family: "cycles",
        inputs: X,
        parameters: &[],
        outputs: &["sine", "leadsine"],
        memory: fades,
        warmup: late,
        delays: |_| [0, 0],
        check: consistent,
        build: |_| node(Held(CycleSine(Cycle::new()))),
        summary: "Sine of the phase of the dominant cycle",
        formula: "sin(p) and sin(p + 45 degrees), p = ht_dcphase; in [-1, 1].",
        source: "J. Ehlers, Rocket Science for Traders, 2001; as HT_SINE of TA-Lib.",
    },
    Function {
        name: "ht_trendmode",
        known_as: &["trend_mode"],
        family: "cycles",
        inputs: X,
        parameters: &[],
        outputs: &[],
        memory: fades,
        warmup: late,
        delays: |_| [0, 0],
        check: consistent,
        build: |_| {
            node(Held(TrendMode {
                cycle: Cycle::new(),
                line: Trendline::new(),
                sines: [0.0; 2],
                since: 0.0,
            }))
        },
        summary: "Whether the price trends (1) or cycles (0)",
        formula: "0 for half a period after the sines of ht_sine cross and while the phase turns by 0.67 to 1.5 times what \
                  the period says, unless the smoothed price is 1.5% or more away from ht_trendline; else 1.",
        source: "J. Ehlers, Rocket Science for Traders, 2001; as HT_TRENDMODE of TA-Lib.",
    },
    Function {
        name: "ht_trendline",
        known_as: &["instantaneous_trendline"],
        family: "cycles",
        inputs: X,
        parameters: &[],
        outputs: &[],
        memory: fades,
        warmup: late,
        delays: |_| [0, 0],
        check: consistent,
        build: |_| {
            let hilbert = Hilbert::new(SKIP_LATE);
            node(Held(TrendMean { hilbert, seen: 0.0, line: Trendline::new() }))
        },
        summary: "Price without its dominant cycle",
        formula: "(4 * m[t] + 3 * m[t - 1] + 2 * m[t - 2] + m[t - 3]) / 10, m the mean of the last bars of one period of \
                  ht_dcperiod, in whole bars; in the unit of x.",
        source: "J. Ehlers, Rocket Science for Traders, 2001; as HT_TRENDLINE of TA-Lib.",
    },
    Function {
        name: "mama",
        known_as: &["mesa_adaptive_moving_average"],
        family: "cycles",
        inputs: X,
        parameters: &[limit("fastlimit", 0.5), limit("slowlimit", 0.05)],
        outputs: &["mama", "fama"],
        memory: |p| Memory::Fading(FADES + 2 * fade(1.0 - 0.5 * numeric::min(p[0], p[1]))),
        warmup: early,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| {
            node(Held(Mama {
                hilbert: Hilbert::new(SKIP_EARLY),
                seen: 0.0,
                limits: [p[0], p[1]],
                phase: 0.0,
                means: [f64::NAN; 2],
            }))
        },
        summary: "MESA adaptive moving average and the one that follows it",
        formula: "mama += a * (x - mama), a = fastlimit / turn, no less than slowlimit, where the phase of ht_phasor turned \
                  back by more than a degree, else fastlimit; fama += a / 2 * (mama - fama). Both begin at x; in the unit \
                  of x.",
        source: "J. Ehlers, MESA Adaptive Moving Averages, 2001; as MAMA of TA-Lib once the seeds have faded: TA-Lib's \
                 means begin at 0.",
    },
];

#[cfg(test)]
mod tests {
    use crate::features::contract::{all, single};
    use crate::numeric;

    #[test]
    fn a_pure_cycle_has_its_period_and_no_trend() {
        for period in [10.0, 20.0, 30.0] {
            let x: Vec<f64> = (0..600)
                .map(|t| 100.0 + numeric::sin(f64::from(t) * std::f64::consts::TAU / period))
                .collect();
            let got = single("ht_dcperiod", &[], &[&x]);
            assert!(got[31].is_nan());
            assert!((got[599] - period).abs() < 0.1 * period, "{} {period}", got[599]);
            let line = single("ht_trendline", &[], &[&x]);
            assert!((line[599] - 100.0).abs() < 0.1);
            assert!(
                single("ht_trendmode", &[], &[&x])[300..].iter().filter(|v| **v == 0.0).count()
                    > 200
            );
        }
    }

    #[test]
    fn adaptive_means_follow() {
        let x: Vec<f64> = (0..500).map(|t| if t < 100 { 50.0 } else { 80.0 }).collect();
        let got = all("mama", &[0.5, 0.05], &[&x]);
        assert_eq!((got[0][99], got[1][99]), (50.0, 50.0));
        assert!((got[0][499] - 80.0).abs() < 1e-6 && got[1][150] < got[0][150]);
    }
}
