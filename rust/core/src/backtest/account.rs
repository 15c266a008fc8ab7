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

pub mod book;
pub mod run;
pub mod sweep;

#[cfg(feature = "indexed")]
pub(crate) use book::NOTHING_LEFT;
pub use book::{Book, Limits, Refusal, Refused};

use crate::backtest::position::{EntryFill, Exit, ExitPoint, Order, Position};
use crate::backtest::record::{Observer, Reason, Trade};
use crate::backtest::replay::{Planned, Replay, StepInput};
use crate::backtest::rules::{Fill, Rules};
use crate::backtest::state;
use crate::features::node::Visit;
use crate::instrument::Instrument;

/// Takes what an account writes down, in time order.
pub trait Log {
    /// A trade of a symbol has closed.
    fn trade(&mut self, symbol: usize, trade: &Trade);
    /// An entry was refused.
    fn refused(&mut self, refused: &Refused);
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

    /// The position of a symbol; none after ruin.
    pub fn held(&self, symbol: usize) -> Option<&Position<'r>> {
        self.symbols[symbol].held().filter(|_| !self.book.ruined)
    }

    /// The entry of a symbol that waits after the close of its bar `index`, as the account would fill it now.
    pub fn planned(&self, symbol: usize, index: usize, close: f64) -> Option<Planned> {
        let replay = self.symbols.get(symbol).filter(|_| !self.book.ruined)?;
        replay.planned_by(index, close, |order, fill, instrument| {
            self.book.preview(symbol, order, fill, instrument, close)
        })
    }

    /// Shows every field that changes, in a fixed order; `book` gives the rules of each symbol.
    pub fn visit(&mut self, state: &mut dyn Visit, book: impl Fn(usize) -> &'r [Rules]) {
        for (symbol, replay) in self.symbols.iter_mut().enumerate() {
            replay.visit(state, book(symbol));
        }
        let never = Seen { index: 0, open_time: 0, close_time: 0, known: Known::Open };
        for seen in &mut self.seen {
            state::optional(
                state,
                seen,
                || never,
                |seen, state| {
                    state::count(state, &mut seen.index);
                    state.int(&mut seen.open_time);
                    state.int(&mut seen.close_time);
                    let mut closed = matches!(seen.known, Known::Close);
                    state::flag(state, &mut closed);
                    seen.known = if closed { Known::Close } else { Known::Open };
                },
            );
        }
        self.book.visit(state);
        self.book.hold(&self.symbols);
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
        // Who entered at the close before counts as carried: its open is known as those of all others are.
        for (symbol, input) in inputs(bars) {
            self.book.price(symbol, input.bar.open);
        }
        for (symbol, input) in inputs(bars) {
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
