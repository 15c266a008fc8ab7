//! The only place that computes money: sizes, levels, fills, fees, funding, profit and loss.
//!
//! Everything is per unit of the equity at entry, so that a trade's return has the same bits whatever the account;
//! [`Position::close`] multiplies by the equity once, for the record. Engines find the bars and ask here for the rest.
//! Sections named in the comments are those of EXECUTION.md.

mod closing;
pub mod holding;
mod order;

use crate::backtest::costs::Costs;
use crate::backtest::record::{Reason, Side};
use crate::backtest::rules::{Rules, TargetOrder};
use crate::backtest::state;
use crate::bars::Bar;
use crate::features::node::Visit;
use crate::instrument::Instrument;
pub use closing::{Exit, ExitPoint, UnitClose};
use holding::Holding;
pub use order::Order;

/// A minimal notional is missed only beyond this relative rounding slack (section 3).
const NOTIONAL_SLACK: f64 = 1e-12;

/// Accounts below this share of the initial equity are ruined (section 3).
pub const RUIN: f64 = 1e-9;

/// Notional whose margin and fee make up `share`.
#[inline]
pub fn levered(share: f64, leverage: f64, fee_rate: f64) -> f64 {
    let fee_guard = if fee_rate > 0.0 { fee_rate } else { 0.0 };
    share * leverage / (1.0 + leverage * fee_guard)
}

/// Price of a taker order on `base`: worse by the slippage.
pub fn taker_price(base: f64, buying: bool, costs: &Costs) -> f64 {
    if buying { base * (1.0 + costs.slippage) } else { base * (1.0 - costs.slippage) }
}

/// Where and how an entry is filled.
#[derive(Clone, Copy, Debug)]
pub struct EntryFill {
    /// Fill price, slippage included.
    pub price: f64,
    /// Fee rate of the fill.
    pub fee_rate: f64,
    /// Bar of the fill.
    pub bar: usize,
    /// Opening time of that bar.
    pub time: i64,
    /// Filled after its bar's open by a resting order, so that only that bar's close is known to come after.
    pub inside: bool,
}

/// What an order gets when it fills, per unit of the equity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Amounts {
    /// Share of the equity asked for.
    pub share: f64,
    quantity: f64,
    notional: f64,
    margin: f64,
    entry_fee: f64,
}

impl Amounts {
    /// Where there is `room` for a notional of so much per unit of equity; `None` if the size is void (section 3).
    #[inline]
    pub fn of(
        order: &Order<'_>,
        fill: &EntryFill,
        equity: f64,
        instrument: &Instrument,
        room: f64,
    ) -> Option<Self> {
        let share = order.share(fill.price);
        let mut notional = order.notional(share, fill.fee_rate, equity);
        if room < notional {
            notional = room;
        }
        let mut quantity = notional / fill.price;
        if instrument.lot > 0.0 {
            quantity = (quantity * equity / instrument.lot).floor() * instrument.lot / equity;
        }
        notional = quantity * fill.price;
        if notional <= 0.0 || notional * equity < instrument.min_notional * (1.0 - NOTIONAL_SLACK) {
            return None;
        }
        Some(Self {
            share,
            quantity,
            notional,
            margin: notional / order.rules.leverage,
            entry_fee: fill.fee_rate * quantity * fill.price,
        })
    }
}

/// An open position; amounts are per unit of `equity`.
#[derive(Clone, Debug)]
pub struct Position<'r> {
    /// Rules of the signal bar.
    pub rules: &'r Rules,
    /// Side held.
    pub side: Side,
    /// Bar of the fill.
    pub entry_bar: usize,
    /// Filled after its bar's open by a resting order.
    pub filled_inside: bool,
    /// Target level; NaN if none.
    pub target: f64,
    /// Liquidation level; NaN if it can never be reached.
    pub liquidation: f64,
    /// Stop and target were both inside a bar, or the order of events in the entry bar is unknown.
    pub ambiguous: bool,
    /// A trailing or break-even level moved beyond prices of its own bar.
    pub ambiguous_trail: bool,
    signal_bar: usize,
    entry_time: i64,
    equity: f64,
    fill: f64,
    share: f64,
    quantity: f64,
    notional: f64,
    margin: f64,
    entry_fee: f64,
    funding: f64,
    p: f64,
    stop: f64,
    break_even: f64,
    trail: f64,
    extreme: f64,
    worst: f64,
    best: f64,
}

/// A position, or what an order would become, in money; levels are NaN where there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shown {
    /// Side held.
    pub side: Side,
    /// Opening time of the entry bar.
    pub entry_time: i64,
    /// Fill price.
    pub price: f64,
    /// Units of the base.
    pub quantity: f64,
    /// Share of the equity meant for margin and entry fee.
    pub fraction: f64,
    /// Notional per margin.
    pub leverage: f64,
    /// Stop in force.
    pub stop: f64,
    /// Target.
    pub target: f64,
    /// Liquidation level.
    pub liquidation: f64,
    /// Signal value at the decision.
    pub p: f64,
}

/// Levels at or below zero never fire.
fn level(price: f64) -> f64 {
    if price > 0.0 { price } else { f64::NAN }
}

impl<'r> Position<'r> {
    /// Fills an order; `None` if its size is void (section 3).
    #[inline]
    pub fn open(
        order: &Order<'r>,
        fill: EntryFill,
        equity: f64,
        instrument: &Instrument,
    ) -> Option<Self> {
        Self::open_within(order, fill, equity, instrument, f64::INFINITY)
    }

    /// The same where there is `room` for a notional of so much per unit of equity.
    #[inline]
    pub fn open_within(
        order: &Order<'r>,
        fill: EntryFill,
        equity: f64,
        instrument: &Instrument,
        room: f64,
    ) -> Option<Self> {
        let amounts = Amounts::of(order, &fill, equity, instrument, room)?;
        Some(Self::filled(order, fill, equity, instrument, amounts))
    }

    /// A position of an order that fills so, without its amounts: its levels do not go by what it gets.
    #[inline]
    pub fn outline(order: &Order<'r>, fill: EntryFill, instrument: &Instrument) -> Self {
        let nothing = Amounts {
            share: order.share(fill.price),
            quantity: 0.0,
            notional: 0.0,
            margin: 0.0,
            entry_fee: 0.0,
        };
        Self::filled(order, fill, 0.0, instrument, nothing)
    }

    #[inline]
    fn filled(
        order: &Order<'r>,
        fill: EntryFill,
        equity: f64,
        instrument: &Instrument,
        Amounts { share, quantity, notional, margin, entry_fee }: Amounts,
    ) -> Self {
        let rules = order.rules;
        let side = order.side;
        let sign = side.sign();
        let inverse = 1.0 / rules.leverage;
        let liquidation = match side {
            Side::Long => fill.price * (1.0 - inverse) / (1.0 - instrument.maintenance),
            Side::Short => fill.price * (1.0 + inverse) / (1.0 + instrument.maintenance),
        };
        Self {
            rules,
            side,
            entry_bar: fill.bar,
            filled_inside: fill.inside,
            target: order.target_level(rules.take_profit, fill.price, share),
            liquidation: level(liquidation),
            ambiguous: false,
            ambiguous_trail: false,
            signal_bar: order.signal_bar,
            entry_time: fill.time,
            equity,
            fill: fill.price,
            share,
            quantity,
            notional,
            margin,
            entry_fee,
            funding: 0.0,
            p: order.p,
            stop: order.stop_level(rules.stop_loss, fill.price, share),
            break_even: f64::NAN,
            trail: f64::NAN,
            extreme: -sign * f64::INFINITY,
            worst: fill.price,
            best: fill.price,
        }
    }

    /// A position that a saved one is loaded into.
    pub(crate) fn blank(rules: &'r Rules) -> Self {
        Self {
            rules,
            side: Side::Long,
            entry_bar: 0,
            filled_inside: false,
            target: f64::NAN,
            liquidation: f64::NAN,
            ambiguous: false,
            ambiguous_trail: false,
            signal_bar: 0,
            entry_time: 0,
            equity: f64::NAN,
            fill: f64::NAN,
            share: f64::NAN,
            quantity: f64::NAN,
            notional: f64::NAN,
            margin: f64::NAN,
            entry_fee: f64::NAN,
            funding: f64::NAN,
            p: f64::NAN,
            stop: f64::NAN,
            break_even: f64::NAN,
            trail: f64::NAN,
            extreme: f64::NAN,
            worst: f64::NAN,
            best: f64::NAN,
        }
    }

    /// Shows every field in a fixed order; a field that is added and not shown does not compile.
    pub(crate) fn visit(&mut self, state: &mut dyn Visit, book: &'r [Rules]) {
        let Self {
            rules,
            side,
            entry_bar,
            filled_inside,
            target,
            liquidation,
            ambiguous,
            ambiguous_trail,
            signal_bar,
            entry_time,
            equity,
            fill,
            share,
            quantity,
            notional,
            margin,
            entry_fee,
            funding,
            p,
            stop,
            break_even,
            trail,
            extreme,
            worst,
            best,
        } = self;
        state::rules(state, rules, book);
        state::side(state, side);
        for value in [entry_bar, signal_bar] {
            state::count(state, value);
        }
        for value in [filled_inside, ambiguous, ambiguous_trail] {
            state::flag(state, value);
        }
        state.int(entry_time);
        for value in [target, liquidation, equity, fill, share, quantity, notional, margin] {
            state.float(value);
        }
        for value in [entry_fee, funding, p, stop, break_even, trail, extreme, worst, best] {
            state.float(value);
        }
    }

    /// What is held, in money, for whoever watches.
    pub fn shown(&self) -> Shown {
        Shown {
            side: self.side,
            entry_time: self.entry_time,
            price: self.fill,
            quantity: self.quantity * self.equity,
            fraction: self.share,
            leverage: self.rules.leverage,
            stop: self.stop_in_force().0,
            target: self.target,
            liquidation: self.liquidation,
            p: self.p,
        }
    }

    /// Bars held so far, `bar` included.
    pub fn bars_held(&self, bar: usize) -> usize {
        bar - self.entry_bar + 1
    }

    /// Charges one settlement at the bar's open; positive rates are paid by longs.
    pub fn charge_funding(&mut self, rate: f64, open: f64) {
        self.funding -= self.side.sign() * rate * self.quantity * open;
    }

    /// Whether funding has left nothing of the account at `open` (section 2, step 1).
    pub fn is_bankrupt(&self, open: f64) -> bool {
        1.0 - self.entry_fee + self.funding + self.price_part(open, 0.0) <= 0.0
    }

    /// Profit from the price less `exit_fee`, capped at the margin.
    fn price_part(&self, price: f64, exit_fee: f64) -> f64 {
        Holding::of(self).price_part(price, exit_fee)
    }

    /// The most favourable of stop, break-even and trailing level, with its reason; NaN if none is set.
    pub fn stop_in_force(&self) -> (f64, Reason) {
        let mut best = (self.stop, Reason::Stop);
        for (level, reason) in [(self.break_even, Reason::BreakEven), (self.trail, Reason::Trail)] {
            // A later one wins only if strictly better, so that equal levels take the first reason.
            if best.0.is_nan() || self.side.sign() * level > self.side.sign() * best.0 {
                best = (level, reason);
            }
        }
        best
    }

    /// Whether `price` sets off the target.
    pub fn target_hit(&self, price: f64) -> bool {
        self.target_hit_at(self.target, price)
    }

    /// Whether `price` sets off a target at this level.
    pub fn target_hit_at(&self, target: f64, price: f64) -> bool {
        match self.rules.take_profit_order {
            TargetOrder::Limit => self.side.beyond(price, target),
            TargetOrder::Market => self.side.at_or_beyond(price, target),
        }
    }

    /// Whether the target lies beyond both the fill and `open`, so that an entry inside the bar can still meet it.
    pub fn target_ahead_of(&self, open: f64) -> bool {
        self.side.beyond(self.target, self.fill) && self.side.beyond(self.target, open)
    }

    /// Stop and target if they stood at these multiples; NaN if none or never reached.
    pub fn levels_of(
        &self,
        order: &Order<'_>,
        stop: Option<f64>,
        target: Option<f64>,
    ) -> (f64, f64) {
        let (fill, share) = (self.fill, self.share);
        (order.stop_level(stop, fill, share), order.target_level(target, fill, share))
    }

    /// Trailing stop behind `extreme`; NaN if none or never reached.
    pub fn trail_level(&self, extreme: f64) -> f64 {
        let Some(distance) = self.rules.trailing else { return f64::NAN };
        level(extreme * (1.0 - self.side.sign() * distance))
    }

    /// Price that sets off the break-even stop; NaN if none.
    pub fn break_even_trigger(&self) -> f64 {
        let Some(trigger) = self.rules.break_even else { return f64::NAN };
        self.fill * (1.0 + self.side.sign() * trigger)
    }

    /// Break-even stop once set off; NaN if never reached.
    pub fn break_even_level(&self) -> f64 {
        level(self.fill * (1.0 + self.side.sign() * self.rules.break_even_offset))
    }

    /// Takes note of a whole bar, for the worst and best price.
    pub fn see_bar(&mut self, bar: &Bar) {
        self.see_price(bar.low);
        self.see_price(bar.high);
    }

    /// Takes note of one price.
    pub fn see_price(&mut self, price: f64) {
        if self.side.beyond(price, self.best) {
            self.best = price;
        }
        if self.side.beyond(self.worst, price) {
            self.worst = price;
        }
    }

    /// Worst and best price seen so far.
    pub fn seen(&self) -> (f64, f64) {
        (self.worst, self.best)
    }

    /// Moves trailing and break-even levels by a closed bar; they act from the next one (section 2, step 7c).
    ///
    /// `asked` is whether a level that lay inside its own bar makes the trade ambiguous.
    pub fn trail(&mut self, bar: &Bar, index: usize, asked: bool) {
        let rules = self.rules;
        if rules.trailing.is_none() && rules.break_even.is_none() {
            return;
        }
        let close_only = self.filled_inside && index == self.entry_bar;
        let reach = if close_only { bar.close } else { self.side.best(bar) };
        if self.side.beyond(reach, self.extreme) {
            self.extreme = reach;
        }
        self.trail = self.trail_level(self.extreme);
        if self.side.at_or_beyond(self.extreme, self.break_even_trigger()) {
            self.break_even = self.break_even_level();
        }
        if asked
            && !close_only
            && self.side.at_or_worse(self.side.worst(bar), self.stop_in_force().0)
        {
            self.ambiguous_trail = true;
        }
    }

    /// Marked equity at a close.
    pub fn mark(&self, close: f64) -> f64 {
        marked(self.equity, self.unit_mark(close))
    }

    /// Marked equity at a close per unit of the equity at entry; [`marked`] makes money of it.
    pub fn unit_mark(&self, close: f64) -> f64 {
        let gain = self.side.sign() * self.quantity * (close - self.fill);
        1.0 - self.entry_fee + self.funding + gain
    }
}

/// Equity marked at `unit` per unit of `equity`, never below zero.
pub fn marked(equity: f64, unit: f64) -> f64 {
    if unit > 0.0 { equity * unit } else { 0.0 }
}

#[cfg(test)]
mod tests;
