//! Combinations that enter alike, and the levels in which they differ.

use crate::backtest::market::{Market, Prepared};
use crate::backtest::rules::{DistanceKind, Entry, Fill, Rules, Sizing};
use crate::bars::Settlements;
use crate::instrument::Instrument;
use crate::market::Span;

/// What keeps rules from sharing their entries; None where nothing does.
///
/// Sizes must not depend on the account or on the stop, and nothing but a free account may decide an entry.
pub fn why_alone(rules: &Rules, instrument: &Instrument) -> Option<&'static str> {
    let reasons = [
        (rules.entry != Entry::Market, "limit entries"),
        (rules.fill != Fill::NextOpen, "fills at the close"),
        (rules.reverse, "reversing"),
        (rules.sizing == Sizing::Risk, "sizes by the stop"),
        (rules.sizing == Sizing::Notional, "sizes by a notional"),
        (instrument.lot != 0.0, "lots"),
        (instrument.min_notional != 0.0, "a least notional"),
    ];
    reasons.into_iter().find_map(|(holds, reason)| holds.then_some(reason))
}

/// Rules without what combinations of a group may differ in; None where they cannot share.
pub fn shared_part(rules: &Rules, instrument: &Instrument) -> Option<Rules> {
    let alike = why_alone(rules, instrument).is_none();
    // Where a level needs a value of the signal bar, having one decides whether an entry is complete.
    let needs = |kind, level: Option<f64>| {
        let needs = matches!(kind, DistanceKind::Atr | DistanceKind::Signal);
        level.filter(|_| needs).map(|_| 1.0)
    };
    alike.then(|| Rules {
        exit_long: None,
        exit_short: None,
        stop_loss: needs(rules.stop_loss_kind, rules.stop_loss),
        take_profit: needs(rules.take_profit_kind, rules.take_profit),
        max_hold: None,
        ..rules.clone()
    })
}

/// Numbers of a combination's levels in its group.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    /// Stop.
    pub stop: usize,
    /// Target.
    pub take: usize,
    /// Exit thresholds.
    pub exit: usize,
    /// Most bars to hold.
    pub most: usize,
}

/// Combinations with one [`shared_part`].
#[derive(Debug)]
pub struct Group<'m, 'a, 'r> {
    /// The market.
    pub market: &'m Market<'a>,
    /// The rules of one of them: what decides entries is the same in all.
    pub prepared: &'m Prepared<'r>,
    /// Lows and highs.
    pub range: Span<'a>,
    /// Closes.
    pub closes: Span<'a>,
    /// Settlements of the instrument.
    pub settlements: &'a [Settlements],
    /// Distances of stops, the nearest first; none last.
    pub stops: Vec<Option<f64>>,
    /// Distances of targets, likewise.
    pub takes: Vec<Option<f64>>,
    /// Thresholds of exit signals, for longs and for shorts.
    pub exits: Vec<[Option<f64>; 2]>,
    /// What each combination has.
    pub seats: Vec<Seat>,
    /// One combination, whose stops stay where they are.
    pub is_lone: bool,
}

/// Distinct values from the smallest, none last.
fn distinct(values: impl Iterator<Item = Option<f64>>) -> Vec<Option<f64>> {
    let mut all: Vec<Option<f64>> = values.collect();
    all.sort_by(|a, b| a.unwrap_or(f64::INFINITY).total_cmp(&b.unwrap_or(f64::INFINITY)));
    all.dedup();
    all
}

fn number(list: &[Option<f64>], value: Option<f64>) -> usize {
    let of = |v: &Option<f64>| v.unwrap_or(f64::INFINITY);
    list.partition_point(|known| of(known).total_cmp(&of(&value)).is_lt())
}

impl<'m, 'a, 'r> Group<'m, 'a, 'r> {
    /// Of combinations with one [`shared_part`], at least one.
    pub fn new(market: &'m Market<'a>, members: &[&'m Prepared<'r>]) -> Self {
        let stops = distinct(members.iter().map(|m| m.rules.stop_loss));
        let takes = distinct(members.iter().map(|m| m.rules.take_profit));
        let mut exits: Vec<[Option<f64>; 2]> = vec![];
        let seats = members
            .iter()
            .map(|member| {
                let rules = member.rules;
                let thresholds = [rules.exit_long, rules.exit_short];
                let exit = exits.iter().position(|known| *known == thresholds);
                Seat {
                    stop: number(&stops, rules.stop_loss),
                    take: number(&takes, rules.take_profit),
                    exit: exit.unwrap_or_else(|| {
                        exits.push(thresholds);
                        exits.len() - 1
                    }),
                    most: rules.max_hold.map_or(usize::MAX, |most| most as usize),
                }
            })
            .collect();
        let settlements: &[_] =
            if market.funding().0.is_empty() { &[] } else { &market.bars.index().settlements };
        let (range, closes) = (market.bars.range(), market.bars.closes());
        let prepared = members[0];
        let moves = prepared.rules.trailing.is_some() || prepared.rules.break_even.is_some();
        let is_lone = members.len() == 1 && !moves;
        Self { market, prepared, range, closes, settlements, stops, takes, exits, seats, is_lone }
    }
}
