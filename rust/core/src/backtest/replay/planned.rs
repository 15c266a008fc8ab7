//! What waits after a close, for whoever watches.

use super::Replay;
use crate::backtest::position::{EntryFill, Order, Position, Shown, taker_price};
use crate::backtest::record::{Reason, Side};
use crate::instrument::Instrument;

/// An entry that waits for its fill.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Planned {
    /// Side to enter.
    pub side: Side,
    /// Level of a resting order; None is a market order.
    pub limit: Option<f64>,
    /// Bars from the next on in which it may fill.
    pub bars: usize,
    /// Whether it was decided at this close.
    pub fresh: bool,
    /// What it would become; None if its size is void.
    pub filled: Option<Shown>,
}

impl<'r> Replay<'r> {
    /// What stands at a close: the exit that is queued.
    pub fn leaving(&self) -> Option<Reason> {
        self.queued_exit
    }

    /// The entry that is queued or rests after the close of bar `index`.
    ///
    /// Size and levels are those of a fill at the close, or at the level of a resting order, with the equity of
    /// now; the fill itself decides them. None inside if the size would be void.
    pub fn planned(&self, index: usize, close: f64) -> Option<Planned> {
        let equity = self.position.as_ref().map_or(self.equity, |held| held.mark(close));
        self.planned_by(index, close, |order, fill, instrument| {
            Position::open(order, fill, equity, instrument)
        })
    }

    /// The same where `open` says what the order would become.
    pub(in crate::backtest) fn planned_by(
        &self,
        index: usize,
        close: f64,
        open: impl FnOnce(&Order<'r>, EntryFill, &Instrument) -> Option<Position<'r>>,
    ) -> Option<Planned> {
        let (order, level, bars) = match (&self.queued_entry, &self.resting) {
            (Some(order), _) => (order, None, 1),
            (None, Some(resting)) => {
                (&resting.order, Some(resting.level), resting.last_bar.saturating_sub(index))
            }
            (None, None) => return None,
        };
        let (price, fee_rate) = match level {
            Some(level) => (level, self.costs.maker),
            None => (taker_price(close, order.side == Side::Long, &self.costs), self.costs.taker),
        };
        let fill = EntryFill { price, fee_rate, bar: index + 1, time: 0, inside: false };
        let filled = open(order, fill, &self.instrument);
        Some(Planned {
            side: order.side,
            limit: level,
            bars,
            fresh: order.signal_bar == index,
            filled: filled.map(|held| held.shown()),
        })
    }
}
