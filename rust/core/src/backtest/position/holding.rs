//! The amounts of an open position, for accounts that look at several at once.

use super::{Position, marked};
use crate::simd::Simd;

/// Amounts of an open position per unit of the equity at its entry; what it holds, without how it may end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Holding {
    equity: f64,
    sign: f64,
    fill: f64,
    quantity: f64,
    notional: f64,
    margin: f64,
    entry_fee: f64,
    funding: f64,
}

impl Holding {
    /// Of an open position.
    pub fn of(held: &Position<'_>) -> Self {
        Self {
            equity: held.equity,
            sign: held.side.sign(),
            fill: held.fill,
            quantity: held.quantity,
            notional: held.notional,
            margin: held.margin,
            entry_fee: held.entry_fee,
            funding: held.funding,
        }
    }

    /// Equity at entry.
    pub fn equity(&self) -> f64 {
        self.equity
    }

    /// Margin in use.
    pub fn margin(&self) -> f64 {
        self.margin * self.equity
    }

    /// Notional in use.
    pub fn notional(&self) -> f64 {
        self.notional * self.equity
    }

    /// What is realised of it: funding received less the fee of the entry.
    pub fn accrued(&self) -> f64 {
        (self.funding - self.entry_fee) * self.equity
    }

    #[inline]
    fn unit_gain(&self, price: f64) -> f64 {
        self.sign * self.quantity * (price - self.fill)
    }

    /// What it has brought so far if marked at `price`; monotone in the price, also after rounding.
    #[inline]
    pub fn gain(&self, price: f64) -> f64 {
        (self.funding - self.entry_fee + self.unit_gain(price)) * self.equity
    }

    /// Its price part at a price, capped at its margin.
    pub fn capped_gain(&self, price: f64) -> f64 {
        let gain = self.unit_gain(price);
        (if gain > -self.margin { gain } else { -self.margin }) * self.equity
    }

    /// Equity marked at `price` where nothing else is open: as [`Position::mark`].
    pub fn mark(&self, price: f64) -> f64 {
        marked(self.equity, 1.0 - self.entry_fee + self.funding + self.unit_gain(price))
    }

    /// The worse and the better of two prices.
    pub fn sorted(&self, low: f64, high: f64) -> (f64, f64) {
        if self.sign > 0.0 { (low, high) } else { (high, low) }
    }

    /// Adds what it has brought at each close to the totals beside them: [`Holding::gain`], many at once.
    pub fn add_gains(&self, simd: Simd, closes: &[f64], totals: &mut [f64]) {
        #[cfg(target_arch = "x86_64")]
        if simd.has_avx2() {
            // SAFETY: a `Simd` is made only of what this machine has, and this one has AVX2.
            return unsafe { self.add_gains_avx2(closes, totals) };
        }
        let _ = simd;
        self.add_each(closes, totals);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn add_gains_avx2(&self, closes: &[f64], totals: &mut [f64]) {
        self.add_each(closes, totals);
    }

    #[allow(clippy::inline_always)] // what is not inlined loses the wider instructions
    #[inline(always)]
    fn add_each(&self, closes: &[f64], totals: &mut [f64]) {
        let n = closes.len().min(totals.len());
        let (closes, totals) = (&closes[..n], &mut totals[..n]);
        for i in 0..n {
            totals[i] += self.gain(closes[i]);
        }
    }
}
