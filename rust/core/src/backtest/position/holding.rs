//! The amounts of an open position, for accounts that look at several at once.

use super::{Amounts, Exit, Position, UnitClose, marked};
use crate::backtest::record::Side;
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

    /// Of an entry that gets these amounts.
    #[inline]
    pub fn new(side: Side, fill: f64, equity: f64, amounts: &Amounts) -> Self {
        Self {
            equity,
            sign: side.sign(),
            fill,
            quantity: amounts.quantity,
            notional: amounts.notional,
            margin: amounts.margin,
            entry_fee: amounts.entry_fee,
            funding: 0.0,
        }
    }

    /// Of nobody.
    pub fn nothing() -> Self {
        Self {
            equity: 0.0,
            sign: 1.0,
            fill: 0.0,
            quantity: 0.0,
            notional: 0.0,
            margin: 0.0,
            entry_fee: 0.0,
            funding: 0.0,
        }
    }

    /// Fill price.
    pub fn fill(&self) -> f64 {
        self.fill
    }

    /// What is realised of it, its margin and its notional, to be added up with those of others.
    #[inline]
    pub fn sums(&self) -> [f64; 4] {
        [self.accrued(), self.margin(), self.notional(), 0.0]
    }

    /// Charges one settlement at the bar's open: as [`Position::charge_funding`].
    pub fn charge_funding(&mut self, rate: f64, open: f64) {
        self.funding -= self.sign * rate * self.quantity * open;
    }

    /// Profit from the price less `exit_fee`, capped at the margin.
    #[inline]
    pub(super) fn price_part(&self, price: f64, exit_fee: f64) -> f64 {
        let gain = self.unit_gain(price) - exit_fee;
        if gain > -self.margin { gain } else { -self.margin }
    }

    /// What it leaves per unit of the equity at entry, if it ends so, without a floor.
    #[inline]
    pub fn unit_change(&self, exit: Exit) -> UnitClose {
        let (exit_fee, gross) = match exit {
            Exit::Fill { price, fee_rate } => {
                let fee = fee_rate * self.quantity * price;
                (fee, self.price_part(price, fee))
            }
            Exit::Liquidation { .. } => (0.0, -self.margin),
            Exit::Bankruptcy { .. } => (0.0, f64::NEG_INFINITY),
        };
        UnitClose {
            change: gross - self.entry_fee + self.funding,
            fees: self.entry_fee + exit_fee,
            funding: self.funding,
        }
    }

    /// Equity of closed trades after it has ended with such a change, `before` being that before. Where nothing was
    /// booked since its entry, it is that of an account of its own, to the bit.
    #[inline]
    pub fn closed_after(&self, before: f64, change: f64) -> f64 {
        if self.equity == before { before * (1.0 + change) } else { before + self.equity * change }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::Draw;

    /// 16 units at 64 with 512 of margin, 16 of fee and 12 of funding paid, of 1,024 of equity.
    fn round(side: Side) -> Holding {
        let amounts = Amounts {
            share: 0.5,
            quantity: 1.0 / 64.0,
            notional: 1.0,
            margin: 0.5,
            entry_fee: 1.0 / 64.0,
        };
        let mut holding = Holding::new(side, 64.0, 1024.0, &amounts);
        holding.charge_funding(side.sign() / 128.0, 96.0);
        holding
    }

    #[test]
    fn amounts_by_hand() {
        for (side, gain) in [(Side::Long, 128.0), (Side::Short, -128.0)] {
            let holding = round(side);
            assert_eq!((holding.fill(), holding.equity()), (64.0, 1024.0));
            assert_eq!(holding.sums(), [-28.0, 512.0, 1024.0, 0.0]);
            assert_eq!((holding.gain(72.0), holding.mark(72.0)), (gain - 28.0, 996.0 + gain));
            assert_eq!(holding.capped_gain(72.0), gain);
            let ruinous = if side == Side::Long { 16.0 } else { 112.0 };
            assert_eq!((holding.capped_gain(ruinous), holding.mark(ruinous)), (-512.0, 228.0));
            let sorted = if side == Side::Long { (60.0, 72.0) } else { (72.0, 60.0) };
            assert_eq!(holding.sorted(60.0, 72.0), sorted);
            // Where something else was booked since the entry, the change is of the equity at entry.
            assert_eq!(holding.closed_after(2048.0, 0.25), 2304.0);
            assert_eq!(holding.closed_after(1024.0, 0.25), 1280.0);
        }
        // 3 (1 + 0.1) and 3 + 3 * 0.1 differ in their last bit.
        let alone = Holding { equity: 3.0, ..round(Side::Long) };
        assert_eq!(alone.closed_after(3.0, 0.1), 3.0 * (1.0 + 0.1));
        assert_ne!(3.0 * (1.0 + 0.1), 3.0 + 3.0 * 0.1);
        let nobody = Holding::nothing();
        assert_eq!((nobody.sums(), nobody.gain(5.0), nobody.mark(5.0)), ([0.0; 4], 0.0, 0.0));
    }

    /// Every path adds the bits that one gain after the other adds, at every length and alignment.
    #[test]
    fn sums_of_gains_are_alike_on_every_path() {
        let mut draw = Draw::seeded(11);
        for _ in 0..2_000 {
            let holding = Holding {
                equity: draw.between(1e-3, 1e6),
                sign: if draw.chance(0.5) { 1.0 } else { -1.0 },
                fill: draw.between(1e-4, 1e5),
                quantity: draw.between(1e-6, 10.0),
                notional: draw.between(0.0, 5.0),
                margin: draw.between(0.0, 1.0),
                entry_fee: draw.between(0.0, 0.01),
                funding: draw.between(-0.1, 0.1),
            };
            let (length, skipped) = (draw.below(70), draw.below(5));
            let closes: Vec<f64> = (0..length + skipped).map(|_| draw.between(1e-4, 1e5)).collect();
            let before: Vec<f64> = (0..length + skipped).map(|_| draw.between(-1e6, 1e6)).collect();
            let mut want = before.clone();
            for (total, close) in want.iter_mut().zip(&closes).skip(skipped) {
                *total += holding.gain(*close);
            }
            for simd in Simd::available() {
                let mut found = before.clone();
                holding.add_gains(simd, &closes[skipped..], &mut found[skipped..]);
                let bits = |all: &[f64]| all.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&found), bits(&want), "{}", simd.name());
            }
        }
    }
}
