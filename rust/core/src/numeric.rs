//! Deterministic mathematics: the same bits on every machine, thread count and SIMD path.
//!
//! The platform's `ln`, `exp` and `pow` differ between C libraries, so these come from the pinned `libm` crate.
//! Square roots and the four operations are exact by IEEE 754. Nothing here uses fused multiply-add.

/// Natural logarithm.
pub fn ln(x: f64) -> f64 {
    libm::log(x)
}

/// Exponential.
pub fn exp(x: f64) -> f64 {
    libm::exp(x)
}

/// Power.
pub fn pow(x: f64, y: f64) -> f64 {
    libm::pow(x, y)
}

/// Cosine of an angle in radians.
pub fn cos(x: f64) -> f64 {
    libm::cos(x)
}

/// Sine of an angle in radians.
pub fn sin(x: f64) -> f64 {
    libm::sin(x)
}

/// Angle in radians whose tangent is `x`.
pub fn atan(x: f64) -> f64 {
    libm::atan(x)
}

/// Logarithm to the base of ten.
pub fn log10(x: f64) -> f64 {
    libm::log10(x)
}

/// Hyperbolic tangent.
pub fn tanh(x: f64) -> f64 {
    libm::tanh(x)
}

/// The larger of two numbers, +0 above -0; `b` where one is NaN.
#[inline]
pub fn max(a: f64, b: f64) -> f64 {
    if a == b {
        // Equal numbers differ in the sign of zero at most: the sign bit stays where both have it.
        f64::from_bits(a.to_bits() & b.to_bits())
    } else if a > b {
        a
    } else {
        b
    }
}

/// The smaller of two numbers, -0 below +0; `b` where one is NaN.
#[inline]
pub fn min(a: f64, b: f64) -> f64 {
    if a == b {
        f64::from_bits(a.to_bits() | b.to_bits())
    } else if a < b {
        a
    } else {
        b
    }
}

/// Sum with Neumaier's compensation: the error stays at one rounding however many terms are added.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    /// Adds one term.
    pub fn add(&mut self, x: f64) {
        let total = self.sum + x;
        self.lost +=
            if self.sum.abs() >= x.abs() { (self.sum - total) + x } else { (x - total) + self.sum };
        self.sum = total;
    }

    /// The sum of both.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        self.add(other.sum);
        self.lost += other.lost;
        self
    }

    /// Shows what it holds, to be saved and put back.
    pub(crate) fn parts(&mut self) -> [&mut f64; 2] {
        [&mut self.sum, &mut self.lost]
    }

    /// The sum so far; beyond the largest number there is nothing to compensate, and it is what IEEE 754 says.
    pub fn value(self) -> f64 {
        if self.lost.is_finite() { self.sum + self.lost } else { self.sum }
    }
}

impl FromIterator<f64> for Sum {
    fn from_iter<I: IntoIterator<Item = f64>>(terms: I) -> Self {
        let mut sum = Self::default();
        for x in terms {
            sum.add(x);
        }
        sum
    }
}

/// Mean of the values; NaN of none.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().copied().collect::<Sum>().value() / values.len() as f64
}

/// Standard deviation with `ddof` 1, by two passes; NaN of fewer than two values.
#[cfg(test)]
pub fn standard_deviation(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return f64::NAN;
    }
    let centre = mean(values);
    let squares: Sum = values.iter().map(|v| (v - centre) * (v - centre)).collect();
    (squares.value() / (values.len() - 1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compensation_keeps_what_a_plain_sum_loses() {
        let terms = [1e16, 1.0, 1.0, -1e16];
        assert_eq!(terms.iter().sum::<f64>(), 2.0 - 2.0 + 0.0);
        assert_eq!(terms.into_iter().collect::<Sum>().value(), 2.0);
    }

    #[test]
    fn joined_sums_keep_what_both_lost_and_infinity_stays() {
        let sum = |terms: &[f64]| terms.iter().copied().collect::<Sum>();
        assert_eq!(sum(&[1e16, 1.0]).with(sum(&[1.0, -1e16])).value(), 2.0);
        assert_eq!(sum(&[1.0, f64::INFINITY, 2.0]).value(), f64::INFINITY);
        assert_eq!(sum(&[f64::MAX, f64::MAX]).value(), f64::INFINITY);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).value().is_nan());
        assert!(sum(&[1.0, f64::NAN]).value().is_nan());
    }

    #[test]
    fn larger_and_smaller_know_the_sign_of_zero() {
        for (a, b) in [(0.0, -0.0), (-0.0, 0.0)] {
            assert!(max(a, b).is_sign_positive() && min(a, b).is_sign_negative());
        }
        assert!(max(-0.0, -0.0).is_sign_negative() && min(0.0, 0.0).is_sign_positive());
        assert_eq!(
            (max(1.0, 2.0), max(2.0, 1.0), min(1.0, 2.0), min(2.0, 1.0)),
            (2.0, 2.0, 1.0, 1.0)
        );
        assert_eq!(max(f64::NEG_INFINITY, -1.0), -1.0);
    }

    #[test]
    fn deviation_survives_a_large_offset() {
        let values: Vec<f64> = [4.0, 7.0, 13.0, 16.0].iter().map(|v| v + 1e9).collect();
        assert!((standard_deviation(&values) - 30.0_f64.sqrt()).abs() < 1e-9);
        assert!(standard_deviation(&[1.0]).is_nan());
        assert!(mean(&[]).is_nan());
    }
}
