//! The clock of an account that several symbols share.

use std::borrow::Cow;

use crate::backtest::account::run::{Leg, share_times};
use crate::bars::DAY_MS;

/// The union of the symbols' times.
pub struct Clock<'a> {
    /// Opening time of each step; those of the bars themselves where all symbols have the same.
    pub times: Cow<'a, [i64]>,
    /// By symbol, the steps of its bars; None where it has a bar at every step from its first to its last.
    steps: Vec<Option<Vec<u32>>>,
    /// By symbol, the step of its first bar.
    first: Vec<usize>,
    /// Steps that are the last of a UTC day, and the day.
    pub day_ends: Vec<(usize, i64)>,
}

impl<'a> Clock<'a> {
    /// Of the symbols' windows; None where steps cannot be counted.
    pub fn new(legs: &[Leg<'_, 'a, '_>]) -> Option<Self> {
        let mut times = Cow::Borrowed(legs.first().map_or(&[][..], Leg::times));
        let mut alike = true;
        for leg in legs.iter().skip(1) {
            if !(alike && share_times(&legs[0], leg)) {
                times = Cow::Owned(merged(&times, leg.times()));
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
                let own = leg.times();
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
        let day_ends = ends_of_days(&times);
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

/// The last step of each UTC day, and the day.
fn ends_of_days(times: &[i64]) -> Vec<(usize, i64)> {
    let mut ends = vec![];
    let mut from = 0;
    while let Some(time) = times.get(from) {
        let day = time.div_euclid(DAY_MS);
        let next = (day + 1) * DAY_MS;
        let mut reach = 32;
        while times.get(from + reach).is_some_and(|time| *time < next) {
            reach *= 2;
        }
        let upto = times.len().min(from + reach);
        from += times[from..upto].partition_point(|time| *time < next);
        ends.push((from - 1, day));
    }
    ends
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn days_end_where_the_next_step_is_of_another(
            first in -3 * DAY_MS..3 * DAY_MS,
            gaps in prop::collection::vec(prop_oneof![20 => 1_i64..900_000, 1 => 1..3 * DAY_MS], 0..600),
        ) {
            let mut times = vec![first];
            times.extend(gaps.iter().scan(first, |time, gap| { *time += gap; Some(*time) }));
            let day = |step: usize| times[step].div_euclid(DAY_MS);
            let want: Vec<(usize, i64)> = (0..times.len())
                .filter(|step| step + 1 == times.len() || day(*step) != day(step + 1))
                .map(|step| (step, day(step)))
                .collect();
            prop_assert_eq!(ends_of_days(&times), want);
            prop_assert_eq!(ends_of_days(&[]), vec![]);
        }
    }
}
