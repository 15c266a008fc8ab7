//! Whole candles through the engine, block by block.
//!
//! Where the next bars of every symbol open at the times of the first symbol's, columns go to the wires as they are;
//! elsewhere bars go in one by one, in time order. Each clock gets the same ticks either way.

use std::ops::Range;

use super::super::graph::Source;
use super::super::node::BLOCK;
use super::{Engine, Row};
use crate::Result;
use crate::bars::Bars;

/// How far each symbol's candles have been taken.
#[derive(Clone, Debug)]
pub struct Place(Vec<usize>);

impl Place {
    /// At the first bar of so many symbols.
    pub fn new(feeds: usize) -> Self {
        Self(vec![0; feeds])
    }

    /// Bars of the first symbol that were taken.
    pub fn rows(&self) -> usize {
        self.0[0]
    }
}

impl Engine {
    /// Goes on over candles up to bar `to` of the first symbol; `take` sees the number of the first bar of each block,
    /// and reads [`Engine::values`].
    ///
    /// `feeds` holds the candles of [`Engine::feeds`], `own` one column a feature of the user's own. `go` is asked
    /// between blocks and stops the work where it says no, which gives false.
    pub fn advance(
        &mut self,
        place: &mut Place,
        feeds: &[&Bars],
        own: &[&[f64]],
        to: usize,
        go: &dyn Fn() -> bool,
        take: &mut dyn FnMut(usize, &Self),
    ) -> Result<bool> {
        let mut extra: Vec<Vec<&[f64]>> = vec![];
        for (feed, bars) in feeds.iter().enumerate() {
            extra.push(self.further_columns(feed, bars)?);
        }
        let to = to.min(feeds[0].len());
        while place.rows() < to {
            if !go() {
                return Ok(false);
            }
            let from = place.rows();
            let end = to.min(from + BLOCK);
            if aligned(feeds, &place.0, end - from) {
                for feed in 0..feeds.len() {
                    let bars = place.0[feed]..place.0[feed] + end - from;
                    place.0[feed] = bars.end;
                    let mine: &[&[f64]] = if feed == 0 { own } else { &[] };
                    self.feed_block(feed, feeds[feed], bars, &extra[feed], mine);
                }
            } else {
                self.feed_merged(feeds, &extra, own, from..end, &mut place.0[1..]);
                place.0[0] = end;
            }
            self.run();
            take(from, self);
            self.clear();
        }
        Ok(true)
    }

    /// Takes the bars of other symbols behind the last one of the first; they wait for its next bar.
    pub fn finish(&mut self, place: &mut Place, feeds: &[&Bars]) -> Result<()> {
        for (feed, bars) in feeds.iter().enumerate().skip(1) {
            let extra = self.further_columns(feed, bars)?;
            for i in place.0[feed]..bars.len() {
                self.feed_bar(feed, bars, i, &extra, &[]);
            }
            place.0[feed] = bars.len();
        }
        Ok(())
    }

    /// Runs over candles from the state it is in; rows go to `out`, one column a feature, of the candles' length. False
    /// where `go` said no.
    pub fn compute(
        &mut self,
        feeds: &[&Bars],
        own: &[&[f64]],
        mut out: Vec<&mut [f64]>,
        go: &dyn Fn() -> bool,
    ) -> Result<bool> {
        let mut place = Place::new(feeds.len());
        let mut take = |from: usize, engine: &Self| {
            for (k, column) in out.iter_mut().enumerate() {
                let values = engine.values(k);
                column[from..from + values.len()].copy_from_slice(values);
            }
        };
        if !self.advance(&mut place, feeds, own, feeds[0].len(), go, &mut take)? {
            return Ok(false);
        }
        self.finish(&mut place, feeds)?;
        Ok(true)
    }

    /// As [`Engine::compute`], to `out` row by row.
    pub fn rows(
        &mut self,
        feeds: &[&Bars],
        own: &[&[f64]],
        out: &mut [f64],
        go: &dyn Fn() -> bool,
    ) -> Result<bool> {
        let mut place = Place::new(feeds.len());
        let width = self.graph.results.len();
        let mut take = |from: usize, engine: &Self| {
            for k in 0..width {
                for (i, value) in engine.values(k).iter().enumerate() {
                    out[(from + i) * width + k] = *value;
                }
            }
        };
        if !self.advance(&mut place, feeds, own, feeds[0].len(), go, &mut take)? {
            return Ok(false);
        }
        self.finish(&mut place, feeds)?;
        Ok(true)
    }

    /// Takes many bars of a symbol, of whose time no other has any that were not taken.
    fn feed_block(
        &mut self,
        feed: usize,
        bars: &Bars,
        range: Range<usize>,
        extra: &[&[f64]],
        own: &[&[f64]],
    ) {
        let times = &bars.open_time()[range.clone()];
        let columns = [bars.open(), bars.high(), bars.low(), bars.close(), bars.volume()];
        for number in 0..self.clocks.len() {
            let clock = &mut self.clocks[number];
            if clock.feed != feed || clock.long.is_some() {
                continue;
            }
            let (start, length) = (clock.anchor, clock.interval_ms);
            let slot = |time: i64| (time - start).div_euclid(length);
            match times.first() {
                Some(first) if bars.is_even() => {
                    clock.at.extend((slot(*first)..).take(times.len()));
                }
                _ => clock.at.extend(times.iter().map(|time| slot(*time))),
            }
            clock.time.extend_from_slice(times);
            clock.stamp.extend(times.iter().map(|t| 2 * (t + self.interval_ms)));
            for (source, wire) in &self.graph.clocks[number].sources {
                let out = &mut self.wires[*wire];
                match source {
                    Source::Column(0) => out.extend(times.iter().map(|t| *t as f64)),
                    Source::Column(k) => out.extend_from_slice(&columns[k - 1][range.clone()]),
                    Source::CloseTime => out.extend(times.iter().map(|t| (t + length) as f64)),
                    Source::Extra(k) => out.extend_from_slice(&extra[*k][range.clone()]),
                    Source::Own(k) => out.extend_from_slice(&own[*k][range.clone()]),
                }
            }
        }
        if self.clocks.iter().any(|c| c.feed == feed && c.long.is_some()) {
            let mut more = vec![0.0; extra.len()];
            for i in range {
                for (slot, column) in more.iter_mut().zip(extra) {
                    *slot = column.get(i).copied().unwrap_or(f64::NAN);
                }
                let row = Row {
                    open_time: bars.open_time()[i],
                    values: columns.map(|c| c[i]),
                    extra: &more,
                    own: &[],
                };
                let known = 2 * (row.open_time + self.interval_ms);
                for number in 0..self.clocks.len() {
                    if self.clocks[number].feed == feed && self.clocks[number].long.is_some() {
                        self.gather(number, &row, known);
                    }
                }
            }
        }
        if feed == 0 {
            self.bars += times.iter().map(|_| 1_i64).sum::<i64>();
        }
        if let Some(last) = times.last() {
            self.last[feed] = *last;
        }
    }

    /// Takes bars of several symbols in time order, the first symbol last among equal times.
    fn feed_merged(
        &mut self,
        feeds: &[&Bars],
        extra: &[Vec<&[f64]>],
        own: &[&[f64]],
        range: Range<usize>,
        next: &mut [usize],
    ) {
        let mut mine = vec![0.0; own.len()];
        for i in range {
            let time = feeds[0].open_time()[i];
            for (other, next) in next.iter_mut().enumerate() {
                let feed = other + 1;
                let times = feeds[feed].open_time();
                while *next < times.len() && times[*next] <= time {
                    self.feed_bar(feed, feeds[feed], *next, &extra[feed], &[]);
                    *next += 1;
                }
            }
            for (slot, column) in mine.iter_mut().zip(own) {
                *slot = column[i];
            }
            self.feed_bar(0, feeds[0], i, &extra[0], &mine);
        }
    }

    fn feed_bar(&mut self, feed: usize, bars: &Bars, i: usize, extra: &[&[f64]], own: &[f64]) {
        let more: Vec<f64> =
            extra.iter().map(|column| column.get(i).copied().unwrap_or(f64::NAN)).collect();
        let row = Row {
            open_time: bars.open_time()[i],
            values: [
                bars.open()[i],
                bars.high()[i],
                bars.low()[i],
                bars.close()[i],
                bars.volume()[i],
            ],
            extra: &more,
            own,
        };
        self.feed(feed, &row);
    }
}

/// Whether the next `count` bars of all symbols open at the same times.
fn aligned(feeds: &[&Bars], next: &[usize], count: usize) -> bool {
    let Some((first, others)) = feeds.split_first() else { return true };
    let times = first.open_time().get(next[0]..next[0] + count);
    others.iter().zip(&next[1..]).all(|(bars, at)| bars.open_time().get(*at..*at + count) == times)
}
