//! How a position ends: the fill of its exit, what it leaves, the record of the trade.

use super::holding::Holding;
use super::{Position, RUIN, taker_price};
use crate::backtest::costs::Costs;
use crate::backtest::record::{Reason, Side, Trade};
use crate::backtest::rules::TargetOrder;

/// How a position ends.
#[derive(Clone, Copy, Debug)]
pub enum Exit {
    /// Filled at a price that includes slippage.
    Fill {
        /// Fill price.
        price: f64,
        /// Fee rate of the fill.
        fee_rate: f64,
    },
    /// Liquidated: the margin is lost, no fee.
    Liquidation {
        /// Reported price.
        price: f64,
    },
    /// Funding ate the whole account (section 2, step 1).
    Bankruptcy {
        /// Reported price.
        price: f64,
    },
}

/// A closed trade per unit of the equity at entry: the same for every account that took it.
#[derive(Clone, Copy, Debug)]
pub struct UnitClose {
    /// Change of the equity.
    pub change: f64,
    /// Fees of entry and exit.
    pub fees: f64,
    /// Funding received.
    pub funding: f64,
}

impl UnitClose {
    /// The return, and the equity after it; what is left below the bound of ruin is lost too.
    pub fn settle(&self, equity: f64, initial_equity: f64) -> (f64, f64) {
        let after = equity * (1.0 + self.change);
        if after < RUIN * initial_equity { (-1.0, 0.0) } else { (self.change, after) }
    }
}

/// When and why a position ends.
#[derive(Clone, Copy, Debug)]
pub struct ExitPoint {
    /// Bar of the exit.
    pub bar: usize,
    /// Time for the record.
    pub time: i64,
    /// Whether the exit lies at the bar's open.
    pub at_open: bool,
    /// Why.
    pub reason: Reason,
}

impl Position<'_> {
    /// Fill of a market order on `base`, or of a stop.
    pub fn taker_exit(&self, base: f64, costs: &Costs) -> Exit {
        Exit::Fill {
            price: taker_price(base, self.side == Side::Short, costs),
            fee_rate: costs.taker,
        }
    }

    /// Fill of the target, at its level.
    pub fn target_exit(&self, costs: &Costs) -> Exit {
        self.target_exit_at(self.target, costs)
    }

    /// Fill of a target at this level.
    pub fn target_exit_at(&self, target: f64, costs: &Costs) -> Exit {
        match self.rules.take_profit_order {
            TargetOrder::Limit => Exit::Fill { price: target, fee_rate: costs.maker },
            TargetOrder::Market => self.taker_exit(target, costs),
        }
    }

    /// What the position leaves per unit of the equity at entry, if it ends so.
    pub fn unit_close(&self, exit: Exit) -> UnitClose {
        let closed = self.unit_change(exit);
        UnitClose { change: if closed.change > -1.0 { closed.change } else { -1.0 }, ..closed }
    }

    /// The same without the floor: an account of several symbols can lose more than it had at an entry.
    pub fn unit_change(&self, exit: Exit) -> UnitClose {
        Holding::of(self).unit_change(exit)
    }

    /// Ends the position: the trade's record, and the equity after it.
    ///
    /// `bars_held` counts the exit bar only where the exit lies inside it or at its close.
    pub fn close(&self, exit: Exit, at: &ExitPoint, initial_equity: f64) -> (Trade, f64) {
        let closed = self.unit_close(exit);
        let (unit, after) = closed.settle(self.equity, initial_equity);
        (self.trade(exit, at, &closed, unit), after)
    }

    /// The record of a trade with the return `unit`.
    pub fn trade(&self, exit: Exit, at: &ExitPoint, closed: &UnitClose, unit: f64) -> Trade {
        let price = match exit {
            Exit::Fill { price, .. } | Exit::Liquidation { price } | Exit::Bankruptcy { price } => {
                price
            }
        };
        let against = |price: f64| self.side.sign() * (price / self.fill - 1.0);
        Trade {
            side: self.side,
            signal_bar: self.signal_bar,
            entry_bar: self.entry_bar,
            entry_time: self.entry_time,
            entry_price: self.fill,
            exit_bar: at.bar,
            exit_time: at.time,
            exit_price: price,
            quantity: self.quantity * self.equity,
            notional: self.notional * self.equity,
            margin: self.margin * self.equity,
            fraction: self.share,
            p_entry: self.p,
            reason: at.reason,
            bars_held: at.bar - self.entry_bar + usize::from(!at.at_open),
            fees: closed.fees * self.equity,
            funding: closed.funding * self.equity,
            pnl: self.equity * unit,
            unit_return: unit,
            ambiguous: self.ambiguous,
            ambiguous_trail: self.ambiguous_trail,
            mae: against(self.worst),
            mfe: against(self.best),
        }
    }
}
