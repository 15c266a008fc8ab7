//! Finer bars of the same symbol, by the bar they lie in (EXECUTION.md, section 7).
//!
//! A bar is run on the finer bars inside it if they make it up: first open, highest high, lowest low and last close are
//! those of the bar. Finer bars may then be missing: nothing was traded in them, or nothing that shows. A bar that they
//! do not make up is run on itself.

use std::ops::Range;

use crate::bars::{Bar, Bars};
use crate::window::Window;
use crate::{Error, Result};

/// Prices are the same within this relative distance: some sources keep them in single precision.
const SAME_PRICE: f64 = 1e-6;

/// Finer bars, checked against the bars they refine.
#[derive(Clone, Debug)]
pub struct Finer<'a> {
    bars: &'a Bars,
    /// Finer bars that each bar is run on; empty where it is run on itself.
    inside: Vec<Range<usize>>,
    /// Bars that have all their finer bars and yet are not made up by them.
    contradicted: Vec<usize>,
}

/// Bars of a window that finer bars do not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unserved {
    /// How many are run on themselves.
    pub bars: usize,
    /// How many of them have all their finer bars, which say something else.
    pub contradicted: usize,
    /// The first, as a bar of the candles.
    pub first: Option<usize>,
}

impl<'a> Finer<'a> {
    /// Finds the finer bars of each bar.
    ///
    /// Refused are intervals that do not divide, finer bars off the grid of the bar they lie in, and finer bars that
    /// contradict more bars than they make up: those are of another market, or shifted in time. Single bars in which an
    /// exchange's own series disagree exist, and are run on themselves.
    pub fn new(coarse: &Bars, fine: &'a Bars) -> Result<Self> {
        let (long, short) = (coarse.interval_ms(), fine.interval_ms());
        if short >= long || long % short != 0 {
            return Err(refused(
                format!(
                    "of an interval that is shorter than that of the candles ({long} ms) and divides it"
                ),
                format!("{short} ms"),
            ));
        }
        let times = fine.open_time();
        let mut inside = Vec::with_capacity(coarse.len());
        let mut contradicted = vec![];
        let mut first = None;
        let mut whole = 0_usize;
        let mut at = 0;
        for (i, &begin) in coarse.open_time().iter().enumerate() {
            let next = coarse.open_time().get(i + 1).copied().unwrap_or(i64::MAX);
            let end = coarse.close_time(i).min(next);
            at += times[at..].iter().take_while(|t| **t < begin).count();
            let count = times[at..].iter().take_while(|t| **t + short <= end).count();
            let range = at..at + count;
            at += count;
            if let Some(k) = range.clone().find(|k| (times[*k] - begin) % short != 0) {
                return Err(refused(
                    format!("on the grid of the candles, every {short} ms from the open of each"),
                    format!(
                        "{} ms off it at bar {k}, inside bar {i} of the candles",
                        (times[k] - begin) % short
                    ),
                ));
            }
            let all = usize::try_from((end - begin) / short) == Ok(count);
            whole += usize::from(all);
            let differs = difference(fine, range.clone(), &coarse.bar(i));
            inside.push(if differs.is_some() { 0..0 } else { range });
            if let (true, Some(found)) = (all, differs) {
                contradicted.push(i);
                first.get_or_insert((i, found));
            }
        }
        let count = contradicted.len();
        if let Some((i, (name, shown, made))) = first
            && 2 * count > whole
        {
            return Err(refused(
                "of the market of the candles".to_owned(),
                format!(
                    "another: {count} of {whole} bars differ, the first is bar {i}, {name} {shown} against {made}"
                ),
            ));
        }
        Ok(Self { bars: fine, inside, contradicted })
    }

    /// Number of bars that are refined.
    pub fn len(&self) -> usize {
        self.inside.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.inside.is_empty()
    }

    /// Finer bars that bar `i` of the candles is run on; none where it is run on itself.
    pub fn inside(&self, i: usize) -> impl ExactSizeIterator<Item = Bar> {
        self.inside[i].clone().map(|k| self.bars.bar(k))
    }

    /// What is run on itself in a window.
    pub fn unserved(&self, window: Window) -> Unserved {
        let span = window.start..window.stop;
        let mut missing = span.clone().filter(|i| self.inside[*i].is_empty());
        let first = missing.next();
        Unserved {
            bars: usize::from(first.is_some()) + missing.count(),
            contradicted: self.contradicted.iter().filter(|i| span.contains(i)).count(),
            first,
        }
    }
}

fn refused(bound: String, value: String) -> Error {
    Error::Parameter { name: "intrabar_candles".to_owned(), value, bound }
}

/// First price of a bar that is not what its finer bars make: its name, as the bar shows it, as they make it.
fn difference(fine: &Bars, range: Range<usize>, bar: &Bar) -> Option<(&'static str, f64, f64)> {
    let (Some(open), Some(close)) =
        (fine.open()[range.clone()].first(), fine.close()[range.clone()].last())
    else {
        return Some(("open", bar.open, f64::NAN));
    };
    let high = fine.high()[range.clone()].iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b));
    let low = fine.low()[range].iter().fold(f64::INFINITY, |a, b| a.min(*b));
    [
        ("open", bar.open, *open),
        ("high", bar.high, high),
        ("low", bar.low, low),
        ("close", bar.close, *close),
    ]
    .into_iter()
    .find(|(_, shown, made)| (made - shown).abs() > SAME_PRICE * shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bars::Columns;

    type Row = (i64, f64, f64, f64, f64);

    fn bars(interval: i64, rows: &[Row]) -> Bars {
        let column = |of: fn(&Row) -> f64| rows.iter().map(of).collect::<Vec<f64>>();
        let columns = Columns {
            open_time: rows.iter().map(|r| r.0).collect(),
            open: column(|r| r.1),
            high: column(|r| r.2),
            low: column(|r| r.3),
            close: column(|r| r.4),
            volume: vec![1.0; rows.len()],
            ..Columns::default()
        };
        Bars::new(columns, interval, None, vec![]).unwrap()
    }

    /// Two bars of 3,000 ms, each of three finer ones.
    fn pair() -> (Vec<Row>, Vec<Row>) {
        let fine = vec![
            (0, 10.0, 12.0, 9.0, 11.0),
            (1000, 11.0, 14.0, 11.0, 13.0),
            (2000, 13.0, 13.0, 8.0, 9.0),
            (3000, 9.0, 9.5, 9.0, 9.0),
            (4000, 9.0, 9.0, 9.0, 9.0),
            (5000, 9.0, 10.0, 7.0, 10.0),
        ];
        (vec![(0, 10.0, 14.0, 8.0, 9.0), (3000, 9.0, 10.0, 7.0, 10.0)], fine)
    }

    fn unserved(coarse: &[Row], fine: &[Row]) -> Unserved {
        let fine = bars(1000, fine);
        let finer = Finer::new(&bars(3000, coarse), &fine).unwrap();
        finer.unserved(Window { start: 0, stop: coarse.len() })
    }

    #[test]
    fn bars_are_served_if_their_finer_bars_make_them_up() {
        let (coarse, fine) = pair();
        assert_eq!(unserved(&coarse, &fine), Unserved { bars: 0, contradicted: 0, first: None });
        let fine_bars = bars(1000, &fine);
        let finer = Finer::new(&bars(3000, &coarse), &fine_bars).unwrap();
        assert_eq!(finer.inside(1).map(|b| b.open_time).collect::<Vec<_>>(), [3000, 4000, 5000]);
        // Nothing happened in the bar that is missing.
        let mut less = fine.clone();
        less.remove(4);
        assert_eq!(unserved(&coarse, &less).bars, 0);
        // The second bar's low is in the last.
        less.pop();
        assert_eq!(unserved(&coarse, &less), Unserved { bars: 1, contradicted: 0, first: Some(1) });
        assert_eq!(unserved(&coarse, &fine[..3]).first, Some(1));
        // Bars beside the candles are nobody's.
        let mut more = fine.clone();
        more.push((6000, 1.0, 1.0, 1.0, 1.0));
        more.insert(0, (-700, 1.0, 1.0, 1.0, 1.0));
        assert_eq!(unserved(&coarse, &more).bars, 0);
    }

    #[test]
    fn a_contradicted_bar_is_run_on_itself_and_a_contradicted_market_is_refused() {
        let (coarse, mut fine) = pair();
        fine[5].2 = 10.5;
        assert_eq!(unserved(&coarse, &fine), Unserved { bars: 1, contradicted: 1, first: Some(1) });
        fine[5].2 = 10.0 * (1.0 + 5e-7);
        assert_eq!(unserved(&coarse, &fine).bars, 0);
        fine[5].2 = 10.5;
        fine[2].3 = 8.5;
        let fine = bars(1000, &fine);
        assert_eq!(
            Finer::new(&bars(3000, &coarse), &fine).unwrap_err().to_string(),
            "`intrabar_candles` must be of the market of the candles, was another: 2 of 2 bars differ, the first is \
             bar 0, low 8 against 8.5"
        );
    }

    #[test]
    fn intervals_and_grids_must_fit() {
        let (coarse, fine) = pair();
        let refuse = |coarse: &Bars, fine: &Bars| Finer::new(coarse, fine).unwrap_err().to_string();
        for interval in [2000, 3000, 6000] {
            assert_eq!(
                refuse(&bars(3000, &coarse), &bars(interval, &fine)),
                format!(
                    "`intrabar_candles` must be of an interval that is shorter than that of the candles (3000 ms) and \
                     divides it, was {interval} ms"
                )
            );
        }
        let shifted: Vec<Row> = fine.iter().map(|r| (r.0 + 300, r.1, r.2, r.3, r.4)).collect();
        assert_eq!(
            refuse(&bars(3000, &coarse), &bars(1000, &shifted)),
            "`intrabar_candles` must be on the grid of the candles, every 1000 ms from the open of each, was 300 ms off \
             it at bar 0, inside bar 0 of the candles"
        );
    }
}
