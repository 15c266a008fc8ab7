//! The return of the bars after a bar, and its class.

use rayon::prelude::*;

use super::{SHARE, on_threads};
use crate::Result;

/// What becomes of a return.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Class {
    /// Nothing: the return itself.
    Regression,
    /// 1 above the threshold, else 0.
    Binary(f64),
    /// 1 above the threshold, -1 below minus the threshold, else 0.
    Ternary(f64),
}

impl Class {
    /// The label of a return; NaN stays NaN.
    #[inline]
    pub fn of(self, change: f64) -> f64 {
        let one = |holds: bool| if holds { 1.0 } else { 0.0 };
        match self {
            _ if change.is_nan() => f64::NAN,
            Self::Regression => change,
            Self::Binary(level) => one(change > level),
            Self::Ternary(level) => one(change > level) - one(change < -level),
        }
    }
}

/// Simple returns over `bars` bars from `lead` bars after each bar on; NaN where the prices end before.
pub fn horizon(
    prices: &[f64],
    lead: usize,
    bars: usize,
    class: Class,
    threads: usize,
) -> Result<Vec<f64>> {
    let mut out = vec![f64::NAN; prices.len()];
    let known = prices.len().saturating_sub(lead + bars);
    on_threads(threads, || {
        out[..known].par_chunks_mut(SHARE).enumerate().for_each(|(number, part)| {
            let first = number * SHARE + lead;
            let (from, to) = (&prices[first..], &prices[first + bars..]);
            for ((slot, from), to) in part.iter_mut().zip(from).zip(to) {
                *slot = class.of(to / from - 1.0);
            }
        });
        Ok(())
    })?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_begin_after_the_lead_and_end_with_the_prices() {
        let prices = [1.0, 2.0, 3.0, 6.0, 3.0];
        let open = horizon(&prices, 1, 2, Class::Regression, 1).unwrap();
        assert_eq!(open[..2], [2.0, 0.0]);
        assert!(open[2..].iter().all(|v| v.is_nan()));
        let close = horizon(&prices, 0, 1, Class::Ternary(0.6), 2).unwrap();
        assert_eq!(close[..4], [1.0, 0.0, 1.0, 0.0]);
        assert!(horizon(&prices, 1, 9, Class::Binary(0.0), 1).unwrap().iter().all(|v| v.is_nan()));
    }

    #[test]
    fn classes_are_beyond_the_threshold() {
        assert_eq!(Class::Ternary(0.01).of(-0.01), 0.0);
        assert_eq!(Class::Ternary(0.01).of(-0.011), -1.0);
        assert_eq!(Class::Binary(0.0).of(-0.5), 0.0);
        assert!(Class::Binary(0.0).of(f64::NAN).is_nan());
    }
}
