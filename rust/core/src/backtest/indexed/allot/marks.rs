//! Marks of an account that goes from trade to trade.

use crate::backtest::account::Book;
use crate::backtest::account::run::Leg;
use crate::backtest::daily::{DayEnds, Drawdown};
use crate::backtest::indexed::clock::Clock;
use crate::backtest::position::holding::Holding;
use crate::simd::Simd;

/// Over which steps what was held.
type Held = (usize, usize, Holding);

/// Positions and closed equity by the steps from which on they are so.
pub struct Marks {
    closed: Vec<(usize, f64)>,
    /// By symbol, what was held and is no more.
    past: Vec<Vec<Held>>,
    now: Vec<Option<(usize, Holding)>>,
    /// Who was alone.
    alone: Vec<(usize, Held)>,
    lone: Option<(usize, usize, Holding)>,
}

impl Marks {
    pub fn new(symbols: usize, initial: f64) -> Self {
        Self {
            closed: vec![(0, initial)],
            past: vec![vec![]; symbols],
            now: vec![None; symbols],
            alone: vec![],
            lone: None,
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
            self.alone.push((symbol, (from, at, holding)));
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

    /// Takes out what is known of the steps before `to`, into `stretch`, whose old contents are given up.
    pub fn cut(&mut self, to: usize, stretch: &mut Stretch) {
        stretch.closed.clear();
        std::mem::swap(&mut stretch.closed, &mut self.closed);
        self.closed.extend(stretch.closed.last().map(|(_, value)| (to, *value)));
        for (now, (past, held)) in
            self.now.iter_mut().zip(self.past.iter_mut().zip(&mut stretch.held))
        {
            if let Some((from, holding)) = now
                && *from < to
            {
                past.push((*from, to, *holding));
                *from = to;
            }
            held.clear();
            std::mem::swap(held, past);
        }
        if let Some((symbol, from, holding)) = &mut self.lone
            && *from < to
        {
            self.alone.push((*symbol, (*from, to, *holding)));
            *from = to;
        }
        stretch.alone.clear();
        std::mem::swap(&mut stretch.alone, &mut self.alone);
    }
}

/// What was held, and the equity without it, over a stretch of the clock: enough to mark its steps in any order.
pub struct Stretch {
    closed: Vec<(usize, f64)>,
    held: Vec<Vec<Held>>,
    alone: Vec<(usize, Held)>,
}

impl Stretch {
    pub fn new(symbols: usize) -> Self {
        Self { closed: vec![], held: vec![vec![]; symbols], alone: vec![] }
    }

    /// Marks steps from `from` on, one a place of `out`; the worst and the best of them.
    pub fn mark(&self, prices: &Prices<'_, '_>, from: usize, out: &mut [f64]) -> (f64, f64) {
        let to = from + out.len();
        let first = self.closed.partition_point(|(at, _)| *at <= from).saturating_sub(1);
        let mut closed = self.closed[first..].iter().peekable();
        while let Some((begin, value)) = closed.next() {
            if *begin >= to {
                break;
            }
            let end = closed.peek().map_or(to, |(at, _)| (*at).min(to));
            out[(*begin).max(from) - from..end - from].fill(*value);
        }
        let within = |(begin, end, holding): &Held| {
            let (begin, end) = ((*begin).max(from), (*end).min(to));
            (begin < end).then_some((begin, end, *holding))
        };
        for (symbol, held) in self.held.iter().enumerate() {
            let first = held.partition_point(|(_, end, _)| *end <= from);
            let mine = held[first..].iter().take_while(|(begin, _, _)| *begin < to);
            for (begin, end, holding) in mine.filter_map(within) {
                prices.add(symbol, (begin, end), &holding, &mut out[begin - from..end - from]);
            }
        }
        for (symbol, held) in &self.alone {
            if let Some((begin, end, holding)) = within(held) {
                for step in begin..end {
                    out[step - from] = holding.mark(prices.close_at(*symbol, step));
                }
            }
        }
        range(out)
    }
}

/// Closes of all symbols by step.
pub struct Prices<'c, 'm> {
    clock: &'c Clock<'c>,
    /// By symbol, the closes of its window.
    closes: Vec<&'m [f64]>,
    simd: Simd,
}

impl<'c, 'm> Prices<'c, 'm> {
    pub fn new(legs: &[Leg<'m, '_, '_>], clock: &'c Clock<'c>) -> Self {
        let closes = legs.iter().map(|leg| {
            let window = leg.window;
            &leg.market.bars.close()[window.start..window.stop]
        });
        let simd = legs.first().map_or_else(Simd::current, |leg| leg.market.simd);
        Self { clock, closes: closes.collect(), simd }
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
}

/// What marks leave, taken in their order.
pub struct Tail {
    pub drawdown: Drawdown,
    pub days: DayEnds,
    next_day: usize,
    pub last: f64,
}

impl Tail {
    pub fn new(initial: f64) -> Self {
        Self {
            drawdown: Drawdown::new(initial),
            days: DayEnds::new(&[], (0, 0), initial),
            next_day: 0,
            last: initial,
        }
    }

    /// Takes the marks of steps from `from` on, which lie between the two.
    pub fn take(&mut self, clock: &Clock<'_>, from: usize, marks: &[f64], between: (f64, f64)) {
        fall(&mut self.drawdown, marks, between, 1.0);
        while let Some((end, _)) = clock.day_ends.get(self.next_day)
            && *end < from + marks.len()
        {
            self.days.last(marks[end - from]);
            self.next_day += 1;
        }
        self.last = marks.last().copied().unwrap_or(self.last);
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
