//! Bar by bar: the definition of a backtest, and the live path. EXECUTION.md, section 2, step by step.
//!
//! [`Replay::step`] takes one closed bar with the signals known at its close and leaves the account as it stands then.
//! It decides *when*; every price, size and profit comes from `position.rs`.

mod input;
mod planned;
mod shared;

pub use input::{SignalRow, StepInput};
pub use planned::Planned;

use input::{Piece, Seen};

use crate::backtest::costs::Costs;
use crate::backtest::position::{EntryFill, Exit, ExitPoint, Order, Position, taker_price};
use crate::backtest::record::{Observer, Reason, Side};
use crate::backtest::rules::{Entry, Fill, Intrabar, Rules};
use crate::backtest::state;
use crate::bars::Bar;
use crate::features::node::Visit;
use crate::instrument::Instrument;

/// A resting entry and the bars in which it may fill.
#[derive(Clone, Debug)]
struct Resting<'r> {
    order: Order<'r>,
    level: f64,
    first_bar: usize,
    last_bar: usize,
}

/// An account stepped through bars.
#[derive(Clone, Debug)]
pub struct Replay<'r> {
    costs: Costs,
    instrument: Instrument,
    initial_equity: f64,
    equity: f64,
    ruined: bool,
    position: Option<Position<'r>>,
    queued_exit: Option<Reason>,
    queued_entry: Option<Order<'r>>,
    resting: Option<Resting<'r>>,
    last_exit: Option<usize>,
}

impl<'r> Replay<'r> {
    /// An account without a position.
    pub fn new(costs: Costs, instrument: Instrument, initial_equity: f64) -> Self {
        Self {
            costs,
            instrument,
            initial_equity,
            equity: initial_equity,
            ruined: false,
            position: None,
            queued_exit: None,
            queued_entry: None,
            resting: None,
            last_exit: None,
        }
    }

    /// Shows every field that changes, in a fixed order; rules are numbered as in `book`, which must not be empty and
    /// must hold all that the account was given.
    pub fn visit(&mut self, state: &mut dyn Visit, book: &'r [Rules]) {
        let Self {
            costs: _,
            instrument: _,
            initial_equity,
            equity,
            ruined,
            position,
            queued_exit,
            queued_entry,
            resting,
            last_exit,
        } = self;
        state.float(initial_equity);
        state.float(equity);
        state::flag(state, ruined);
        let any = &book[0];
        state::optional(
            state,
            position,
            || Position::blank(any),
            |held, state| held.visit(state, book),
        );
        state::reason(state, queued_exit);
        state::optional(
            state,
            queued_entry,
            || Order::blank(any),
            |order, state| order.visit(state, book),
        );
        state::optional(
            state,
            resting,
            || Resting { order: Order::blank(any), level: f64::NAN, first_bar: 0, last_bar: 0 },
            |resting, state| {
                resting.order.visit(state, book);
                state.float(&mut resting.level);
                state::count(state, &mut resting.first_bar);
                state::count(state, &mut resting.last_bar);
            },
        );
        state::optional(state, last_exit, || 0, |bar, state| state::count(state, bar));
    }

    /// Whether no order is pending, so that only prices, signals, funding and time can cause the next event.
    pub fn is_settled(&self) -> bool {
        self.queued_exit.is_none() && self.queued_entry.is_none() && self.resting.is_none()
    }

    /// Whether the account is ruined, which ends the run.
    pub fn is_ruined(&self) -> bool {
        self.ruined
    }

    /// The open position.
    pub fn held(&self) -> Option<&Position<'r>> {
        self.position.as_ref()
    }

    /// Equity after the last closed trade.
    pub fn equity(&self) -> f64 {
        self.equity
    }

    /// First bar of the window at whose close entries are decided again after the last exit.
    pub fn decides_from(&self, rules: &Rules) -> Option<usize> {
        self.last_exit.map(|exit| exit + rules.cooldown as usize)
    }

    /// Takes note of the extremes of bars in which nothing happened.
    pub fn see_range(&mut self, lowest: f64, highest: f64) {
        if let Some(held) = &mut self.position {
            held.see_price(lowest);
            held.see_price(highest);
        }
    }

    /// Takes one closed bar.
    pub fn step(&mut self, input: &StepInput<'r, '_>, out: &mut impl Observer) {
        self.take(input, [input.bar], true, out);
    }

    /// Takes one closed bar that is run on the finer bars it is made up of (section 7).
    pub fn step_on(
        &mut self,
        input: &StepInput<'r, '_>,
        finer: impl IntoIterator<Item = Bar>,
        out: &mut impl Observer,
    ) {
        self.take(input, finer, false, out);
    }

    fn take(
        &mut self,
        input: &StepInput<'r, '_>,
        pieces: impl IntoIterator<Item = Bar>,
        whole: bool,
        out: &mut impl Observer,
    ) {
        if !self.ruined {
            self.run_bar(input, pieces, whole, out);
        }
        if self.ruined {
            out.mark(input.index, 0.0);
        } else {
            let close = input.bar.close;
            out.mark(
                input.index,
                self.position.as_ref().map_or(self.equity, |held| held.mark(close)),
            );
        }
    }

    fn run_bar(
        &mut self,
        input: &StepInput<'r, '_>,
        pieces: impl IntoIterator<Item = Bar>,
        whole: bool,
        out: &mut impl Observer,
    ) {
        self.fill_queued(input, Fill::Close, out);
        self.settle_funding(input, out);
        self.liquidate_at_open(input, &Piece { bar: input.bar, first: true }, out);
        // What is filled at an open is not carried into it.
        let mut carried = self.position.is_some() && self.queued_exit.is_none();
        self.fill_queued(input, Fill::NextOpen, out);
        let mut first = true;
        for bar in pieces {
            if self.position.is_none() && self.resting.is_none() {
                break;
            }
            let piece = Piece { bar, first };
            if carried {
                self.liquidate_at_open(input, &piece, out);
                self.stop_or_target_at_open(input, &piece, out);
            }
            let just_inside = self.fill_resting(input, &piece, out);
            self.inside(input, &piece, just_inside, out);
            carried = self.position.is_some();
            first = false;
        }
        self.resting.take_if(|resting| input.index >= resting.last_bar);
        self.at_close(input, whole, out);
    }

    /// Ends the position; ruin drops whatever is pending.
    fn close(&mut self, exit: Exit, at: ExitPoint, out: &mut impl Observer) {
        let Some(held) = self.position.take() else { return };
        let (trade, after) = out.close(&held, exit, &at, self.initial_equity);
        out.trade(&trade);
        self.equity = after;
        self.last_exit = Some(at.bar);
        self.queued_exit = None;
        if after == 0.0 {
            self.ruined = true;
            self.queued_entry = None;
            self.resting = None;
        }
    }

    /// Ends the position before the close; `seen` is what it met of the bar.
    fn leave(
        &mut self,
        input: &StepInput<'r, '_>,
        seen: Seen,
        reason: Reason,
        exit: impl FnOnce(&Position<'r>, &Costs) -> Exit,
        out: &mut impl Observer,
    ) {
        let Some(held) = &mut self.position else { return };
        let at_open = match seen {
            Seen::Open(price) => {
                held.see_price(price);
                true
            }
            Seen::Bar => {
                held.see_bar(&input.bar);
                false
            }
        };
        let exit = exit(held, &self.costs);
        let at = ExitPoint { bar: input.index, time: input.bar.open_time, at_open, reason };
        self.close(exit, at, out);
    }

    /// Step 3: orders queued at the last close, exit first. Under `fill="close"` they fill at that close, before step 1.
    fn fill_queued(&mut self, input: &StepInput<'r, '_>, mode: Fill, out: &mut impl Observer) {
        self.leave_queued(input, mode, out);
        self.enter_queued(input, mode, out);
    }

    /// The exit of step 3.
    pub(super) fn leave_queued(
        &mut self,
        input: &StepInput<'r, '_>,
        mode: Fill,
        out: &mut impl Observer,
    ) {
        let base = input.base(mode);
        if let (Some(held), Some(reason)) = (&self.position, self.queued_exit)
            && held.rules.fill == mode
        {
            let fill = |held: &Position<'r>, costs: &Costs| held.taker_exit(base, costs);
            self.leave(input, Seen::Open(base), reason, fill, out);
        }
    }

    /// The market entry of step 3.
    pub(super) fn enter_queued(
        &mut self,
        input: &StepInput<'r, '_>,
        mode: Fill,
        out: &mut impl Observer,
    ) {
        if let Some(order) = self.queued_entry.take_if(|order| order.rules.fill == mode)
            && !self.ruined
        {
            let buying = order.side == Side::Long;
            let price = taker_price(input.base(mode), buying, &self.costs);
            self.enter(&order, price, self.costs.taker, input, false, out);
        }
    }

    fn enter(
        &mut self,
        order: &Order<'r>,
        price: f64,
        fee_rate: f64,
        input: &StepInput<'r, '_>,
        inside: bool,
        out: &mut impl Observer,
    ) {
        let fill =
            EntryFill { price, fee_rate, bar: input.index, time: input.bar.open_time, inside };
        self.position = out.open(order, fill, self.equity, &self.instrument);
    }

    /// Step 1.
    fn settle_funding(&mut self, input: &StepInput<'r, '_>, out: &mut impl Observer) {
        let Some(held) = &mut self.position else { return };
        // Filled at the previous close, it holds only from there on.
        let fresh = held.entry_bar == input.index;
        let open = input.bar.open;
        let mut due = false;
        for (&time, &rate) in input.funding_time.iter().zip(input.funding_rate) {
            if !fresh || time == input.bar.open_time {
                held.charge_funding(rate, open);
                due = true;
            }
        }
        if due && out.is_bankrupt(held, open) {
            let empty = |_: &Position<'r>, _: &Costs| Exit::Bankruptcy { price: open };
            self.leave(input, Seen::Open(open), Reason::Liquidation, empty, out);
        }
    }

    /// Step 2.
    fn liquidate_at_open(
        &mut self,
        input: &StepInput<'r, '_>,
        piece: &Piece,
        out: &mut impl Observer,
    ) {
        let open = piece.bar.open;
        if let Some(held) = &self.position
            && held.side.at_or_worse(open, held.liquidation)
        {
            let price = held.liquidation;
            let liquidate = |_: &Position<'r>, _: &Costs| Exit::Liquidation { price };
            self.leave(input, piece.seen(), Reason::Liquidation, liquidate, out);
        }
    }

    /// Step 4.
    fn stop_or_target_at_open(
        &mut self,
        input: &StepInput<'r, '_>,
        piece: &Piece,
        out: &mut impl Observer,
    ) {
        let Some(held) = &self.position else { return };
        let open = piece.bar.open;
        let (stop, reason) = held.stop_in_force();
        if held.side.at_or_worse(open, stop) {
            let fill = |held: &Position<'r>, costs: &Costs| held.taker_exit(open, costs);
            self.leave(input, piece.seen(), reason, fill, out);
        } else if held.target_hit(open) {
            self.leave(input, piece.seen(), Reason::Take, Position::target_exit, out);
        }
    }

    /// Step 5; whether the entry was filled inside the piece.
    fn fill_resting(
        &mut self,
        input: &StepInput<'r, '_>,
        piece: &Piece,
        out: &mut impl Observer,
    ) -> bool {
        if self.position.is_some() {
            return false;
        }
        let Some(Resting { order, level, first_bar, last_bar }) = self.resting.take() else {
            return false;
        };
        // A buy fills at its level or lower, so "better" is the short's side of the comparison.
        let better = order.side.opposite();
        let open = piece.bar.open;
        if input.index == first_bar && piece.first && better.at_or_beyond(open, level) {
            let slipped = taker_price(open, order.side == Side::Long, &self.costs);
            let price = if better.beyond(level, slipped) { level } else { slipped };
            self.enter(&order, price, self.costs.taker, input, false, out);
        } else if better.beyond(open, level) {
            self.enter(&order, level, self.costs.maker, input, !piece.first, out);
        } else if better.beyond(order.side.worst(&piece.bar), level) {
            self.enter(&order, level, self.costs.maker, input, true, out);
            return true;
        } else {
            self.resting = Some(Resting { order, level, first_bar, last_bar });
        }
        false
    }

    /// Step 6; `just_inside`: the entry was filled inside the piece.
    fn inside(
        &mut self,
        input: &StepInput<'r, '_>,
        piece: &Piece,
        just_inside: bool,
        out: &mut impl Observer,
    ) {
        let Some(held) = &mut self.position else { return };
        let side = held.side;
        let open = piece.bar.open;
        let (stop, stop_reason) = held.stop_in_force();
        // The level nearer to the winning side comes first; the stop if equal or if it alone is set.
        let liquidated =
            side.beyond(held.liquidation, stop) || (stop.is_nan() && !held.liquidation.is_nan());
        let adverse_level = if liquidated { held.liquidation } else { stop };
        let adverse = side.at_or_worse(side.worst(&piece.bar), adverse_level);
        let target =
            held.target_hit(side.best(&piece.bar)) && (!just_inside || held.target_ahead_of(open));
        if target && (adverse || just_inside) {
            held.ambiguous = true;
        }
        held.see_bar(&input.bar);
        let take = target
            && match held.rules.intrabar {
                Intrabar::Optimistic => true,
                _ if just_inside => false,
                Intrabar::Pessimistic => !adverse,
                Intrabar::NearestOpen => {
                    !adverse || (held.target - open).abs() < (adverse_level - open).abs()
                }
            };
        let (exit, reason) = if take {
            (held.target_exit(&self.costs), Reason::Take)
        } else if adverse && liquidated {
            (Exit::Liquidation { price: held.liquidation }, Reason::Liquidation)
        } else if adverse {
            let base = if side.beyond(stop, open) { open } else { stop };
            (held.taker_exit(base, &self.costs), stop_reason)
        } else {
            return;
        };
        let at = ExitPoint { bar: input.index, time: input.bar.open_time, at_open: false, reason };
        self.close(exit, at, out);
    }

    /// Steps 7 and 8; `whole`: the bar was run on itself.
    fn at_close(&mut self, input: &StepInput<'r, '_>, whole: bool, out: &mut impl Observer) {
        if input.last {
            if let Some(held) = &self.position {
                let exit = held.taker_exit(input.bar.close, &self.costs);
                let at = ExitPoint {
                    bar: input.index,
                    time: input.close_time,
                    at_open: false,
                    reason: Reason::End,
                };
                self.close(exit, at, out);
            }
            self.forget();
            return;
        }
        if self.position.is_some() {
            self.queue_exit(input, whole);
        } else if !self.ruined && self.resting.is_none() {
            self.decide(input);
        }
    }

    /// Pending orders and cooling-down end with the run.
    fn forget(&mut self) {
        self.queued_entry = None;
        self.queued_exit = None;
        self.resting = None;
        self.last_exit = None;
    }

    /// Step 7, (b) and (c).
    fn queue_exit(&mut self, input: &StepInput<'r, '_>, whole: bool) {
        let Some(held) = &mut self.position else { return };
        let (p, threshold) = match held.side {
            Side::Long => (input.row.exit_long, held.rules.exit_long),
            Side::Short => (input.row.exit_short, held.rules.exit_short),
        };
        let other = input
            .rules
            .filter(|rules| rules.reverse)
            .and_then(|rules| choose(rules, &input.row, input.index, input.bar.close))
            .filter(|order| order.side != held.side);
        let signalled = threshold.is_some_and(|threshold| p >= threshold);
        let overdue =
            held.rules.max_hold.is_some_and(|most| held.bars_held(input.index) >= most as usize);
        self.queued_exit = if signalled {
            Some(Reason::Signal)
        } else if overdue {
            Some(Reason::Time)
        } else if other.is_some() {
            Some(Reason::Reverse)
        } else {
            held.trail(&input.bar, input.index, whole);
            None
        };
        self.queued_entry = other;
    }

    /// Step 8.
    fn decide(&mut self, input: &StepInput<'r, '_>) {
        let Some(rules) = input.rules else { return };
        let cooling = self.decides_from(rules).is_some_and(|from| input.index < from);
        if cooling {
            return;
        }
        let Some(order) = choose(rules, &input.row, input.index, input.bar.close) else { return };
        match rules.entry {
            Entry::Market => self.queued_entry = Some(order),
            Entry::Limit => {
                self.resting = Some(Resting {
                    order,
                    level: order.limit_level(input.bar.close),
                    first_bar: input.index + 1,
                    last_bar: input.index + rules.limit_bars as usize,
                });
            }
        }
    }
}

/// The side that qualifies at a close, if any (step 8, position and pending orders aside).
pub(crate) fn choose<'r>(
    rules: &'r Rules,
    row: &SignalRow,
    index: usize,
    close: f64,
) -> Option<Order<'r>> {
    let order = |side: Side, p: f64, threshold: Option<f64>| {
        let threshold = threshold.filter(|threshold| p >= *threshold)?;
        let order = Order {
            rules,
            side,
            signal_bar: index,
            p,
            threshold,
            atr: row.atr,
            volatility: row.volatility,
            stop: row.stop,
            target: row.target,
            size: row.size,
        };
        order.is_complete(close).then_some(order)
    };
    let long = order(Side::Long, row.long, rules.entry_long);
    let short = order(Side::Short, row.short, rules.entry_short);
    if let Some(gate) = rules.short_gate {
        let p_long = if row.long.is_nan() { f64::NEG_INFINITY } else { row.long };
        return short.filter(|short| short.p - p_long >= gate).or(long);
    }
    match (long, short) {
        (Some(long), Some(short)) => {
            let (up, down) = (long.p - long.threshold, short.p - short.threshold);
            if up > down {
                Some(long)
            } else if down > up {
                Some(short)
            } else {
                None
            }
        }
        (long, short) => long.or(short),
    }
}
