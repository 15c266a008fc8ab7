//! Ehlers's Hilbert transform: the length of the dominant cycle of a price.
//!
//! The price is smoothed over four bars and turned by a quarter of a cycle; how fast the turned and the plain part rotate gives
//! the period, which in turn sets the gain of the transform.

use super::node::Visit;
use crate::numeric;

/// Weights of the transform, of the values 0 and 6 bars old and of those 2 and 4 bars old.
const OUTER: f64 = 0.0962;
const INNER: f64 = 0.5769;
/// Shortest and longest period, bars.
const PERIODS: [f64; 2] = [6.0, 50.0];
/// Values kept for sums over a period.
pub(super) const KEPT: usize = 50;

/// The transform of a series whose newest value comes first.
#[inline]
pub(super) fn turned(x: &[f64], gain: f64) -> f64 {
    (OUTER * x[0] - OUTER * x[6] - INNER * x[4] + INNER * x[2]) * gain
}

/// Puts the newest value first and drops the oldest.
#[inline]
pub(super) fn enter<const N: usize>(x: &mut [f64; N], newest: f64) {
    x.copy_within(..N - 1, 1);
    x[0] = newest;
}

/// Degrees, as 45 of them are the arc tangent of one.
pub(super) fn degrees(x: f64) -> f64 {
    x * (45.0 / std::f64::consts::FRAC_PI_4)
}

pub(super) fn radians(x: f64) -> f64 {
    x / (45.0 / std::f64::consts::FRAC_PI_4)
}

/// The transform with the period it finds.
#[derive(Clone, Debug)]
pub(super) struct Hilbert {
    /// Bars that only fill the smoothing.
    pub(super) skip: f64,
    /// Bars so far, up to those that go without a value.
    pub(super) seen: f64,
    /// Newest first, all of these.
    pub(super) price: [f64; 4],
    pub(super) smooth: [f64; 7],
    pub(super) detrended: [f64; 10],
    pub(super) quadrature: [f64; 7],
    /// In phase and in quadrature, smoothed, of the bar before.
    pub(super) turned: [f64; 2],
    /// Real and imaginary part of the rotation.
    pub(super) rotation: [f64; 2],
    pub(super) period: f64,
    pub(super) smooth_period: f64,
}

impl Hilbert {
    pub(super) fn new(skip: f64) -> Self {
        Self {
            skip,
            seen: 0.0,
            price: [0.0; 4],
            smooth: [0.0; 7],
            detrended: [0.0; 10],
            quadrature: [0.0; 7],
            turned: [0.0; 2],
            rotation: [0.0; 2],
            period: 0.0,
            smooth_period: 0.0,
        }
    }

    /// Takes a price; whether there are enough for the transform.
    pub(super) fn update(&mut self, x: f64) -> bool {
        enter(&mut self.price, x);
        if self.seen < self.skip {
            self.seen += 1.0;
            return false;
        }
        let [a, b, c, d] = self.price;
        enter(&mut self.smooth, (4.0 * a + 3.0 * b + 2.0 * c + d) * 0.1);
        let gain = 0.075 * self.period + 0.54;
        enter(&mut self.detrended, turned(&self.smooth, gain));
        enter(&mut self.quadrature, turned(&self.detrended, gain));
        // In phase is what was detrended three bars ago.
        let phase = self.in_phase();
        let ahead = [turned(&self.detrended[3..], gain), turned(&self.quadrature, gain)];
        let [i, q] = self.turned;
        let now =
            [0.2 * (phase - ahead[1]) + 0.8 * i, 0.2 * (self.quadrature[0] + ahead[0]) + 0.8 * q];
        self.turned = now;
        let [re, im] = &mut self.rotation;
        *re = 0.2 * (now[0] * i + now[1] * q) + 0.8 * *re;
        *im = 0.2 * (now[0] * q - now[1] * i) + 0.8 * *im;
        let before = self.period;
        let mut period = before;
        if *im != 0.0 && *re != 0.0 {
            period = 360.0 / degrees(numeric::atan(*im / *re));
        }
        period = numeric::max(numeric::min(period, 1.5 * before), 0.67 * before);
        period = numeric::min(numeric::max(period, PERIODS[0]), PERIODS[1]);
        self.period = 0.2 * period + 0.8 * before;
        self.smooth_period = 0.33 * self.period + 0.67 * self.smooth_period;
        true
    }

    pub(super) fn in_phase(&self) -> f64 {
        self.detrended[3]
    }

    /// The period in whole bars, at most [`KEPT`].
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(super) fn whole(&self) -> usize {
        // A foreign state may hold anything; the cast saturates.
        ((self.smooth_period + 0.5) as usize).min(KEPT)
    }

    pub(super) fn visit(&mut self, state: &mut dyn Visit) {
        state.float(&mut self.seen);
        state.floats(&mut self.price);
        state.floats(&mut self.smooth);
        state.floats(&mut self.detrended);
        state.floats(&mut self.quadrature);
        state.floats(&mut self.turned);
        state.floats(&mut self.rotation);
        state.float(&mut self.period);
        state.float(&mut self.smooth_period);
    }
}
