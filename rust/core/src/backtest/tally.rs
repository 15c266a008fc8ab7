//! What a run leaves behind for the metrics: sums over trades, in trade order, and how they join across windows.

use crate::backtest::record::{Reason, Trade};

/// Sums over trades; [`Tally::join`] appends a later window's.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Number of trades.
    pub trades: usize,
    /// Trades with a gain.
    pub wins: usize,
    /// Trades with a loss.
    pub losses: usize,
    /// Sum of the returns of winners.
    pub win_return: f64,
    /// Sum of the returns of losers.
    pub loss_return: f64,
    /// Sum of the returns of all.
    pub all_return: f64,
    /// Sum of winning pnl.
    pub win_pnl: f64,
    /// Sum of losing pnl.
    pub loss_pnl: f64,
    /// Sum of the bars held.
    pub bars_held: usize,
    /// Trades by reason, in the order of [`Reason::ALL`].
    pub reasons: [usize; 9],
    /// Trades whose stop and target could not be ordered.
    pub ambiguous: usize,
    /// Trades whose moved stop lay within its own bar.
    pub ambiguous_trail: usize,
    /// Sum of the fees.
    pub fees: f64,
    /// Sum of the funding.
    pub funding: f64,
    losing: LosingRun,
}

/// What the sums need of a trade.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    /// Change of the equity over the equity at entry.
    pub unit_return: f64,
    /// Change of the equity.
    pub pnl: f64,
    /// Bars held.
    pub bars_held: usize,
    /// Why it ended.
    pub reason: Reason,
    /// Stop and target could not be ordered.
    pub ambiguous: bool,
    /// A moved stop lay within its own bar.
    pub ambiguous_trail: bool,
    /// Fees.
    pub fees: f64,
    /// Funding received.
    pub funding: f64,
}

/// Longest run of losing trades, in a form that joins: `(ab)c = a(bc)`.
#[derive(Clone, Copy, Debug, Default)]
struct LosingRun {
    from_start: usize,
    at_end: usize,
    longest: usize,
}

impl Tally {
    /// Adds one trade.
    pub fn add(&mut self, trade: &Trade) {
        self.count(&Counted {
            unit_return: trade.unit_return,
            pnl: trade.pnl,
            bars_held: trade.bars_held,
            reason: trade.reason,
            ambiguous: trade.ambiguous,
            ambiguous_trail: trade.ambiguous_trail,
            fees: trade.fees,
            funding: trade.funding,
        });
    }

    /// Adds what of a trade is counted.
    pub fn count(&mut self, trade: &Counted) {
        self.trades += 1;
        self.all_return += trade.unit_return;
        if trade.pnl > 0.0 {
            self.wins += 1;
            self.win_return += trade.unit_return;
            self.win_pnl += trade.pnl;
        } else if trade.pnl < 0.0 {
            self.losses += 1;
            self.loss_return += trade.unit_return;
            self.loss_pnl += trade.pnl;
        }
        self.bars_held += trade.bars_held;
        self.reasons[reason_index(trade.reason)] += 1;
        self.ambiguous += usize::from(trade.ambiguous);
        self.ambiguous_trail += usize::from(trade.ambiguous_trail);
        self.fees += trade.fees;
        self.funding += trade.funding;
        let run = &mut self.losing;
        run.at_end = if trade.pnl < 0.0 { run.at_end + 1 } else { 0 };
        run.longest = run.longest.max(run.at_end);
        if run.at_end == self.trades {
            run.from_start = run.at_end;
        }
    }

    /// Appends the trades of a later window.
    pub fn join(&mut self, later: &Self) {
        let bridge = self.losing.at_end + later.losing.from_start;
        let losing = LosingRun {
            from_start: if self.losing.from_start == self.trades {
                bridge
            } else {
                self.losing.from_start
            },
            at_end: if later.losing.at_end == later.trades { bridge } else { later.losing.at_end },
            longest: self.losing.longest.max(later.losing.longest).max(bridge),
        };
        self.trades += later.trades;
        self.wins += later.wins;
        self.losses += later.losses;
        self.win_return += later.win_return;
        self.loss_return += later.loss_return;
        self.all_return += later.all_return;
        self.win_pnl += later.win_pnl;
        self.loss_pnl += later.loss_pnl;
        self.bars_held += later.bars_held;
        for (sum, more) in self.reasons.iter_mut().zip(later.reasons) {
            *sum += more;
        }
        self.ambiguous += later.ambiguous;
        self.ambiguous_trail += later.ambiguous_trail;
        self.fees += later.fees;
        self.funding += later.funding;
        self.losing = losing;
    }

    /// Most losing trades in a row.
    pub fn longest_losing_run(&self) -> usize {
        self.losing.longest
    }
}

fn reason_index(reason: Reason) -> usize {
    reason as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::backtest::record::Side;

    fn trade(pnl: f64) -> Trade {
        Trade {
            side: Side::Long,
            signal_bar: 0,
            entry_bar: 1,
            entry_time: 0,
            entry_price: 1.0,
            exit_bar: 1,
            exit_time: 0,
            exit_price: 1.0,
            quantity: 1.0,
            notional: 1.0,
            margin: 1.0,
            fraction: 1.0,
            p_entry: 1.0,
            reason: Reason::Stop,
            bars_held: 1,
            fees: 0.0,
            funding: 0.0,
            pnl,
            unit_return: pnl,
            ambiguous: false,
            ambiguous_trail: false,
            mae: 0.0,
            mfe: 0.0,
        }
    }

    fn of(pnls: &[f64]) -> Tally {
        let mut tally = Tally::default();
        for pnl in pnls {
            tally.add(&trade(*pnl));
        }
        tally
    }

    fn plain_run(pnls: &[f64]) -> usize {
        pnls.split(|p| *p >= 0.0).map(<[f64]>::len).max().unwrap_or(0)
    }

    proptest! {
        #[test]
        fn joined_windows_equal_one(pnls in prop::collection::vec(-1_i32..=1, 0..24), cut in 0_usize..24) {
            let pnls: Vec<f64> = pnls.into_iter().map(f64::from).collect();
            let cut = cut.min(pnls.len());
            let mut joined = of(&pnls[..cut]);
            joined.join(&of(&pnls[cut..]));
            let whole = of(&pnls);
            prop_assert_eq!(joined.longest_losing_run(), plain_run(&pnls));
            prop_assert_eq!(whole.longest_losing_run(), plain_run(&pnls));
            prop_assert_eq!((joined.trades, joined.wins, joined.losses), (whole.trades, whole.wins, whole.losses));
            prop_assert_eq!(joined.reasons, whole.reasons);
        }
    }

    #[test]
    fn reasons_are_counted_in_their_order() {
        for (i, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason_index(reason), i);
        }
    }
}
