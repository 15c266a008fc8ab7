//! Many rules of horizon labels at once, without keeping a label.
//!
//! Cells with one horizon share their returns: a return is put into a bin by its sign, by how many thresholds it exceeds
//! and by how many least volumes its bar has, and every cell is a sum over bins. Spans of one length need no count of the
//! labels alive: the uniqueness of all is the number of bars that they cover over the number of bars of one; and how
//! far kept bars lie apart is counted once for all lengths.

use rayon::prelude::*;

use super::on_threads;
use super::sweep::Cell;
use crate::Result;
use crate::backtest::sweep::Progress;
use crate::numeric::Sum;

/// Bars of a part of the work.
const PART: usize = 65_536;

/// A grid of horizon labels.
#[derive(Clone, Copy, Debug)]
pub struct HorizonGrid<'a> {
    /// Opens or closes.
    pub prices: &'a [f64],
    /// Bars from a bar to where its return begins.
    pub lead: usize,
    /// Lengths.
    pub bars: &'a [usize],
    /// Moves that count, increasing, each at least 0.
    pub levels: &'a [f64],
    /// Whether falls are a class of their own.
    pub ternary: bool,
    /// What the filter looks at, one value a bar.
    pub volume: &'a [f64],
    /// Least volumes, increasing.
    pub least: &'a [f64],
}

/// Returns that are put into bins at a time.
const BLOCK: usize = 256;

/// Labels of a part in bins: by sign, then by volume, then by threshold.
#[derive(Clone, Debug)]
struct Bins {
    count: Vec<u64>,
    moved: Vec<f64>,
}

/// Bars that pass a filter, and how far each is from the one before.
#[derive(Clone, Debug)]
struct Kept {
    /// The bars.
    bars: Vec<u32>,
    /// How often each distance occurs, the last holding all that are as far or farther.
    gaps: Vec<u64>,
}

impl Kept {
    fn new(passes: impl Iterator<Item = bool>, longest: usize) -> Self {
        #[allow(clippy::cast_possible_truncation)] // there are fewer bars
        let bars: Vec<u32> = passes.zip(0..).filter_map(|(pass, i)| pass.then_some(i)).collect();
        let mut gaps = vec![0; longest + 1];
        for pair in bars.windows(2) {
            gaps[((pair[1] - pair[0]) as usize).min(longest)] += 1;
        }
        Self { bars, gaps }
    }

    /// Bars that spans of `span` bars cover, one from each kept bar below `known` on.
    fn covered(&self, known: usize, span: usize) -> u64 {
        let count = self.bars.partition_point(|bar| (*bar as usize) < known);
        if count == 0 {
            return 0;
        }
        let part = |gap: usize| gap.min(span) as u64;
        let all: u64 = self.gaps.iter().enumerate().map(|(gap, times)| part(gap) * times).sum();
        // Those that have no label stand at the end.
        let beyond = self.bars[count - 1..].windows(2);
        let lost: u64 = beyond.map(|pair| part((pair[1] - pair[0]) as usize)).sum();
        all - lost + span as u64
    }
}

impl HorizonGrid<'_> {
    fn part(&self, bars: usize, from: usize, to: usize, volumes: &[u16]) -> Bins {
        let (bins, kinds) = (self.levels.len() + 1, self.least.len() + 1);
        let mut found =
            Bins { count: vec![0; 2 * bins * kinds], moved: vec![0.0; 2 * bins * kinds] };
        let (begins, ends) = (&self.prices[self.lead..], &self.prices[self.lead + bars..]);
        let mut change = [0.0; BLOCK];
        let mut bin = [0_u32; BLOCK];
        for from in (from..to).step_by(BLOCK) {
            let to = to.min(from + BLOCK);
            let change = &mut change[..to - from];
            let bin = &mut bin[..to - from];
            for ((slot, begin), end) in change.iter_mut().zip(&begins[from..]).zip(&ends[from..]) {
                *slot = end / begin - 1.0;
            }
            bin.fill(0);
            for level in self.levels {
                for (slot, change) in bin.iter_mut().zip(&*change) {
                    *slot += u32::from(change.abs() > *level);
                }
            }
            for ((change, bin), volume) in change.iter().zip(bin).zip(&volumes[from..]) {
                let falls = usize::from(*change <= 0.0);
                let slot = (falls * kinds + usize::from(*volume)) * bins + *bin as usize;
                found.count[slot] += 1;
                found.moved[slot] += change.abs();
            }
        }
        found
    }

    /// One cell a length, threshold and volume, the volume varying fastest.
    pub fn cells(&self, threads: usize, progress: &Progress) -> Result<Vec<Cell>> {
        let n = self.prices.len();
        #[allow(clippy::cast_possible_truncation)] // as many as there are least volumes
        let volumes: Vec<u16> = self
            .volume
            .iter()
            .map(|v| self.least.iter().map(|least| u16::from(v >= least)).sum())
            .collect();
        let longest = self.bars.iter().max().map_or(1, |bars| bars + 1);
        on_threads(threads, || {
            let kept: Vec<Kept> = (1..=self.least.len())
                .into_par_iter()
                .map(|k| Kept::new(volumes.iter().map(|v| usize::from(*v) >= k), longest))
                .collect();
            let parts: Vec<(usize, usize, usize)> = (0..self.bars.len())
                .flat_map(|number| {
                    let known = n.saturating_sub(self.lead + self.bars[number]);
                    (0..known.div_ceil(PART))
                        .map(move |k| (number, k * PART, known.min((k + 1) * PART)))
                })
                .collect();
            let found: Vec<Option<Bins>> = parts
                .par_iter()
                .map(|(number, from, to)| {
                    let stopped = progress.stopped();
                    (!stopped).then(|| self.part(self.bars[*number], *from, *to, &volumes))
                })
                .collect();
            let mut cells = vec![];
            for (number, bars) in self.bars.iter().enumerate() {
                let own: Vec<&Bins> = parts
                    .iter()
                    .zip(&found)
                    .filter(|(part, _)| part.0 == number)
                    .filter_map(|(_, bins)| bins.as_ref())
                    .collect();
                self.add_up(*bars, &own, &kept, &mut cells);
                progress.add(self.levels.len() * self.least.len());
            }
            Ok(cells)
        })
    }

    fn add_up(&self, bars: usize, parts: &[&Bins], kept: &[Kept], cells: &mut Vec<Cell>) {
        let (bins, kinds) = (self.levels.len() + 1, self.least.len() + 1);
        let span = bars + 1;
        let known = self.prices.len().saturating_sub(self.lead + bars);
        let slots = 0..2 * bins * kinds;
        let count: Vec<u64> =
            slots.clone().map(|s| parts.iter().map(|part| part.count[s]).sum()).collect();
        let moved: Vec<Sum> =
            slots.map(|s| parts.iter().map(|part| part.moved[s]).collect()).collect();
        for level in 0..self.levels.len() {
            for (least, kept) in kept.iter().enumerate() {
                // Slots of a sign, of rows that pass the filter, from a bin on.
                let chosen = |falls: usize, bin: usize| {
                    (least + 1..kinds).flat_map(move |row| {
                        (bin..bins).map(move |b| (falls * kinds + row) * bins + b)
                    })
                };
                let number = |falls, bin| chosen(falls, bin).map(|slot| count[slot]).sum::<u64>();
                let total = |falls| {
                    chosen(falls, level + 1).fold(Sum::default(), |a, slot| a.with(moved[slot]))
                };
                let mut sum = total(0);
                if self.ternary {
                    sum = sum.with(total(1));
                }
                cells.push(Cell {
                    defined: count.iter().sum(),
                    labels: number(0, 0) + number(1, 0),
                    up: number(0, level + 1),
                    down: if self.ternary { number(1, level + 1) } else { 0 },
                    moved: sum.value(),
                    effective: kept.covered(known, span) as f64 / span as f64,
                    ..Cell::default()
                });
            }
        }
    }
}
