//! Many rules of trade labels at once: shares, moves, costs and uniqueness of each, without keeping a label.
//!
//! Rules that enter alike share their entries, as in a sweep of backtests: `indexed/entered.rs` looks at each entry once
//! for all of their levels. Others are tried one by one. Bars are cut into shards whose length goes by the longest
//! holding time alone; a shard looks as far to either side as its labels can reach, so that it knows how many are alive
//! at every bar of its own. Shards are added up in their order: no bit depends on the threads.

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
    sums: Sums,
    effective: f64,
}

/// What trades are added up by, side by side so that one addition takes all: net return; of labels 1 the gain before
/// fees and funding, the fees, and how many (a count below 2^53, which is exact).
pub(super) type Sums = [f64; 4];

/// A trade as cells need it, per unit of equity.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit {
    /// Last bar, counted from the shard's first.
    pub(super) end: u32,
    pub(super) sums: Sums,
}

#[cfg(feature = "indexed")]
impl Unit {
    /// No label: adds nothing. A sum that began at 0 is never -0, so adding 0 leaves its bits.
    pub(super) const NONE: Self = Self { end: NONE, sums: [0.0; 4] };
}

/// Trades by number, as cells refer to them.
#[derive(Debug, Default)]
pub(super) struct Units {
    ends: Vec<u32>,
    sums: Vec<Sums>,
}

impl Units {
    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.ends.clear();
        self.sums.clear();
    }

    /// Adds one.
    pub(super) fn push(&mut self, unit: Unit) {
        self.ends.push(unit.end);
        self.sums.push(unit.sums);
    }

    /// How many there are.
    #[cfg(feature = "indexed")]
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }
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
    /// Bars from a decision to the last of its label, at most.
    far: usize,
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
                            far,
                        }
                    })
                    .collect();
                let done: Vec<Option<Vec<Tally>>> = shards
                    .par_iter()
                    .map(|shard| {
                        let stopped = progress.stopped();
                        (!stopped).then(|| batch.tally(*shard))
                    })
                    .collect();
                Ok(done.into_iter().collect::<Option<Vec<_>>>())
            })?;
            let Some(tallies) = tallies else { return Ok(None) };
            for slot in 0..members.len() * self.least.len() {
                cells.push(join(&tallies.iter().map(|tally| tally[slot]).collect::<Vec<_>>()));
            }
            progress.add(members.len() * self.least.len());
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
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a count
    let up = |tally: &Tally| tally.sums[3] as u64;
    Cell {
        defined: count(|t| t.defined),
        labels: count(|t| t.labels),
        up: tallies.iter().map(up).sum(),
        down: 0,
        moved: total(|t| t.sums[1]),
        fees: total(|t| t.sums[2]),
        net: total(|t| t.sums[0]),
        effective: total(|t| t.effective),
    }
}

/// What a shard gathers: the last bar of each label, counted from the shard's first, one row a set of rules; and sums.
pub(super) struct Gathered<'g> {
    grid: TradeGrid<'g, 'g>,
    shard: Shard,
    width: usize,
    ends: Vec<u32>,
    /// One row a volume, one slot a set of rules.
    sums: Vec<Sums>,
}

/// Bars whose labels are written to the rows at a time: a cache line of each, as rows lie a page or more apart.
const LINE: usize = 16;

/// What some sets of rules gather, which are labelled bar by bar.
pub(super) struct Gathering<'f, 'g> {
    into: &'f mut Gathered<'g>,
    members: &'f [usize],
    /// Last bars of the labels from bar `from` of the shard on, a row a bar.
    line: Vec<u32>,
    from: usize,
    /// One row a volume.
    sums: Vec<Sums>,
}

impl<'g> Gathered<'g> {
    /// Begins with some sets of rules; [`Gathering::finish`] ends it.
    pub(super) fn begin<'f>(&'f mut self, members: &'f [usize]) -> Gathering<'f, 'g> {
        let line = vec![NONE; LINE * members.len()];
        let sums = vec![Sums::default(); self.grid.least.len() * members.len()];
        Gathering { into: self, members, line, from: 0, sums }
    }
}

impl Gathering<'_, '_> {
    /// The labels at bar `i`: of the k-th set of rules that of `units[places[k]]`. Bars come in order.
    #[inline]
    pub(super) fn take(&mut self, i: usize, places: &[u32], units: &Units) {
        let Shard { from, first, stop, .. } = self.into.shard;
        let (place, count) = (i - from, places.len());
        while place >= self.from + LINE {
            self.flush();
        }
        let row = &mut self.line[(place - self.from) * count..][..count];
        for (slot, number) in row.iter_mut().zip(places) {
            *slot = units.ends[*number as usize];
        }
        if i < first || i >= stop {
            return;
        }
        let grid = &self.into.grid;
        for (row, least) in self.sums.chunks_exact_mut(count).zip(grid.least) {
            if grid.volume[i] >= *least {
                for (sums, number) in row.iter_mut().zip(places) {
                    let unit = &units.sums[*number as usize];
                    for k in 0..unit.len() {
                        sums[k] += unit[k];
                    }
                }
            }
        }
    }

    /// Writes the line to the rows.
    fn flush(&mut self) {
        let (width, count) = (self.into.width, self.members.len());
        let bars = LINE.min(width - self.from);
        for (k, member) in self.members.iter().enumerate() {
            let row = &mut self.into.ends[member * width + self.from..][..bars];
            for (slot, end) in row.iter_mut().zip(self.line[k..].iter().step_by(count)) {
                *slot = *end;
            }
        }
        self.line.fill(NONE);
        self.from += bars;
    }

    /// Hands over what is left.
    pub(super) fn finish(mut self) {
        if self.from < self.into.width {
            self.flush();
        }
        let count = self.members.len();
        let all = self.into.ends.len() / self.into.width;
        for (number, row) in self.sums.chunks_exact(count).enumerate() {
            for (member, sums) in self.members.iter().zip(row) {
                self.into.sums[number * all + member] = *sums;
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
            sums: vec![Sums::default(); self.prepared.len() * count],
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
            let alone = [*member];
            let mut gathering = found.begin(&alone);
            let mut units = Units::default();
            for i in shard.from..shard.to {
                if let Trial::Closed(trade) = trials.run(i, self.grid.side) {
                    let fees = trade.fees / self.grid.equity;
                    let funding = trade.funding / self.grid.equity;
                    units.clear();
                    units.push(self.unit(shard, trade.exit_bar, trade.unit_return, fees, funding));
                    gathering.take(i, &[0], &units);
                }
            }
            gathering.finish();
        }
        let volumes = &self.grid.volume[shard.from..shard.to];
        let own = (shard.first - shard.from, shard.stop - shard.from);
        let members = self.prepared.len();
        let mut tallies = vec![Tally::default(); members * count];
        let mut alive = Alive::new(shard.far);
        for (number, least) in self.grid.least.iter().enumerate() {
            let kept: Vec<bool> = volumes.iter().map(|volume| *volume >= *least).collect();
            for first in (0..members).step_by(LANES) {
                let rows: [&[u32]; LANES] = std::array::from_fn(|lane| {
                    let member = (first + lane).min(members - 1);
                    &found.ends[member * width..][..width]
                });
                let known = alive.known(&rows, &kept, own);
                for (lane, member) in (first..members.min(first + LANES)).enumerate() {
                    tallies[member * count + number] =
                        Tally { sums: found.sums[number * members + member], ..known[lane] };
                }
            }
        }
        tallies
    }

    pub(super) fn unit(&self, shard: Shard, end: usize, net: f64, fees: f64, funding: f64) -> Unit {
        let up = net > self.grid.threshold;
        let gain = if up { [net + fees - funding, fees, 1.0] } else { [0.0; 3] };
        #[allow(clippy::cast_possible_truncation)] // within the reach of a label
        Unit { end: (end - shard.from) as u32, sums: [net, gain[0], gain[1], gain[2]] }
    }
}

/// Sets of rules whose uniqueness is counted side by side: each sum waits for the addition before it, so several go at
/// the price of one.
const LANES: usize = 4;

/// Bars that are counted before their labels' uniqueness is summed: two short loops keep what they need in registers,
/// one long loop does not.
const BLOCK: usize = 256;

/// How many labels are alive at each bar. No label is longer than `far`, so what is remembered of a bar is forgotten as
/// soon as the bars that far behind are done: it stays in the nearest cache, however long the shard.
struct Alive {
    far: usize,
    /// Labels that end before a bar, by its number modulo the length, a power of two.
    ended: Vec<[u32; LANES]>,
    /// Sum of 1 / alive over the bars before a bar, likewise.
    total: Vec<[f64; LANES]>,
    /// 1 / k, of as many.
    inverse: Vec<f64>,
}

impl Alive {
    fn new(far: usize) -> Self {
        // At most one label begins at a bar, so there are never more alive than the longest has bars.
        let length = (far + BLOCK + 4).next_power_of_two();
        let inverse = |k: usize| if k == 0 { 0.0 } else { 1.0 / k as f64 };
        Self {
            far,
            ended: vec![[0; LANES]; length],
            total: vec![[0.0; LANES]; length],
            inverse: (0..length).map(inverse).collect(),
        }
    }

    /// How many labels `own` bars have, how many of them are `kept`, and the sum of the uniqueness of those.
    ///
    /// Each row holds the last bar of each label, which runs from the bar after its own on.
    fn known(
        &mut self,
        rows: &[&[u32]; LANES],
        kept: &[bool],
        own: (usize, usize),
    ) -> [Tally; LANES] {
        let (width, far) = (kept.len(), self.far);
        self.ended.fill([0; LANES]);
        // Before bar 1 no label runs; every other sum is written before it is read.
        self.total[1] = [0.0; LANES];
        let mut found = [Tally::default(); LANES];
        for (tally, row) in found.iter_mut().zip(rows) {
            let row = &row[own.0..own.1];
            let there = |end: &u32| *end != NONE;
            tally.defined = row.iter().map(|end| u64::from(there(end))).sum();
            let both = |(end, keep): (&u32, &bool)| u64::from(there(end) & keep);
            tally.labels = row.iter().zip(&kept[own.0..own.1]).map(both).sum();
        }
        let (mut alive, mut sum, mut effective) = ([0; LANES], [0.0; LANES], [0.0; LANES]);
        // Labels that began at bars up to `to` are counted; those of bars up to `done` are summed.
        let mut done = own.0;
        for from in (0..own.1 + far).step_by(BLOCK) {
            let to = (from + BLOCK).min(own.1 + far);
            let inside = to.min(width);
            if from < inside {
                let parts = std::array::from_fn(|lane| &rows[lane][from..inside]);
                self.count(from, &parts, &kept[from..inside], &mut alive, &mut sum);
            }
            if to > inside {
                let (none, dropped) = ([NONE; BLOCK], [false; BLOCK]);
                let beyond = from.max(inside);
                let count = to - beyond;
                self.count(
                    beyond,
                    &[&none[..count]; LANES],
                    &dropped[..count],
                    &mut alive,
                    &mut sum,
                );
            }
            // Every bar of a label of these is counted.
            let ready = (to + 1).saturating_sub(far + 1).clamp(own.0, own.1);
            if done < ready {
                let parts = std::array::from_fn(|lane| &rows[lane][done..ready]);
                self.add(done, &parts, &kept[done..ready], &mut effective);
                done = ready;
            }
        }
        for (tally, effective) in found.iter_mut().zip(effective) {
            tally.effective = effective;
        }
        found
    }

    /// Goes on through bars `first + 1` to as many as there are labels, each of the bar before.
    #[inline]
    fn count(
        &mut self,
        first: usize,
        rows: &[&[u32]; LANES],
        kept: &[bool],
        alive: &mut [u32; LANES],
        sum: &mut [f64; LANES],
    ) {
        let mask = self.inverse.len() - 1;
        let (ended, total) = (&mut self.ended[..=mask], &mut self.total[..=mask]);
        let inverse = &self.inverse[..=mask];
        for (offset, keep) in kept.iter().enumerate() {
            let bar = first + offset + 1;
            if *keep {
                for lane in 0..LANES {
                    let end = rows[lane][offset];
                    let begins = u32::from(end != NONE);
                    alive[lane] += begins;
                    ended[end.wrapping_add(1) as usize & mask][lane] += begins;
                }
            }
            let over = &mut ended[bar & mask];
            for lane in 0..LANES {
                alive[lane] -= over[lane];
                sum[lane] += inverse[alive[lane] as usize & mask];
                over[lane] = 0;
            }
            total[(bar + 1) & mask] = *sum;
        }
    }

    /// Adds up the uniqueness of the labels of bars from `first` on.
    #[inline]
    fn add(
        &self,
        first: usize,
        rows: &[&[u32]; LANES],
        kept: &[bool],
        effective: &mut [f64; LANES],
    ) {
        let mask = self.inverse.len() - 1;
        let (total, inverse) = (&self.total[..=mask], &self.inverse[..=mask]);
        for (offset, _) in kept.iter().enumerate().filter(|(_, keep)| **keep) {
            let i = first + offset;
            let before = &total[(i + 1) & mask];
            for lane in 0..LANES {
                let end = rows[lane][offset];
                if end != NONE {
                    let stop = end as usize + 1;
                    effective[lane] +=
                        (total[stop & mask][lane] - before[lane]) * inverse[(stop - i - 1) & mask];
                }
            }
        }
    }
}
