//! Marks of an account among many: what it held in a stretch of the clock, and what the marks leave.

use super::ways::short;
use crate::backtest::daily::{DayEnds, Drawdown};
use crate::backtest::indexed::allot::marks::{fall, range};
use crate::backtest::indexed::clock::Clock;
use crate::backtest::indexed::marks::Compounded;
use crate::backtest::position::holding::Holding;
use crate::simd::Simd;
use crate::window::Window;

/// Positions of one account over steps of one stretch, and its equity without them.
pub struct Stretches {
    /// The equity of closed trades, from each step on.
    closed: Vec<(u32, f64)>,
    /// By symbol, first step, step behind the last, what was held.
    held: Vec<Vec<(u32, u32, Holding)>>,
    /// Who was alone, and marked as in an account of its own.
    alone: Vec<(usize, u32, u32, Holding)>,
    totals: Vec<f64>,
    simd: Simd,
}

impl Stretches {
    /// Of so many symbols.
    pub fn new(symbols: usize) -> Self {
        Self {
            closed: vec![],
            held: vec![vec![]; symbols],
            alone: vec![],
            totals: vec![],
            simd: Simd::current(),
        }
    }

    /// Forgets the last account; this one begins with so much in closed trades.
    pub fn begin(&mut self, closed: f64) {
        self.closed.clear();
        self.closed.push((0, closed));
        self.held.iter_mut().for_each(Vec::clear);
        self.alone.clear();
    }

    /// The equity of closed trades after a step.
    #[inline]
    pub fn closed(&mut self, step: u32, value: f64) {
        match self.closed.last() {
            Some(last) if last.1.to_bits() == value.to_bits() => {}
            _ => self.closed.push((step, value)),
        }
    }

    /// A symbol held this over steps `from..to`.
    #[inline]
    pub fn held(&mut self, symbol: usize, from: u32, to: u32, holding: &Holding) {
        if from < to {
            self.held[symbol].push((from, to, *holding));
        }
    }

    /// It was alone over these steps.
    #[inline]
    pub fn alone(&mut self, symbol: usize, from: u32, to: u32, holding: &Holding) {
        self.alone.push((symbol, from, to, *holding));
    }
}

/// What the marks of an account leave.
pub struct Sheet {
    pub drawdown: Drawdown,
    pub compounded: Option<Compounded>,
    pub days: DayEnds,
    next_day: usize,
    pub last: f64,
    /// Who is alone, and the first step of that which was not marked.
    pub lone: Option<(usize, u32)>,
}

impl Sheet {
    /// Before the first mark.
    pub fn new(initial: f64, compounded: Option<Compounded>) -> Self {
        Self {
            drawdown: Drawdown::new(initial),
            compounded,
            days: DayEnds::new(&[], (0, 0), initial),
            next_day: 0,
            last: initial,
            lone: None,
        }
    }

    /// Marks a stretch whose positions are known: closed trades, then each symbol's gains in order, as the account adds
    /// them.
    pub fn mark(
        &mut self,
        stretches: &mut Stretches,
        (clock, windows, closes): (&Clock<'_>, &[Window], &[&[f64]]),
        (from, to): (usize, usize),
    ) {
        let Stretches { closed, held, alone, totals, simd } = stretches;
        totals.clear();
        for (number, (_, value)) in closed.iter().enumerate() {
            let end = closed.get(number + 1).map_or(to, |(at, _)| *at as usize);
            totals.resize(end - from, *value);
        }
        for (symbol, stretches) in held.iter().enumerate() {
            let window = windows[symbol];
            let closes = &closes[symbol][window.start..window.stop];
            for (begin, end, holding) in stretches {
                let (begin, end) = (*begin as usize, *end as usize);
                let totals = &mut totals[begin - from..end - from];
                if let Some(first) = clock.dense_from(symbol)
                    && end - first <= closes.len()
                {
                    holding.add_gains(*simd, &closes[begin - first..end - first], totals);
                    continue;
                }
                let mut bars = clock.bars_before(symbol, begin, closes.len());
                for (step, total) in (begin..end).zip(totals) {
                    let has_bar = bars < closes.len() && clock.step(symbol, bars) == step;
                    bars += usize::from(has_bar);
                    *total += holding.gain(closes[bars - 1]);
                }
            }
        }
        for (symbol, begin, end, holding) in &*alone {
            let window = windows[*symbol];
            let closes = &closes[*symbol][window.start..window.stop];
            let mut bars = clock.bars_before(*symbol, *begin as usize, closes.len());
            for step in *begin as usize..*end as usize {
                let has_bar = bars < closes.len() && clock.step(*symbol, bars) == step;
                bars += usize::from(has_bar);
                totals[step - from] = holding.mark(closes[bars - 1]);
            }
        }
        let (worst, best) = range(totals);
        fall(&mut self.drawdown, totals, (worst, best), 1.0);
        if let Some(compounded) = &mut self.compounded {
            let scale = compounded.scale;
            fall(&mut compounded.drawdown, totals, (worst * scale, best * scale), scale);
        }
        while let Some((end, _)) = clock.day_ends.get(self.next_day)
            && *end < to
        {
            self.days.last(totals[end - from]);
            self.next_day += 1;
        }
        self.last = totals.last().copied().unwrap_or(self.last);
        debug_assert!(short(to - from) as usize == totals.len());
    }
}
