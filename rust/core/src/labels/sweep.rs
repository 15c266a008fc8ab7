//! Many rules of trade labels at once: shares, moves, costs and uniqueness of each, without keeping a label.
//!
//! Rules that enter alike share their entries, as in a sweep of backtests: `indexed/entered.rs` looks at each entry once
//! for all of their levels. Others are tried one by one. Bars are cut into shards whose length goes by the longest
//! holding time alone; a shard looks as far to either side as its labels can reach, so that it knows how many are alive
//! at every bar of its own. Shards are added up in their order: no bit depends on the threads.

use std::sync::atomic::Ordering;

use rayon::prelude::*;

use super::on_threads;
use super::trial::{Trial, Trials, forced_rules, label_rules};
use crate::Result;
#[cfg(feature = "indexed")]
use crate::backtest::indexed::group::shared_part;
use crate::backtest::market::{Market, Prepared};
use crate::backtest::record::Side;
use crate::backtest::rules::Rules;
use crate::backtest::sweep::Progress;
use crate::numeric::Sum;

/// Fewest bars of a shard.
const SHARD: usize = 16_384;
/// Rules that go through the market together: what a shard keeps of their labels stays small.
const BATCH: usize = 256;
/// No label.
const NONE: u32 = u32::MAX;

/// What is known of the labels of one cell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cell {
    /// Bars that have a label, whatever their volume.
    pub defined: u64,
    /// Those that are kept.
    pub labels: u64,
    /// Labels 1.
    pub up: u64,
    /// Labels -1.
    pub down: u64,
    /// Sum of the moves of labels that are not 0: absolute returns, or what trades gain before fees and funding.
    pub moved: f64,
    /// Sum of what those trades pay in fees; 0 for horizons.
    pub fees: f64,
    /// Sum of the net returns of all trades; 0 for horizons.
    pub net: f64,
    /// Sum of the labels' uniqueness.
    pub effective: f64,
}

/// A grid of trades.
#[derive(Clone, Copy, Debug)]
pub struct TradeGrid<'m, 'a> {
    /// The market.
    pub market: &'m Market<'a>,
    /// Rules, in order.
    pub rules: &'m [Rules],
    /// Side of all.
    pub side: Side,
    /// Net return that a label 1 exceeds.
    pub threshold: f64,
    /// What the filter looks at, one value a bar.
    pub volume: &'m [f64],
    /// Least volumes.
    pub least: &'m [f64],
    /// Equity that each decision has.
    pub equity: f64,
}

/// One shard's sums.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    defined: u64,
    labels: u64,
    up: u64,
    moved: f64,
    fees: f64,
    net: f64,
    effective: f64,
}

/// A trade as cells need it, per unit of equity.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit {
    /// Last bar, counted from the shard's first.
    end: u32,
    net: f64,
    /// 1 for a label 1, whose gain before fees and funding and whose fees follow, 0 else.
    up: u64,
    moved: f64,
    fees: f64,
}

/// Rules that are prepared, with those that force decisions.
struct Ready {
    rules: Vec<Rules>,
    forced: Vec<Rules>,
}

/// Where a shard's bars and those around it lie.
#[derive(Clone, Copy)]
pub(super) struct Shard {
    /// First and last bar whose labels are looked at, the last left out.
    pub(super) from: usize,
    pub(super) to: usize,
    /// Its own.
    first: usize,
    stop: usize,
}

/// A batch of rules on the way.
// Without the fast path nobody shares.
#[cfg_attr(not(feature = "indexed"), allow(dead_code))]
pub(super) struct Batch<'m, 'a> {
    pub(super) grid: TradeGrid<'m, 'a>,
    pub(super) prepared: Vec<Prepared<'m>>,
    forced: &'m [Rules],
    /// Members of groups that share entries, and those that share none.
    groups: Vec<Vec<usize>>,
    alone: Vec<usize>,
}

impl TradeGrid<'_, '_> {
    /// One cell a set of rules and volume, the volume varying fastest; `None` where it was stopped.
    pub fn cells(&self, threads: usize, progress: &Progress) -> Result<Option<Vec<Cell>>> {
        let rules = self.rules.iter().map(label_rules).collect::<Result<Vec<_>>>()?;
        let ready = Ready { forced: rules.iter().map(forced_rules).collect(), rules };
        // Bars from a decision to the last of its label, at most.
        let reach = |rules: &Rules| {
            let hold = rules.max_hold.map_or(usize::MAX, |most| most as usize);
            hold.saturating_add(rules.limit_bars as usize).saturating_add(2)
        };
        let n = self.market.bars.len();
        let far = ready.rules.iter().map(reach).max().unwrap_or(0).min(n);
        let length = SHARD.max(far.saturating_mul(4));
        let mut cells = vec![];
        for start in (0..ready.rules.len()).step_by(BATCH) {
            let members = start..ready.rules.len().min(start + BATCH);
            let batch =
                self.batch(&ready.rules[members.clone()], &ready.forced[members.clone()])?;
            let tallies = on_threads(threads, || {
                self.market.bars.index_in_parallel();
                let shards: Vec<Shard> = (0..n.div_ceil(length))
                    .map(|k| {
                        let (first, stop) = (k * length, n.min((k + 1) * length));
                        Shard {
                            from: first.saturating_sub(far),
                            to: n.min(stop + far),
                            first,
                            stop,
                        }
                    })
                    .collect();
                let done: Vec<Option<Vec<Tally>>> = shards
                    .par_iter()
                    .map(|shard| {
                        let stopped = progress.cancel.load(Ordering::Relaxed);
                        (!stopped).then(|| batch.tally(*shard))
                    })
                    .collect();
                Ok(done.into_iter().collect::<Option<Vec<_>>>())
            })?;
            let Some(tallies) = tallies else { return Ok(None) };
            for slot in 0..members.len() * self.least.len() {
                cells.push(join(&tallies.iter().map(|tally| tally[slot]).collect::<Vec<_>>()));
            }
            progress.done.fetch_add(members.len() * self.least.len(), Ordering::Relaxed);
        }
        Ok(Some(cells))
    }

    fn batch<'b>(&self, rules: &'b [Rules], forced: &'b [Rules]) -> Result<Batch<'b, '_>>
    where
        Self: 'b,
    {
        let prepared =
            rules.iter().map(|rules| self.market.prepare(rules)).collect::<Result<Vec<_>>>()?;
        let mut parts: Vec<Rules> = vec![];
        let mut groups: Vec<Vec<usize>> = vec![];
        let mut alone = vec![];
        let whole = self.market.needs_every_bar().is_none();
        for (number, rules) in rules.iter().enumerate() {
            let part = alike(rules, self.market).filter(|_| whole);
            match part {
                None => alone.push(number),
                Some(part) => {
                    let known = parts.iter().position(|known| *known == part);
                    let group = known.unwrap_or(parts.len());
                    if group == parts.len() {
                        parts.push(part);
                        groups.push(vec![]);
                    }
                    groups[group].push(number);
                }
            }
        }
        Ok(Batch { grid: *self, prepared, forced, groups, alone })
    }
}

/// Rules without what may differ among those that share entries; None where they cannot, or without the fast path.
#[cfg(feature = "indexed")]
fn alike(rules: &Rules, market: &Market<'_>) -> Option<Rules> {
    shared_part(rules, &market.instrument)
}

#[cfg(not(feature = "indexed"))]
fn alike(_rules: &Rules, _market: &Market<'_>) -> Option<Rules> {
    None
}

/// Adds up the tallies of one cell, in the order of the shards.
fn join(tallies: &[Tally]) -> Cell {
    let count = |of: fn(&Tally) -> u64| tallies.iter().map(of).sum();
    let total = |of: fn(&Tally) -> f64| tallies.iter().map(of).collect::<Sum>().value();
    Cell {
        defined: count(|t| t.defined),
        labels: count(|t| t.labels),
        up: count(|t| t.up),
        down: 0,
        moved: total(|t| t.moved),
        fees: total(|t| t.fees),
        net: total(|t| t.net),
        effective: total(|t| t.effective),
    }
}

/// What a shard gathers: the last bar of each label, counted from the shard's first, one row a set of rules; and sums.
pub(super) struct Gathered<'g> {
    grid: TradeGrid<'g, 'g>,
    shard: Shard,
    width: usize,
    ends: Vec<u32>,
    /// One row a set of rules, one slot a volume.
    tallies: Vec<Tally>,
    /// Which volumes the bar passes; none outside the shard.
    passes: Vec<bool>,
}

impl Gathered<'_> {
    /// Goes on to the decisions of bar `i`.
    pub(super) fn at(&mut self, i: usize) {
        let own = i >= self.shard.first && i < self.shard.stop;
        for (pass, least) in self.passes.iter_mut().zip(self.grid.least) {
            *pass = own && self.grid.volume[i] >= *least;
        }
    }

    /// The label of a set of rules at bar `i`.
    #[inline]
    pub(super) fn take(&mut self, member: usize, i: usize, unit: &Unit) {
        let place = i - self.shard.from;
        self.ends[member * self.width + place] = unit.end;
        let count = self.passes.len();
        let slots = &mut self.tallies[member * count..][..count];
        let own = u64::from(i >= self.shard.first && i < self.shard.stop);
        for (tally, pass) in slots.iter_mut().zip(&self.passes) {
            tally.defined += own;
            if *pass {
                tally.labels += 1;
                tally.net += unit.net;
                tally.up += unit.up;
                tally.moved += unit.moved;
                tally.fees += unit.fees;
            }
        }
    }
}

impl Batch<'_, '_> {
    fn tally(&self, shard: Shard) -> Vec<Tally> {
        let count = self.grid.least.len();
        let width = shard.to - shard.from;
        let mut found = Gathered {
            grid: self.grid,
            shard,
            width,
            ends: vec![NONE; self.prepared.len() * width],
            tallies: vec![Tally::default(); self.prepared.len() * count],
            passes: vec![false; count],
        };
        #[cfg(feature = "indexed")]
        for group in &self.groups {
            self.shared(group, shard, &mut found);
        }
        for member in &self.alone {
            let trials = Trials::new(
                self.grid.market,
                &self.prepared[*member],
                &self.forced[*member],
                self.grid.equity,
            );
            for i in shard.from..shard.to {
                if let Trial::Closed(trade) = trials.run(i, self.grid.side) {
                    let fees = trade.fees / self.grid.equity;
                    let funding = trade.funding / self.grid.equity;
                    let unit = self.unit(shard, trade.exit_bar, trade.unit_return, fees, funding);
                    found.at(i);
                    found.take(*member, i, &unit);
                }
            }
        }
        let mut alive = Alive::default();
        let volumes = &self.grid.volume[shard.from..shard.to];
        let own = (shard.first - shard.from, shard.stop - shard.from);
        for member in 0..self.prepared.len() {
            let ends = &found.ends[member * width..][..width];
            for (number, least) in self.grid.least.iter().enumerate() {
                found.tallies[member * count + number].effective =
                    alive.effective(ends, volumes, *least, own);
            }
        }
        found.tallies
    }

    pub(super) fn unit(&self, shard: Shard, end: usize, net: f64, fees: f64, funding: f64) -> Unit {
        let up = net > self.grid.threshold;
        #[allow(clippy::cast_possible_truncation)] // within the reach of a label
        Unit {
            end: (end - shard.from) as u32,
            net,
            up: u64::from(up),
            moved: if up { net + fees - funding } else { 0.0 },
            fees: if up { fees } else { 0.0 },
        }
    }
}

/// How many labels are alive at each bar; memory that shards use again.
#[derive(Default)]
struct Alive {
    change: Vec<i32>,
    total: Vec<f64>,
    /// 1 / k.
    inverse: Vec<f64>,
}

impl Alive {
    /// Sum of the uniqueness of the labels of `own` bars whose volume is at least `least`; `ends` holds the last bar of
    /// each label, which runs from the bar after its own on.
    fn effective(&mut self, ends: &[u32], volumes: &[f64], least: f64, own: (usize, usize)) -> f64 {
        let width = ends.len();
        self.change.clear();
        self.change.resize(width + 2, 0);
        let mut longest = 1;
        for (i, (end, volume)) in ends.iter().zip(volumes).enumerate() {
            if *end != NONE && *volume >= least {
                // What lies beyond the bars that the shard looks at is no part of its own labels.
                let stop = *end as usize + 1;
                longest = longest.max(stop - i);
                self.change[i + 1] += 1;
                self.change[stop.min(width + 1)] -= 1;
            }
        }
        for k in self.inverse.len()..=longest {
            self.inverse.push(if k == 0 { 0.0 } else { 1.0 / k as f64 });
        }
        self.total.clear();
        self.total.push(0.0);
        let (mut alive, mut total) = (0, 0.0);
        for change in &self.change {
            alive += change;
            // At most one label begins at a bar, so there are never more alive than the longest has bars.
            #[allow(clippy::cast_sign_loss)] // what ends has begun
            let share = self.inverse[alive as usize];
            total += share;
            self.total.push(total);
        }
        let mut sum = 0.0;
        for i in own.0..own.1 {
            if ends[i] != NONE && volumes[i] >= least {
                let stop = ends[i] as usize + 1;
                sum += (self.total[stop] - self.total[i + 1]) * self.inverse[stop - i - 1];
            }
        }
        sum
    }
}
