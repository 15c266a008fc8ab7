//! What a backtest writes down: trades and marks.

use crate::backtest::position::{EntryFill, Exit, ExitPoint, Order, Position};
use crate::bars::Bar;
use crate::instrument::Instrument;

/// Side of a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Gains when the price rises.
    Long,
    /// Gains when the price falls.
    Short,
}

impl Side {
    /// +1 long, -1 short.
    pub fn sign(self) -> f64 {
        match self {
            Self::Long => 1.0,
            Self::Short => -1.0,
        }
    }

    /// The other side.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Long => Self::Short,
            Self::Short => Self::Long,
        }
    }

    /// Name in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Long => "long",
            Self::Short => "short",
        }
    }

    /// Whether `price` is strictly better than `level` for this side; false if either is NaN.
    pub fn beyond(self, price: f64, level: f64) -> bool {
        match self {
            Self::Long => price > level,
            Self::Short => price < level,
        }
    }

    /// Whether `price` is at `level` or better.
    pub fn at_or_beyond(self, price: f64, level: f64) -> bool {
        match self {
            Self::Long => price >= level,
            Self::Short => price <= level,
        }
    }

    /// Whether `price` is at `level` or worse.
    pub fn at_or_worse(self, price: f64, level: f64) -> bool {
        self.opposite().at_or_beyond(price, level)
    }

    /// Best price of a bar.
    pub fn best(self, bar: &Bar) -> f64 {
        match self {
            Self::Long => bar.high,
            Self::Short => bar.low,
        }
    }

    /// Worst price of a bar.
    pub fn worst(self, bar: &Bar) -> f64 {
        self.opposite().best(bar)
    }
}

/// Why a position ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The exit signal met its threshold.
    Signal,
    /// The stop was reached.
    Stop,
    /// The target was met.
    Take,
    /// The trailing stop was reached.
    Trail,
    /// The break-even stop was reached.
    BreakEven,
    /// The holding time was over.
    Time,
    /// The margin was used up.
    Liquidation,
    /// The other side was entered.
    Reverse,
    /// The window ended.
    End,
}

impl Reason {
    /// All reasons, in the order of the records.
    pub const ALL: [Self; 9] = [
        Self::Signal,
        Self::Stop,
        Self::Take,
        Self::Trail,
        Self::BreakEven,
        Self::Time,
        Self::Liquidation,
        Self::Reverse,
        Self::End,
    ];

    /// Name in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Stop => "stop",
            Self::Take => "take",
            Self::Trail => "trail",
            Self::BreakEven => "breakeven",
            Self::Time => "time",
            Self::Liquidation => "liquidation",
            Self::Reverse => "reverse",
            Self::End => "end",
        }
    }
}

/// One closed trade; columns as in EXECUTION.md, section 4. Bars count from the window's first, money is in quote.
#[derive(Clone, Debug, PartialEq)]
pub struct Trade {
    /// Side held.
    pub side: Side,
    /// Bar of the decision.
    pub signal_bar: usize,
    /// Bar of the entry.
    pub entry_bar: usize,
    /// Opening time of the entry bar.
    pub entry_time: i64,
    /// Fill price of the entry.
    pub entry_price: f64,
    /// Bar of the exit.
    pub exit_bar: usize,
    /// Opening time of the exit bar; close time for exits at the end.
    pub exit_time: i64,
    /// Fill price of the exit.
    pub exit_price: f64,
    /// Units of the base.
    pub quantity: f64,
    /// Quantity at the entry price.
    pub notional: f64,
    /// Margin put up.
    pub margin: f64,
    /// Share of the equity meant for margin and entry fee.
    pub fraction: f64,
    /// Signal value at the decision.
    pub p_entry: f64,
    /// Why it ended.
    pub reason: Reason,
    /// Bars held.
    pub bars_held: usize,
    /// Fees of entry and exit.
    pub fees: f64,
    /// Funding received (negative: paid).
    pub funding: f64,
    /// Change of the equity.
    pub pnl: f64,
    /// `pnl` over the equity at entry.
    pub unit_return: f64,
    /// Stop and target both lay inside a bar, or a resting entry's bar hides their order.
    pub ambiguous: bool,
    /// A moved stop lay within its own bar.
    pub ambiguous_trail: bool,
    /// Worst price against the fill, a fraction <= 0.
    pub mae: f64,
    /// Best price against the fill, a fraction >= 0.
    pub mfe: f64,
}

/// Takes trades and marks as the engine produces them, in time order.
///
/// It may keep the money, too: an account that several symbols share does ([`super::account`]).
pub trait Observer {
    /// A trade has closed.
    fn trade(&mut self, trade: &Trade);
    /// Marked equity at the close of a bar of the window.
    fn mark(&mut self, bar: usize, equity: f64);

    /// Opens the position of an order that is filled; None if it is void. `equity` is that of the engine's own account.
    fn open<'r>(
        &mut self,
        order: &Order<'r>,
        fill: EntryFill,
        equity: f64,
        instrument: &Instrument,
    ) -> Option<Position<'r>> {
        Position::open(order, fill, equity, instrument)
    }

    /// Ends a position: the trade, and the equity after it, 0 if the account is ruined.
    fn close(
        &mut self,
        held: &Position<'_>,
        exit: Exit,
        at: &ExitPoint,
        initial_equity: f64,
    ) -> (Trade, f64) {
        held.close(exit, at, initial_equity)
    }

    /// Whether the funding just charged to a position has left nothing of the account (section 2, step 1).
    fn is_bankrupt(&mut self, held: &Position<'_>, open: f64) -> bool {
        held.is_bankrupt(open)
    }
}
