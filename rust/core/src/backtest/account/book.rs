//! The money of a shared account: what is open, what is free, and what an entry gets.

use crate::backtest::position::holding::Holding;
use crate::backtest::position::{EntryFill, Exit, Order, Position, RUIN, levered};
use crate::backtest::record::Side;
use crate::backtest::replay::Replay;
use crate::backtest::state;
use crate::features::node::Visit;
use crate::instrument::Instrument;

/// Share of the equity below which nothing is left for an entry.
pub const NOTHING_LEFT: f64 = 1e-9;

/// Share of the initial equity that is far more than ruin leaves, and than rounding takes.
const FAR: f64 = 1e-3;

/// What an account lets its symbols hold together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Positions open at a time.
    pub max_positions: Option<usize>,
    /// Notional in use over the realised equity.
    pub max_gross: Option<f64>,
}

/// Why an entry was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// As many positions are open as may be.
    Positions,
    /// No equity is free of margins.
    Free,
    /// The notionals in use leave no room.
    Gross,
}

impl Refusal {
    /// Name in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Positions => "max_positions",
            Self::Free => "free",
            Self::Gross => "max_gross",
        }
    }
}

/// An entry that the account had no room for; bars count from the first of the symbol's window.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// Number of the symbol.
    pub symbol: usize,
    /// Side it would have held.
    pub side: Side,
    /// Bar of the decision.
    pub signal_bar: usize,
    /// Bar in which it would have filled.
    pub bar: usize,
    /// Opening time of that bar.
    pub time: i64,
    /// Price at which it would have filled.
    pub price: f64,
    /// The signal's value.
    pub p: f64,
    /// Realised equity of the account.
    pub equity: f64,
    /// Why.
    pub reason: Refusal,
}

/// Why an entry gets less than it asks for, and how much per unit of equity there is for it.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Notional per unit of equity.
    pub notional: f64,
    /// Whose fault a refusal is.
    pub reason: Refusal,
}

/// The money of a shared account and what is open in it.
#[derive(Clone, Debug)]
pub struct Book {
    initial_equity: f64,
    limits: Limits,
    /// Equity after the trades that have closed.
    closed: f64,
    /// What the closed trades of each symbol have brought.
    booked: Vec<f64>,
    pub(super) held: Vec<Option<Holding>>,
    pub(super) prices: Vec<f64>,
    open: usize,
    pub(super) ruined: bool,
}

impl Book {
    /// An empty book for so many symbols.
    pub fn new(symbols: usize, initial_equity: f64) -> Self {
        Self {
            initial_equity,
            limits: Limits::default(),
            closed: initial_equity,
            booked: vec![0.0; symbols],
            held: vec![None; symbols],
            prices: vec![f64::NAN; symbols],
            open: 0,
            ruined: false,
        }
    }

    /// What it lets in from here on.
    pub fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Whether nothing is left.
    pub fn is_ruined(&self) -> bool {
        self.ruined
    }

    /// Positions open.
    pub fn positions(&self) -> usize {
        self.open
    }

    /// Shows what changes and is not told by the positions, in a fixed order.
    pub(super) fn visit(&mut self, state: &mut dyn Visit) {
        let Self { initial_equity: _, limits: _, closed, booked, held: _, prices, open: _, ruined } =
            self;
        state.float(closed);
        for value in booked.iter_mut().chain(prices) {
            state.float(value);
        }
        state::flag(state, ruined);
    }

    /// What is open is what the symbols hold.
    pub(super) fn hold(&mut self, symbols: &[Replay<'_>]) {
        let ruined = self.ruined;
        for (slot, replay) in self.held.iter_mut().zip(symbols) {
            *slot = replay.held().filter(|_| !ruined).map(Holding::of);
        }
        self.open = self.held.iter().flatten().count();
    }

    /// What an order would become if it filled so now, after what its symbol holds has left at `close`.
    pub(super) fn preview<'r>(
        &self,
        symbol: usize,
        order: &Order<'r>,
        fill: EntryFill,
        instrument: &Instrument,
        close: f64,
    ) -> Option<Position<'r>> {
        let mut then = self.clone();
        if let Some(held) = then.held[symbol].take() {
            then.open -= 1;
            then.closed += held.capped_gain(close) + held.accrued();
        }
        then.enter(symbol, order, fill, instrument).ok().flatten()
    }

    /// Takes note of the last price known of a symbol.
    pub fn price(&mut self, symbol: usize, price: f64) {
        self.prices[symbol] = price;
    }

    fn each(&self) -> impl Iterator<Item = (&Holding, f64)> {
        self.held
            .iter()
            .zip(&self.prices)
            .filter_map(|(held, price)| Some((held.as_ref()?, *price)))
    }

    fn sum(&self, of: impl Fn(&Holding) -> f64) -> f64 {
        if self.open == 0 { 0.0 } else { self.each().map(|(held, _)| of(held)).sum() }
    }

    /// Realised equity: closed trades, and what was paid or received for open positions.
    pub fn realised(&self) -> f64 {
        self.closed + self.sum(Holding::accrued)
    }

    /// Margins in use.
    pub fn margins(&self) -> f64 {
        self.sum(Holding::margin)
    }

    /// Notionals in use.
    pub fn notionals(&self) -> f64 {
        self.sum(Holding::notional)
    }

    /// Realised equity and every price part at the last prices known, capped at its margin.
    fn worth(&self) -> f64 {
        self.realised() + self.each().map(|(held, price)| held.capped_gain(price)).sum::<f64>()
    }

    /// Marked equity at the last prices known.
    pub fn mark(&self) -> f64 {
        let mut total = self.closed;
        if self.open > 0 {
            for (held, price) in self.each() {
                // Alone since its entry, a position is marked as that of an account of its own, to the bit.
                if self.is_alone(held) {
                    return held.mark(price);
                }
                total += held.gain(price);
            }
        }
        if total > 0.0 { total } else { 0.0 }
    }

    /// What is open of a symbol.
    pub fn held(&self, symbol: usize) -> Option<&Holding> {
        self.held[symbol].as_ref()
    }

    /// What the closed trades of a symbol have brought.
    pub fn booked(&self, symbol: usize) -> f64 {
        self.booked[symbol]
    }

    /// Equity after the trades that have closed.
    pub fn closed(&self) -> f64 {
        self.closed
    }

    /// Whether one position is open and nothing was booked since its entry: it is marked as that of an account of its
    /// own.
    pub fn is_alone(&self, held: &Holding) -> bool {
        self.open == 1 && held.equity() == self.closed
    }

    /// What has come of a symbol so far, its open position marked at the last price known.
    pub fn part(&self, symbol: usize) -> f64 {
        let open = self.held[symbol].as_ref().map_or(0.0, |held| held.gain(self.prices[symbol]));
        self.booked[symbol] + open
    }

    /// Room for an entry at a realised equity, or why there is none.
    pub fn room(&self, order: &Order<'_>, fill: &EntryFill, equity: f64) -> Result<Room, Refusal> {
        if self.limits.max_positions.is_some_and(|most| self.open >= most) {
            return Err(Refusal::Positions);
        }
        let mut room = Room { notional: f64::INFINITY, reason: Refusal::Free };
        if self.open > 0 || equity <= 0.0 {
            let free = equity - self.margins();
            if equity <= 0.0 || free < NOTHING_LEFT * equity {
                return Err(Refusal::Free);
            }
            room.notional = levered(free / equity, order.rules.leverage, fill.fee_rate);
        }
        if let Some(gross) = self.limits.max_gross {
            let left = gross * equity - self.notionals();
            if left < NOTHING_LEFT * equity {
                return Err(Refusal::Gross);
            }
            if left / equity < room.notional {
                room = Room { notional: left / equity, reason: Refusal::Gross };
            }
        }
        Ok(room)
    }

    /// Opens a position of a symbol within the room there is; the outer error is a refusal, None a void order.
    pub fn enter<'r>(
        &mut self,
        symbol: usize,
        order: &Order<'r>,
        fill: EntryFill,
        instrument: &Instrument,
    ) -> Result<Option<Position<'r>>, (Refusal, f64)> {
        let equity = self.realised();
        let room = self.room(order, &fill, equity).map_err(|reason| (reason, equity))?;
        let binds = room.notional < order.wanted(&fill, equity);
        let price = fill.price;
        let held = Position::open_within(order, fill, equity, instrument, room.notional);
        match &held {
            Some(held) => {
                self.held[symbol] = Some(Holding::of(held));
                self.prices[symbol] = price;
                self.open += 1;
            }
            None if binds => return Err((room.reason, equity)),
            None => {}
        }
        Ok(held)
    }

    /// Takes note of what funding has done to a position.
    pub fn settled(&mut self, symbol: usize, held: &Position<'_>) {
        self.held[symbol] = Some(Holding::of(held));
    }

    /// Whether funding has left nothing.
    pub fn is_bankrupt(&self) -> bool {
        self.worth() <= 0.0
    }

    /// Whether even if every position lost its margin the account would be far from ruin, so that prices need not be
    /// known.
    #[inline]
    pub fn is_far_from_ruin(&self) -> bool {
        let least = self.realised() - self.margins();
        least > FAR * self.initial_equity
    }

    /// Ends the position of a symbol as [`Book::leave`] does; None, with nothing booked right, where that is ruin.
    /// `prices` makes the last prices of the other symbols known, if they matter.
    #[inline]
    pub fn leave_unruined(
        &mut self,
        symbol: usize,
        change: f64,
        prices: impl FnOnce(&mut Self),
    ) -> Option<f64> {
        let holding = self.held[symbol].take()?;
        self.open -= 1;
        let stake = holding.equity();
        self.closed = holding.closed_after(self.closed, change);
        if !self.is_far_from_ruin() {
            prices(self);
            if self.worth().is_nan() || self.worth() < RUIN * self.initial_equity {
                return None;
            }
        }
        self.booked[symbol] += stake * change;
        Some(change)
    }

    /// Ends the position of a symbol: its change, per unit of the equity at its entry.
    pub fn leave(&mut self, symbol: usize, held: &Position<'_>, exit: Exit) -> f64 {
        let Some(holding) = self.held[symbol].take() else { return f64::NAN };
        self.open -= 1;
        let change = held.unit_change(exit).change;
        let (before, stake) = (self.closed, holding.equity());
        self.closed = holding.closed_after(before, change);
        // Bankruptcy leaves minus infinity.
        if self.worth() >= RUIN * self.initial_equity {
            self.booked[symbol] += stake * change;
            return change;
        }
        let others = self.each().map(|(held, price)| held.capped_gain(price) + held.accrued());
        let pnl = -(before + others.sum::<f64>());
        self.ruined = true;
        self.closed = 0.0;
        self.booked[symbol] += pnl;
        pnl / stake
    }

    /// Ends a position at the last price known of it, because the account is ruined; its change.
    pub(super) fn end(&mut self, symbol: usize) -> f64 {
        let Some(held) = self.held[symbol].take() else { return f64::NAN };
        self.open -= 1;
        let pnl = held.capped_gain(self.prices[symbol]) + held.accrued();
        self.booked[symbol] += pnl;
        pnl / held.equity()
    }
}
