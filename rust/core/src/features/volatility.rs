//! How much prices move: average true range and realised volatility.

use crate::bars::Bar;
use crate::numeric;

/// Wilder's average true range.
///
/// True range `max(h, c') - min(l, c')` with `c'` the previous close, so it starts with the second bar; the mean is
/// seeded with the plain mean of the first `period` true ranges and goes on as `(atr * (period - 1) + tr) / period`.
/// Range [0, inf), unit of the price. First finite value at bar `period`, counting from 0.
///
/// Reference: J. W. Wilder, *New Concepts in Technical Trading Systems*, 1978; as in TA-Lib.
#[derive(Clone, Debug)]
pub struct Atr {
    period: u32,
    seen: u32,
    mean: f64,
    previous_close: f64,
}

impl Atr {
    /// Smoothing over `period` bars, at least 1.
    pub fn new(period: u32) -> Self {
        debug_assert!(period >= 1);
        Self { period, seen: 0, mean: 0.0, previous_close: f64::NAN }
    }

    /// Takes one closed bar; NaN until `period + 1` bars have been seen.
    pub fn update(&mut self, bar: &Bar) -> f64 {
        let before = std::mem::replace(&mut self.previous_close, bar.close);
        if before.is_nan() {
            return f64::NAN;
        }
        let high = if before > bar.high { before } else { bar.high };
        let low = if before < bar.low { before } else { bar.low };
        let range = high - low;
        let period = f64::from(self.period);
        if self.seen < self.period {
            self.seen += 1;
            self.mean += range;
            if self.seen < self.period {
                return f64::NAN;
            }
            self.mean /= period;
        } else {
            self.mean = (self.mean * (period - 1.0) + range) / period;
        }
        self.mean
    }
}

/// Batch form of [`Atr`]; one value per bar.
pub fn atr(bars: impl Iterator<Item = Bar>, period: u32) -> Vec<f64> {
    let mut state = Atr::new(period);
    bars.map(|bar| state.update(&bar)).collect()
}

/// Realised volatility: standard deviation (`ddof` 1) of the last `window` one-bar log returns, per bar.
///
/// Two passes over each window, so that no error drifts along. Range [0, inf), dimensionless; NaN for the first
/// `window` bars. The caller annualises.
pub fn realised(close: &[f64], window: usize) -> Vec<f64> {
    let mut out = vec![f64::NAN; close.len()];
    let returns: Vec<f64> = close.windows(2).map(|w| numeric::ln(w[1] / w[0])).collect();
    for (i, last) in returns.windows(window).enumerate() {
        out[i + window] = numeric::standard_deviation(last);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(high: f64, low: f64, close: f64) -> Bar {
        Bar { open_time: 0, open: close, high, low, close }
    }

    #[test]
    fn atr_is_seeded_with_the_plain_mean_and_smoothed_after() {
        let bars = [
            bar(10.0, 8.0, 9.0),
            bar(11.0, 9.0, 10.0),  // tr 2
            bar(10.0, 6.0, 7.0),   // tr 4
            bar(12.0, 11.0, 11.0), // tr 12 - 7 = 5
        ];
        let got = atr(bars.into_iter(), 2);
        assert!(got[0].is_nan() && got[1].is_nan());
        assert_eq!(got[2..], [3.0, 4.0]);
    }

    #[test]
    fn realised_needs_its_window_and_forgets_what_left_it() {
        let mut close: Vec<f64> = (1..40).map(|i| 100.0 + f64::from(i % 7)).collect();
        let plain = realised(&close, 5);
        assert!(plain[..5].iter().all(|v| v.is_nan()) && plain[5].is_finite());
        close[3] = 1e12;
        let spiked = realised(&close, 5);
        assert_eq!(plain[9..], spiked[9..]);
    }
}
