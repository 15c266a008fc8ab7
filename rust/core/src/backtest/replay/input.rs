//! What one step of a replay is given: a closed bar, what is known at its close, the finer bars it is made up of.

use crate::backtest::rules::{Fill, Rules};
use crate::bars::Bar;

/// Signals and indicators known at the close of a bar; NaN where there is none.
#[derive(Clone, Copy, Debug)]
pub struct SignalRow {
    /// Signal for entering long.
    pub long: f64,
    /// Signal for entering short.
    pub short: f64,
    /// Signal for leaving long.
    pub exit_long: f64,
    /// Signal for leaving short.
    pub exit_short: f64,
    /// Stop distance.
    pub stop: f64,
    /// Target distance.
    pub target: f64,
    /// Size.
    pub size: f64,
    /// Average true range under the current rules.
    pub atr: f64,
    /// Volatility a year under the current rules.
    pub volatility: f64,
}

/// All that one step needs.
#[derive(Clone, Copy, Debug)]
pub struct StepInput<'r, 'a> {
    /// Position of the bar in its window, from 0.
    pub index: usize,
    /// The closed bar.
    pub bar: Bar,
    /// Its close time.
    pub close_time: i64,
    /// Close of the bar before it in the window; unused in the first.
    pub previous_close: f64,
    /// Settlements after the previous bar's open, up to this one's.
    pub funding_time: &'a [i64],
    /// Their rates.
    pub funding_rate: &'a [f64],
    /// Signals known at the close.
    pub row: SignalRow,
    /// Rules in force for decisions; `None` before a schedule's first.
    pub rules: Option<&'r Rules>,
    /// Whether the run ends with this bar.
    pub last: bool,
}

impl StepInput<'_, '_> {
    /// Price on which pending market orders fill.
    pub(super) fn base(&self, mode: Fill) -> f64 {
        match mode {
            Fill::Close => self.previous_close,
            Fill::NextOpen => self.bar.open,
        }
    }

    /// The bar as its own only piece.
    pub(super) fn whole(&self) -> Piece {
        Piece { bar: self.bar, first: true }
    }
}

/// What steps 2, 4, 5 and 6 go through: the bar, or one of the finer bars inside it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) bar: Bar,
    /// Opens with the bar.
    pub(super) first: bool,
}

impl Piece {
    /// What an exit at the open of the piece meets of the bar.
    pub(super) fn seen(&self) -> Seen {
        if self.first { Seen::Open(self.bar.open) } else { Seen::Bar }
    }
}

/// What the record of an exit shows of its bar.
#[derive(Clone, Copy, Debug)]
pub(super) enum Seen {
    /// One price, for an exit at the bar's open.
    Open(f64),
    /// All of it.
    Bar,
}
