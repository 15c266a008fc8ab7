//! Several symbols on one equity: EXECUTION.md, section 7, shared account, step by step.
//!
//! Each symbol is a [`Replay`] whose steps are taken in the order of the text; it finds *when*, and asks the [`Book`] for
//! every position it opens or ends. The book knows what all symbols hold and allots the capital; prices, sizes and profits
//! come from `position.rs`.
//!
//! What the text leaves open, and what is done here:
//!
//! - *Realised equity* holds what was paid: fees of entries and funding count as soon as they are due, so an entry is
//!   never given what another one has already spent. The price part of a position counts when it ends.
//! - *Nothing left* is less than a billionth of the equity; a remainder of rounding is no capital.
//! - Where every price part counts (floors, ruin), an open position is worth what the last price known of it says, in
//!   the order of the text: the open of this step, the fill of an entry, the close once its part of the bar is done, the
//!   last close where its bar is missing.
//! - Ruin ends the other positions at that price, without a fee, and the trade that ruined the account takes the rest, so
//!   that all trades sum to what was lost.

pub mod run;
pub mod sweep;

use crate::backtest::position::holding::Holding;
use crate::backtest::position::{EntryFill, Exit, ExitPoint, Order, Position, RUIN, levered};
use crate::backtest::record::{Observer, Reason, Side, Trade};
use crate::backtest::replay::{Replay, StepInput};
use crate::backtest::rules::Fill;
use crate::instrument::Instrument;

/// Share of the equity below which nothing is left for an entry.
const NOTHING_LEFT: f64 = 1e-9;

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

/// Takes what an account writes down, in time order.
pub trait Log {
    /// A trade of a symbol has closed.
    fn trade(&mut self, symbol: usize, trade: &Trade);
    /// An entry was refused.
    fn refused(&mut self, refused: &Refused);
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
    held: Vec<Option<Holding>>,
    prices: Vec<f64>,
    open: usize,
    ruined: bool,
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

    /// Ends the position of a symbol: its change, per unit of the equity at its entry.
    pub fn leave(&mut self, symbol: usize, held: &Position<'_>, exit: Exit) -> f64 {
        let Some(holding) = self.held[symbol].take() else { return f64::NAN };
        self.open -= 1;
        let change = held.unit_change(exit).change;
        let (before, stake) = (self.closed, holding.equity());
        // Nothing was booked since its entry: the equity after it is that of an account of its own, to the bit.
        self.closed =
            if stake == before { before * (1.0 + change) } else { before + stake * change };
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
    fn end(&mut self, symbol: usize) -> f64 {
        let Some(held) = self.held[symbol].take() else { return f64::NAN };
        self.open -= 1;
        let pnl = held.capped_gain(self.prices[symbol]) + held.accrued();
        self.booked[symbol] += pnl;
        pnl / held.equity()
    }
}

/// The book as one symbol sees it.
struct Desk<'b, L> {
    book: &'b mut Book,
    symbol: usize,
    log: &'b mut L,
}

impl<L: Log> Observer for Desk<'_, L> {
    fn trade(&mut self, trade: &Trade) {
        self.log.trade(self.symbol, trade);
    }

    /// An account is marked as a whole.
    fn mark(&mut self, _: usize, _: f64) {}

    fn open<'r>(
        &mut self,
        order: &Order<'r>,
        fill: EntryFill,
        _: f64,
        instrument: &Instrument,
    ) -> Option<Position<'r>> {
        let (bar, time, price) = (fill.bar, fill.time, fill.price);
        self.book.enter(self.symbol, order, fill, instrument).unwrap_or_else(|(reason, equity)| {
            self.log.refused(&Refused {
                symbol: self.symbol,
                side: order.side,
                signal_bar: order.signal_bar,
                bar,
                time,
                price,
                p: order.p,
                equity,
                reason,
            });
            None
        })
    }

    fn close(&mut self, held: &Position<'_>, exit: Exit, at: &ExitPoint, _: f64) -> (Trade, f64) {
        let unit = self.book.leave(self.symbol, held, exit);
        let trade = held.trade(exit, at, &held.unit_change(exit), unit);
        (trade, if self.book.ruined { 0.0 } else { f64::NAN })
    }

    fn is_bankrupt(&mut self, held: &Position<'_>, _: f64) -> bool {
        self.book.settled(self.symbol, held);
        self.book.is_bankrupt()
    }
}

/// What the last price known of a symbol is.
#[derive(Clone, Copy, Debug)]
enum Known {
    /// The open of this bar, or a fill at it or inside.
    Open,
    /// The close of this bar.
    Close,
}

/// The last bar that a symbol has seen.
#[derive(Clone, Copy, Debug)]
struct Seen {
    index: usize,
    open_time: i64,
    close_time: i64,
    known: Known,
}

/// An account of several symbols, stepped through time.
#[derive(Clone, Debug)]
pub struct SharedAccount<'r> {
    symbols: Vec<Replay<'r>>,
    seen: Vec<Option<Seen>>,
    book: Book,
    /// Entries due at an open: how far the signal exceeds its threshold, and the place of the symbol's bar.
    due: Vec<(f64, usize)>,
}

impl<'r> SharedAccount<'r> {
    /// An account without positions; `symbols` step on bars of their own.
    pub fn new(symbols: Vec<Replay<'r>>, initial_equity: f64) -> Self {
        let count = symbols.len();
        Self {
            symbols,
            seen: vec![None; count],
            book: Book::new(count, initial_equity),
            due: Vec::with_capacity(count),
        }
    }

    /// What it lets in from here on.
    pub fn limit(&mut self, limits: Limits) {
        self.book.limit(limits);
    }

    /// The money and what is open.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// What each symbol is doing.
    pub fn symbols(&self) -> &[Replay<'r>] {
        &self.symbols
    }

    /// Takes note of the last close of a symbol that has no bar in the next step.
    pub fn last_close(&mut self, symbol: usize, close: f64) {
        self.book.price(symbol, close);
    }

    /// Takes note of the extremes of bars of a symbol in which nothing happened.
    pub fn see_range(&mut self, symbol: usize, lowest: f64, highest: f64) {
        self.symbols[symbol].see_range(lowest, highest);
    }

    /// Takes the closed bars of one time step, each with the number of its symbol, in their order.
    pub fn step(&mut self, bars: &[(usize, Here<'r, '_>)], log: &mut impl Log) {
        if self.book.ruined {
            return;
        }
        for (symbol, here) in bars {
            let seen = here.seen();
            self.seen[*symbol] = Some(seen);
            self.book.price(*symbol, here.open());
        }
        self.steps(bars, log);
        if self.book.ruined {
            self.end_all(log);
        }
    }

    fn steps(&mut self, bars: &[(usize, Here<'r, '_>)], log: &mut impl Log) {
        // `fill="close"`: before step 1.
        for (symbol, input) in inputs(bars) {
            self.on(symbol, log, |replay, desk| replay.leave_queued(input, Fill::Close, desk));
        }
        self.enter(bars, log, true);
        for (symbol, input) in inputs(bars) {
            self.book.price(symbol, input.bar.open);
            self.on(symbol, log, |replay, desk| replay.before_entries(input, desk));
        }
        self.enter(bars, log, false);
        for (symbol, here) in bars {
            if let Here::Bar(input) = here {
                self.on(*symbol, log, |replay, desk| replay.after_entries(input, desk));
            }
            if self.book.ruined {
                return;
            }
            self.book.price(*symbol, here.close());
            if let Some(seen) = &mut self.seen[*symbol] {
                seen.known = Known::Close;
            }
        }
    }

    /// Takes a step of one symbol, unless the account is ruined.
    fn on<L: Log>(
        &mut self,
        symbol: usize,
        log: &mut L,
        step: impl FnOnce(&mut Replay<'r>, &mut Desk<'_, L>),
    ) {
        if !self.book.ruined {
            step(&mut self.symbols[symbol], &mut Desk { book: &mut self.book, symbol, log });
        }
    }

    /// Entries that are due, at the previous closes or at the opens: by larger excess, then by symbol.
    fn enter(&mut self, bars: &[(usize, Here<'r, '_>)], log: &mut impl Log, closes: bool) {
        let mut due = std::mem::take(&mut self.due);
        due.clear();
        due.extend(bars.iter().enumerate().filter_map(|(place, (symbol, here))| {
            let Here::Bar(input) = here else { return None };
            let replay = &self.symbols[*symbol];
            let excess =
                if closes { replay.queued(Fill::Close) } else { replay.due_at_open(input) };
            Some((excess?, place))
        }));
        if due.len() > 1 {
            due.sort_by(|a, b| b.0.total_cmp(&a.0));
        }
        for (_, place) in &due {
            let (symbol, Here::Bar(input)) = &bars[*place] else { continue };
            self.on(*symbol, log, |replay, desk| {
                if closes {
                    replay.enter_queued(input, Fill::Close, desk);
                } else {
                    replay.enter_at_open(input, desk);
                }
            });
        }
        self.due = due;
    }

    /// Ruin: what is still open ends at the last price known of it.
    fn end_all(&mut self, log: &mut impl Log) {
        for symbol in 0..self.symbols.len() {
            let (Some(seen), Some(held)) = (self.seen[symbol], self.symbols[symbol].held()) else {
                continue;
            };
            if self.book.held[symbol].is_none() {
                continue;
            }
            let mut held = held.clone();
            let price = self.book.prices[symbol];
            held.see_price(price);
            let unit = self.book.end(symbol);
            let (time, at_open) = match seen.known {
                Known::Open => (seen.open_time, true),
                Known::Close => (seen.close_time, false),
            };
            let at = ExitPoint { bar: seen.index, time, at_open, reason: Reason::Liquidation };
            let exit = Exit::Liquidation { price };
            log.trade(symbol, &held.trade(exit, &at, &held.unit_change(exit), unit));
        }
    }
}

/// The bar that a symbol has in a time step.
#[derive(Clone, Copy, Debug)]
pub enum Here<'r, 'a> {
    /// One to be stepped.
    Bar(StepInput<'r, 'a>),
    /// One in which nothing happens but the price: its number in the window, times and prices.
    Silent {
        /// Position in the window.
        index: usize,
        /// Opening and closing time.
        times: (i64, i64),
        /// Open and close.
        prices: (f64, f64),
    },
}

impl Here<'_, '_> {
    fn seen(&self) -> Seen {
        let known = Known::Open;
        match self {
            Self::Bar(input) => Seen {
                index: input.index,
                open_time: input.bar.open_time,
                close_time: input.close_time,
                known,
            },
            Self::Silent { index, times, .. } => {
                Seen { index: *index, open_time: times.0, close_time: times.1, known }
            }
        }
    }

    fn open(&self) -> f64 {
        match self {
            Self::Bar(input) => input.bar.open,
            Self::Silent { prices, .. } => prices.0,
        }
    }

    fn close(&self) -> f64 {
        match self {
            Self::Bar(input) => input.bar.close,
            Self::Silent { prices, .. } => prices.1,
        }
    }
}

/// The bars that are stepped.
fn inputs<'i, 'r, 'a>(
    bars: &'i [(usize, Here<'r, 'a>)],
) -> impl Iterator<Item = (usize, &'i StepInput<'r, 'a>)> {
    bars.iter().filter_map(|(symbol, here)| match here {
        Here::Bar(input) => Some((*symbol, input)),
        Here::Silent { .. } => None,
    })
}
