//! Marks of an account that goes from trade to trade.

use super::TILE;
use crate::backtest::account::Book;
use crate::backtest::account::run::Leg;
use crate::backtest::daily::{DayEnds, Drawdown};
use crate::backtest::indexed::clock::Clock;
use crate::backtest::indexed::marks::Compounded;
use crate::backtest::position::holding::Holding;
use crate::simd::Simd;

/// Positions and closed equity by the steps over which they were so, and the marks that they make.
pub struct Marks<'c, 'm> {
    clock: &'c Clock,
    /// By symbol, the closes of its window.
    closes: Vec<&'m [f64]>,
    simd: Simd,
    /// First step that was not marked.
    pub from: usize,
    closed: Vec<(usize, f64)>,
    /// By symbol, over which steps what was held.
    past: Vec<Vec<(usize, usize, Holding)>>,
    now: Vec<Option<(usize, Holding)>>,
    /// Who was alone.
    alone: Vec<(usize, usize, usize, Holding)>,
    lone: Option<(usize, usize, Holding)>,
    totals: Vec<f64>,
    pub drawdown: Drawdown,
    pub compounded: Option<Compounded>,
    pub days: DayEnds,
    next_day: usize,
    pub kept: Option<Vec<f64>>,
    pub last: f64,
}

impl<'c, 'm> Marks<'c, 'm> {
    pub fn new(
        legs: &[Leg<'m, '_, '_>],
        clock: &'c Clock,
        initial: f64,
        keep: bool,
        compounded: Option<Compounded>,
    ) -> Self {
        let count = legs.len();
        let closes = legs.iter().map(|leg| {
            let window = leg.window;
            &leg.market.bars.close()[window.start..window.stop]
        });
        Self {
            clock,
            closes: closes.collect(),
            simd: legs.first().map_or_else(Simd::current, |leg| leg.market.simd),
            from: 0,
            closed: vec![(0, initial)],
            past: vec![vec![]; count],
            now: vec![None; count],
            alone: vec![],
            lone: None,
            totals: vec![],
            drawdown: Drawdown::new(initial),
            compounded,
            days: DayEnds::new(&[], (0, 0), initial),
            next_day: 0,
            kept: keep.then(|| Vec::with_capacity(clock.times.len())),
            last: initial,
        }
    }

    /// A symbol holds otherwise from step `at` on.
    #[inline]
    pub fn change(&mut self, symbol: usize, at: usize, to: Option<Holding>) {
        if let Some((from, holding)) = self.now[symbol].take()
            && from < at
        {
            self.past[symbol].push((from, at, holding));
        }
        self.now[symbol] = to.map(|holding| (at, holding));
    }

    /// The account after step `at`.
    #[inline]
    pub fn after(&mut self, at: usize, book: &Book) {
        match self.closed.last_mut() {
            Some(last) if last.1.to_bits() == book.closed().to_bits() => {}
            Some(last) if last.0 == at => last.1 = book.closed(),
            _ => self.closed.push((at, book.closed())),
        }
        if let Some((symbol, from, holding)) = self.lone.take()
            && from < at
        {
            self.alone.push((symbol, from, at, holding));
        }
        if book.positions() == 1 {
            let held = self.now.iter().enumerate().find_map(|(k, now)| Some((k, now.as_ref()?.1)));
            if let Some((symbol, holding)) = held
                && book.is_alone(&holding)
            {
                self.lone = Some((symbol, at, holding));
            }
        }
    }

    /// Marks the steps before `to`, over which all is known.
    pub fn mark_to(&mut self, to: usize) {
        while self.from < to {
            let next = to.min(self.from + 2 * TILE);
            self.mark_tile(next);
        }
    }

    fn mark_tile(&mut self, to: usize) {
        let from = self.from;
        let mut totals = std::mem::take(&mut self.totals);
        totals.clear();
        for (number, (begin, value)) in self.closed.iter().enumerate() {
            let end = self.closed.get(number + 1).map_or(to, |(at, _)| (*at).min(to));
            let begin = (*begin).max(from);
            if begin < end {
                totals.resize(end - from, *value);
            }
        }
        for symbol in 0..self.closes.len() {
            let past = self.past[symbol].iter().copied();
            let now = self.now[symbol].iter().map(|(begin, holding)| (*begin, to, *holding));
            for (begin, end, holding) in past.chain(now) {
                let (begin, end) = (begin.max(from), end.min(to));
                if begin < end {
                    self.add(symbol, (begin, end), &holding, &mut totals[begin - from..end - from]);
                }
            }
        }
        let lone = self.lone.iter().map(|(symbol, begin, holding)| (*symbol, *begin, to, *holding));
        for (symbol, begin, end, holding) in self.alone.iter().copied().chain(lone) {
            for step in begin.max(from)..end.min(to) {
                totals[step - from] = holding.mark(self.close_at(symbol, step));
            }
        }
        let extremes = range(&mut totals);
        self.take(&totals, extremes, from, to);
        self.totals = totals;
        self.from = to;
        // What lies behind is not looked at again.
        let behind = self.closed.partition_point(|(at, _)| *at <= to).saturating_sub(1);
        self.closed.drain(..behind);
        for past in &mut self.past {
            let behind = past.partition_point(|(_, end, _)| *end <= to);
            past.drain(..behind);
        }
        let behind = self.alone.partition_point(|(_, _, end, _)| *end <= to);
        self.alone.drain(..behind);
    }

    /// Last close of a symbol at a step.
    pub fn close_at(&self, symbol: usize, step: usize) -> f64 {
        let closes = self.closes[symbol];
        let bars = match self.clock.dense_from(symbol) {
            Some(first) => step + 1 - first,
            None => self.clock.bars_before(symbol, step + 1, closes.len()),
        };
        closes[bars.min(closes.len()) - 1]
    }

    fn add(&self, symbol: usize, (begin, end): (usize, usize), of: &Holding, totals: &mut [f64]) {
        let closes = self.closes[symbol];
        if let Some(first) = self.clock.dense_from(symbol) {
            of.add_gains(self.simd, &closes[begin - first..end - first], totals);
            return;
        }
        let mut bars = self.clock.bars_before(symbol, begin, closes.len());
        for (step, total) in (begin..end).zip(totals) {
            let has_bar = bars < closes.len() && self.clock.step(symbol, bars) == step;
            bars += usize::from(has_bar);
            *total += of.gain(closes[bars - 1]);
        }
    }

    /// Takes the marks of steps `from..to`.
    fn take(&mut self, marks: &[f64], (worst, best): (f64, f64), from: usize, to: usize) {
        fall(&mut self.drawdown, marks, (worst, best), 1.0);
        if let Some(compounded) = &mut self.compounded {
            let scale = compounded.scale;
            fall(&mut compounded.drawdown, marks, (worst * scale, best * scale), scale);
        }
        while let Some((end, _)) = self.clock.day_ends.get(self.next_day)
            && *end < to
        {
            self.days.last(marks[end - from]);
            self.next_day += 1;
        }
        self.last = marks.last().copied().unwrap_or(self.last);
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(marks);
        }
    }
}

/// Follows a drawdown through marks that lie between two of them.
pub fn fall(drawdown: &mut Drawdown, marks: &[f64], (worst, best): (f64, f64), scale: f64) {
    if drawdown.contains(worst, best) {
        return;
    }
    if drawdown.can_absorb(worst, best) {
        drawdown.absorb(worst, best);
        return;
    }
    for mark in marks {
        drawdown.mark(mark * scale);
    }
}

/// Marks that [`range`] looks at together.
const LANES: usize = 8;

/// Sets marks below zero to zero; the least and the largest of them.
pub fn range(marks: &mut [f64]) -> (f64, f64) {
    let (mut least, mut most) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
    let (groups, rest) = marks.as_chunks_mut::<LANES>();
    let mut look = |lane: usize, mark: &mut f64| {
        *mark = if *mark > 0.0 { *mark } else { 0.0 };
        least[lane] = if *mark < least[lane] { *mark } else { least[lane] };
        most[lane] = if *mark > most[lane] { *mark } else { most[lane] };
    };
    for group in groups {
        for (lane, mark) in group.iter_mut().enumerate() {
            look(lane, mark);
        }
    }
    for mark in rest {
        look(0, mark);
    }
    let least = least.into_iter().fold(f64::INFINITY, f64::min);
    (least, most.into_iter().fold(f64::NEG_INFINITY, f64::max))
}
