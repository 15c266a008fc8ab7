//! What becomes of a decision: the trade that the engine takes from it, with an account of its own.
//!
//! # Idea
//!
//! A decision is forced at the close of a bar and the account of `replay.rs` is stepped through what follows until its
//! position is closed. As in `indexed/walk.rs` only bars in which something could happen are stepped: settlements, the
//! bar that ends the holding time, an exit signal, and the first bar whose prices reach stop, target or liquidation. The
//! bits are those of stepping every bar, which [`Trials::by_bar`] does.

use rayon::prelude::*;

use super::{SHARE, on_threads};
#[cfg(feature = "indexed")]
use crate::backtest::indexed::walk::outer_levels;
use crate::backtest::market::{Market, Prepared};
use crate::backtest::position::Position;
use crate::backtest::record::{Observer, Reason, Side, Trade};
use crate::backtest::replay::{Replay, SignalRow, StepInput};
use crate::backtest::rules::{Rules, Sizing};
use crate::backtest::sweep::Progress;
use crate::bars::Settlements;
use crate::market::Span;
use crate::signals::Decisions;
use crate::{Error, Result};

/// A threshold that the forced value meets and no signal reaches.
const FORCED: f64 = f64::INFINITY;

/// What a decision leads to.
#[derive(Clone, Debug)]
pub enum Trial {
    /// No trade: what the rules need at the bar is undefined, the size is void, or a limit order lapsed.
    ///
    /// Carries the first bar at whose close the account decides again.
    Nothing(usize),
    /// The data end before the trade does.
    Open,
    /// A trade; bars are those of the candles.
    Closed(Box<Trade>),
}

/// Rules of labels: whoever makes them decides, so what decides or bars entries plays no part.
pub fn label_rules(rules: &Rules) -> Result<Rules> {
    let refuse = |text: &str| Err(Error::Rules(text.to_owned()));
    if rules.max_hold.is_none() {
        return refuse(
            "labels of trades need `max_hold`, the time barrier: without it a label may never end",
        );
    }
    if rules.reverse {
        return refuse(
            "labels of trades cannot be made with reverse=True: what ends the trade would be another decision",
        );
    }
    if rules.sizing == Sizing::Confidence {
        return refuse(
            "labels of trades cannot be made with sizing=\"confidence\": there is no probability yet; use \
             sizing=\"fraction\"",
        );
    }
    Ok(Rules {
        entry_long: None,
        entry_short: None,
        short_gate: None,
        cooldown: 0,
        ..rules.clone()
    })
}

/// The same with thresholds that forced values meet.
pub fn forced_rules(rules: &Rules) -> Rules {
    Rules {
        entry_long: Some(FORCED),
        entry_short: Some(FORCED),
        exit_long: rules.exit_long.or(Some(FORCED)),
        exit_short: rules.exit_short.or(Some(FORCED)),
        ..rules.clone()
    }
}

/// Keeps the one trade of a trial.
#[derive(Default)]
struct Catch(Option<Trade>);

impl Observer for Catch {
    fn trade(&mut self, trade: &Trade) {
        self.0 = Some(trade.clone());
    }

    fn mark(&mut self, _bar: usize, _equity: f64) {}
}

/// Trials under one set of rules.
// Without the fast path every bar is stepped.
#[cfg_attr(not(feature = "indexed"), allow(dead_code))]
pub struct Trials<'m, 'a> {
    market: &'m Market<'a>,
    prepared: &'m Prepared<'m>,
    forced: &'m Rules,
    equity: f64,
    range: Span<'a>,
    exits: [Option<(Decisions<'a>, f64)>; 2],
    settlements: &'a [Settlements],
    every: bool,
}

impl<'m, 'a> Trials<'m, 'a> {
    /// `prepared` are [`label_rules`], `forced` the [`forced_rules`] of the same; each decision has `equity`.
    pub fn new(
        market: &'m Market<'a>,
        prepared: &'m Prepared<'m>,
        forced: &'m Rules,
        equity: f64,
    ) -> Self {
        let rules = prepared.rules;
        let exit =
            |array, threshold: Option<f64>| Some((market.signals.series(array)?, threshold?));
        let settlements: &[_] =
            if market.funding().0.is_empty() { &[] } else { &market.bars.index().settlements };
        Self {
            market,
            prepared,
            forced,
            equity,
            range: market.bars.range(),
            exits: [exit(2, rules.exit_long), exit(3, rules.exit_short)],
            settlements,
            every: market.needs_every_bar().is_some()
                || rules.trailing.is_some()
                || rules.break_even.is_some(),
        }
    }

    /// Steps every bar: the definition.
    #[must_use]
    pub fn by_bar(self) -> Self {
        Self { every: true, ..self }
    }

    /// The account before the decision.
    pub(super) fn account(&self) -> Replay<'m> {
        Replay::new(self.market.costs, self.market.instrument, self.equity)
    }

    /// Takes bar `i` with its signals, `entering` and `leaving` forced; whether it ends a trade, and which.
    pub(super) fn step(
        &self,
        account: &mut Replay<'m>,
        i: usize,
        entering: Option<Side>,
        leaving: bool,
    ) -> Option<Trade> {
        let (bars, market) = (self.market.bars, self.market);
        let (from, to) = match self.settlements.binary_search_by_key(&i, |s| s.bar) {
            Ok(k) => (self.settlements[k].from, self.settlements[k].to),
            Err(_) => (0, 0),
        };
        let (funding_time, funding_rate) = market.funding();
        let decided = |side| if entering == Some(side) { FORCED } else { f64::NAN };
        let row = self.prepared.row(market.signals, i);
        let left = |value: f64| if leaving { FORCED } else { value };
        let input = StepInput {
            index: i,
            bar: bars.bar(i),
            close_time: bars.close_time(i),
            previous_close: if i > 0 { bars.close()[i - 1] } else { f64::NAN },
            funding_time: &funding_time[from..to],
            funding_rate: &funding_rate[from..to],
            row: SignalRow {
                long: decided(Side::Long),
                short: decided(Side::Short),
                exit_long: left(row.exit_long),
                exit_short: left(row.exit_short),
                ..row
            },
            rules: Some(self.forced),
            last: i + 1 == bars.len(),
        };
        let mut caught = Catch::default();
        match market.finer.map(|finer| finer.inside(i)) {
            Some(finer) if finer.len() > 0 => account.step_on(&input, finer, &mut caught),
            _ => account.step(&input, &mut caught),
        }
        caught.0
    }

    /// What a decision for `side` at the close of bar `i` leads to.
    pub fn run(&self, i: usize, side: Side) -> Trial {
        let n = self.market.bars.len();
        if i + 1 >= n {
            return Trial::Open;
        }
        let mut account = self.account();
        self.step(&mut account, i, Some(side), false);
        let mut at = i + 1;
        while at < n {
            if account.is_settled() {
                let Some(held) = account.held() else {
                    return Trial::Nothing(at.max(i + 2) - 1);
                };
                let next = self.next(held, at, n - 1);
                if next > at {
                    let (low, high) = self.range.range(self.market.simd, (at, next));
                    account.see_range(low, high);
                    at = next;
                }
            }
            if let Some(trade) = self.step(&mut account, at, None, false) {
                return match trade.reason {
                    Reason::End => Trial::Open,
                    _ => Trial::Closed(Box::new(trade)),
                };
            }
            at += 1;
        }
        // A limit order that was pending to the last bar.
        Trial::Open
    }

    /// First bar from `from` on that must be stepped while `held` is open, at most `to`.
    #[cfg(feature = "indexed")]
    fn next(&self, held: &Position<'_>, from: usize, to: usize) -> usize {
        if self.every {
            return from;
        }
        let mut to = to;
        if !self.settlements.is_empty() {
            let next = self.settlements.partition_point(|s| s.bar < from);
            to = self.settlements.get(next).map_or(to, |s| to.min(s.bar));
        }
        if let Some(most) = held.rules.max_hold {
            to = to.min(held.entry_bar.saturating_add(most as usize) - 1);
        }
        if to <= from {
            return from;
        }
        if let Some((series, threshold)) = &self.exits[usize::from(held.side == Side::Short)] {
            to = to.min(series.first_at_least(self.market.simd, (from, to), *threshold));
        }
        let levels = outer_levels(held, held.stop_in_force().0, held.target);
        self.range.first_outside(self.market.simd, (from, to), levels)
    }

    /// Every bar, without the fast path.
    #[cfg(not(feature = "indexed"))]
    #[allow(clippy::unused_self)] // as above
    fn next(&self, _held: &Position<'_>, from: usize, _to: usize) -> usize {
        from
    }
}

/// Side of a decision by its sign, as tables have it; 0 decides nothing.
pub fn side_of(sign: i8) -> Option<Side> {
    match sign {
        1 => Some(Side::Long),
        -1 => Some(Side::Short),
        _ => None,
    }
}

/// State of a row of [`Table`] that holds a closed trade.
pub const CLOSED: u8 = 2;

/// What became of many decisions, one row each; amounts are per unit of the equity at entry.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// 0 without a trade, 1 if the data end before it does, [`CLOSED`] if it is closed.
    pub state: Vec<u8>,
    /// Bar of the entry; -1 without a closed trade, as in all that follows.
    pub entry_bar: Vec<i64>,
    /// Bar of the exit.
    pub exit_bar: Vec<i64>,
    /// Fill price of the entry; NaN without a closed trade, as in all prices and amounts.
    pub entry_price: Vec<f64>,
    /// Fill price of the exit.
    pub exit_price: Vec<f64>,
    /// Return net of everything.
    pub net: Vec<f64>,
    /// Fees of entry and exit.
    pub fees: Vec<f64>,
    /// Funding received.
    pub funding: Vec<f64>,
    /// Worst price against the fill.
    pub mae: Vec<f64>,
    /// Best price against the fill.
    pub mfe: Vec<f64>,
    /// Why it ended, by its position in [`Reason::ALL`]; their number without a closed trade.
    pub reason: Vec<u8>,
    /// Stop and target could not be ordered.
    pub ambiguous: Vec<bool>,
}

impl Table {
    fn push(&mut self, trial: &Trial, equity: f64) {
        let trade = match trial {
            Trial::Closed(trade) => Some(trade),
            Trial::Nothing(_) | Trial::Open => None,
        };
        #[allow(clippy::cast_possible_wrap)] // a bar
        let bar = |of: fn(&Trade) -> usize| trade.map_or(-1, |trade| of(trade) as i64);
        let number = |of: fn(&Trade) -> f64| trade.map_or(f64::NAN, |trade| of(trade));
        self.state.push(match trial {
            Trial::Nothing(_) => 0,
            Trial::Open => 1,
            Trial::Closed(_) => CLOSED,
        });
        self.entry_bar.push(bar(|t| t.entry_bar));
        self.exit_bar.push(bar(|t| t.exit_bar));
        self.entry_price.push(number(|t| t.entry_price));
        self.exit_price.push(number(|t| t.exit_price));
        self.net.push(number(|t| t.unit_return));
        self.fees.push(number(|t| t.fees) / equity);
        self.funding.push(number(|t| t.funding) / equity);
        self.mae.push(number(|t| t.mae));
        self.mfe.push(number(|t| t.mfe));
        let place = |reason| Reason::ALL.iter().position(|known| *known == reason);
        let reason = trade.and_then(|trade| place(trade.reason)).unwrap_or(Reason::ALL.len());
        #[allow(clippy::cast_possible_truncation)] // nine reasons
        self.reason.push(reason as u8);
        self.ambiguous.push(trade.is_some_and(|trade| trade.ambiguous));
    }

    fn join(&mut self, other: Self) {
        self.state.extend(other.state);
        self.entry_bar.extend(other.entry_bar);
        self.exit_bar.extend(other.exit_bar);
        self.entry_price.extend(other.entry_price);
        self.exit_price.extend(other.exit_price);
        self.net.extend(other.net);
        self.fees.extend(other.fees);
        self.funding.extend(other.funding);
        self.mae.extend(other.mae);
        self.mfe.extend(other.mfe);
        self.reason.extend(other.reason);
        self.ambiguous.extend(other.ambiguous);
    }
}

/// Tries the decisions that `sides` holds by their sign, one a bar, each with an account of its own.
///
/// `by_bar` steps every bar. What was tried when `progress.cancel` was set is dropped: the table is empty.
pub fn trials(
    market: &Market<'_>,
    rules: &Rules,
    sides: &[i8],
    equity: f64,
    by_bar: bool,
    threads: usize,
    progress: &Progress,
) -> Result<Table> {
    let rules = label_rules(rules)?;
    let forced = forced_rules(&rules);
    let prepared = market.prepare(&rules)?;
    on_threads(threads, || {
        market.bars.index_in_parallel();
        let made = Trials::new(market, &prepared, &forced, equity);
        let made = if by_bar { made.by_bar() } else { made };
        let parts: Vec<Option<Table>> = sides
            .par_chunks(SHARE)
            .enumerate()
            .map(|(number, part)| {
                if progress.stopped() {
                    return None;
                }
                let mut table = Table::default();
                for (offset, sign) in part.iter().enumerate() {
                    let trial = match side_of(*sign) {
                        Some(side) => made.run(number * SHARE + offset, side),
                        None => Trial::Nothing(0),
                    };
                    table.push(&trial, equity);
                }
                progress.add(part.len());
                Some(table)
            })
            .collect();
        let mut out = Table::default();
        parts.into_iter().flatten().for_each(|part| out.join(part));
        Ok(out)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::{Case, Draw};

    /// Draws of the quick suite; `PROPTEST_CASES` asks for another number, as in the property tests.
    const DRAWS: u64 = 300;

    #[test]
    fn labels_are_the_trades_of_the_engine() {
        let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
        let draws: u64 = asked.unwrap_or(DRAWS);
        let held = (0..draws)
            .filter(|seed| {
                let case = Case::new(&mut Draw::seeded(*seed), &[2, 3, 17, 40, 100, 257, 300]);
                case.labels_agree(&format!("seed {seed}"))
            })
            .count() as u64;
        assert!(held > draws / 4, "{held} of {draws} draws had rules that labels can follow");
    }

    /// Shards meet: more bars than one of them holds.
    #[test]
    fn shards_know_who_is_alive_around_them() {
        let held = (0..6)
            .filter(|seed| {
                let case = Case::new(&mut Draw::seeded(7_000 + seed), &[20_000]);
                case.combinations.len() < 3 && case.labels_agree(&format!("seed {seed}"))
            })
            .count();
        assert!(held > 0, "{held} draws had rules that labels can follow");
    }

    #[test]
    fn what_labels_cannot_follow_is_refused() {
        let message = |rules: Rules| label_rules(&rules).unwrap_err().to_string();
        assert_eq!(
            message(Rules::default()),
            "labels of trades need `max_hold`, the time barrier: without it a label may never end"
        );
        let held = Rules { max_hold: Some(5), ..Rules::default() };
        assert!(message(Rules { reverse: true, ..held.clone() }).contains("reverse=True"));
        let confident = Rules { sizing: Sizing::Confidence, ..held };
        assert!(message(confident).contains("there is no probability yet"));
    }
}
