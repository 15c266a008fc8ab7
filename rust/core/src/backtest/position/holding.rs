//! The amounts of an open position, for accounts that look at several at once.

use super::{Position, marked};

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

    fn unit_gain(&self, price: f64) -> f64 {
        self.sign * self.quantity * (price - self.fill)
    }

    /// What it has brought so far if marked at `price`; monotone in the price, also after rounding.
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
}
