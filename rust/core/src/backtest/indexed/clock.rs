//! The clock of an account that several symbols share.

use crate::backtest::account::run::Leg;
use crate::bars::DAY_MS;

/// The union of the symbols' times.
pub struct Clock {
    /// Opening time of each step.
    pub times: Vec<i64>,
    /// By symbol, the steps of its bars; None where it has a bar at every step from its first to its last.
    steps: Vec<Option<Vec<u32>>>,
    /// By symbol, the step of its first bar.
    first: Vec<usize>,
    /// Steps that are the last of a UTC day, and the day.
    pub day_ends: Vec<(usize, i64)>,
}

impl Clock {
    /// Of the symbols' windows; None where steps cannot be counted.
    pub fn new(legs: &[Leg<'_, '_, '_>]) -> Option<Self> {
        let own = |leg: &Leg<'_, '_, '_>| -> Vec<i64> {
            leg.market.bars.open_time()[leg.window.start..leg.window.stop].to_vec()
        };
        let mut times = legs.first().map(own).unwrap_or_default();
        let mut alike = true;
        for leg in legs.iter().skip(1) {
            let more = &leg.market.bars.open_time()[leg.window.start..leg.window.stop];
            if *more != times[..] {
                times = merged(&times, more);
                alike = false;
            }
        }
        if times.len() >= u32::MAX as usize {
            return None;
        }
        let mut first = vec![];
        let steps = legs
            .iter()
            .map(|leg| {
                if alike {
                    first.push(0);
                    return None;
                }
                let own = &leg.market.bars.open_time()[leg.window.start..leg.window.stop];
                let begin = own.first().map_or(0, |t| times.partition_point(|time| time < t));
                first.push(begin);
                if times.get(begin..begin + own.len()) == Some(own) {
                    return None;
                }
                let mut at = begin;
                let step = |time: &i64| {
                    while times[at] < *time {
                        at += 1;
                    }
                    u32::try_from(at).unwrap_or(u32::MAX)
                };
                Some(own.iter().map(step).collect())
            })
            .collect();
        let days = times.iter().map(|time| time.div_euclid(DAY_MS));
        let next = days.clone().skip(1).map(Some).chain([None]);
        let ends = days.zip(next).enumerate();
        let day_ends = ends.filter(|(_, (day, next))| *next != Some(*day));
        let day_ends = day_ends.map(|(step, (day, _))| (step, day)).collect();
        Some(Self { times, steps, first, day_ends })
    }

    /// Step of a symbol's first bar, if it has one at every step from there to its last.
    pub fn dense_from(&self, symbol: usize) -> Option<usize> {
        self.steps[symbol].is_none().then_some(self.first[symbol])
    }

    /// Step of a bar, counted from the first of the symbol's window.
    #[inline]
    pub fn step(&self, symbol: usize, bar: usize) -> usize {
        match &self.steps[symbol] {
            None => self.first[symbol] + bar,
            Some(steps) => steps[bar] as usize,
        }
    }

    /// Bars of a symbol that open before a step.
    pub fn bars_before(&self, symbol: usize, step: usize, count: usize) -> usize {
        match &self.steps[symbol] {
            None => step.saturating_sub(self.first[symbol]).min(count),
            Some(steps) => steps.partition_point(|at| (*at as usize) < step),
        }
    }
}

fn merged(a: &[i64], b: &[i64]) -> Vec<i64> {
    let mut out = Vec::with_capacity(a.len().max(b.len()));
    let (mut i, mut j) = (0, 0);
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        out.push(*x.min(y));
        i += usize::from(x <= y);
        j += usize::from(y <= x);
    }
    out.extend_from_slice(&a[i..]);
    out.extend_from_slice(&b[j..]);
    out
}
