//! Candles as the engines see them: columns, validated once, never changed.

mod funding;

pub use funding::{FUNDING_COLUMNS, Funding, Settlements};

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::digest::Digest;
use crate::market::{Extremes, Span};
use crate::window::Window;
use crate::{Error, Result};

/// Milliseconds of a UTC day.
pub const DAY_MS: i64 = 86_400_000;

/// A hundred million days, as far from 1970 as calendars reach: sums of times stay within the integers.
pub(crate) const FARTHEST_MS: i64 = 100_000_000 * DAY_MS;

/// One closed bar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// Opening time, milliseconds UTC.
    pub open_time: i64,
    /// First price.
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Last price.
    pub close: f64,
}

/// What is known of a market: the columns of its bars and its funding.
#[derive(Debug)]
pub struct Bars {
    open_time: Vec<i64>,
    open: Vec<f64>,
    high: Vec<f64>,
    low: Vec<f64>,
    close: Vec<f64>,
    volume: Vec<f64>,
    interval_ms: i64,
    extra: BTreeMap<String, Vec<f64>>,
    funding: Option<Funding>,
    labels: Vec<(String, String)>,
    whole: bool,
    /// Whether every bar opens one interval after the one before.
    even: bool,
    digest: OnceLock<String>,
    series: Mutex<BTreeMap<SeriesKey, Arc<[f64]>>>,
    index: OnceLock<Index>,
    funding_columns: OnceLock<[Vec<f64>; 5]>,
}

/// Where bars could matter; built at first use.
#[derive(Debug)]
pub struct Index {
    /// Lows and highs.
    pub range: Extremes,
    /// Closes.
    pub close: Extremes,
    /// Bars that are the last to open in their UTC day.
    pub day_ends: Vec<usize>,
    /// Bars in which funding is due.
    pub settlements: Vec<Settlements>,
}

/// An indicator that rules need, by its parameter; computed once for all combinations that share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SeriesKey {
    /// Average true range by its period.
    Atr(u32),
    /// Realised volatility by its window.
    Volatility(u32),
}

/// Columns handed to [`Bars::new`]; all of one length.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// Opening times, milliseconds UTC.
    pub open_time: Vec<i64>,
    /// First prices.
    pub open: Vec<f64>,
    /// Highest prices.
    pub high: Vec<f64>,
    /// Lowest prices.
    pub low: Vec<f64>,
    /// Last prices.
    pub close: Vec<f64>,
    /// Traded volume in base units.
    pub volume: Vec<f64>,
    /// Further columns by name, such as `taker_buy_volume`; NaN is allowed.
    pub extra: BTreeMap<String, Vec<f64>>,
}

impl Bars {
    /// Checks what every engine relies on: equal lengths, increasing times, finite positive prices, volume >= 0.
    ///
    /// The long list of faults and their repairs belongs to the reader; this is the lock on the door behind it.
    /// `labels` are further facts that belong to the identity (symbol, calendar, instrument, repairs).
    pub fn new(
        columns: Columns,
        interval_ms: i64,
        funding: Option<Funding>,
        labels: Vec<(String, String)>,
    ) -> Result<Self> {
        let Columns { open_time, open, high, low, close, volume, extra } = columns;
        if interval_ms <= 0 {
            return Err(Error::parameter("interval_ms", interval_ms, "> 0"));
        }
        if interval_ms > FARTHEST_MS {
            let bound = format!("at most {FARTHEST_MS}");
            return Err(Error::parameter("interval_ms", interval_ms, bound));
        }
        let n = open_time.len();
        let named = [
            ("open", &open, true),
            ("high", &high, true),
            ("low", &low, true),
            ("close", &close, true),
            ("volume", &volume, false),
        ];
        for (name, values, _) in &named {
            same_length(name, values.len(), n)?;
        }
        for (name, values) in &extra {
            same_length(name, values.len(), n)?;
        }
        near("open_time", &open_time)?;
        increasing("open_time", &open_time)?;
        for (name, values, positive) in named {
            let bad = |v: &f64| !v.is_finite() || if positive { *v <= 0.0 } else { *v < 0.0 };
            if let Some(row) = values.iter().position(bad) {
                return Err(Error::Bar {
                    column: name.into(),
                    row,
                    value: values[row].to_string(),
                    bound: if positive { "finite and > 0" } else { "finite and >= 0" },
                });
            }
        }
        let whole = (0..n).all(|i| {
            low[i] <= open[i] && low[i] <= close[i] && high[i] >= open[i] && high[i] >= close[i]
        });
        let even = open_time.windows(2).all(|t| t[1] - t[0] == interval_ms);
        Ok(Self {
            even,
            open_time,
            open,
            high,
            low,
            close,
            volume,
            interval_ms,
            extra,
            funding,
            labels,
            whole,
            digest: OnceLock::new(),
            series: Mutex::default(),
            index: OnceLock::new(),
            funding_columns: OnceLock::new(),
        })
    }

    /// Number of bars.
    pub fn len(&self) -> usize {
        self.open_time.len()
    }

    /// Whether every bar opens one interval after the one before.
    pub fn is_even(&self) -> bool {
        self.even
    }

    /// Whether the bars of another market open at the same times; without holes that is known without a look at each.
    pub fn shares_times(&self, other: &Self) -> bool {
        let whole = |bars: &Self| Window { start: 0, stop: bars.len() };
        self.shares_times_within(whole(self), other, whole(other))
    }

    /// The same of windows of both.
    pub fn shares_times_within(&self, window: Window, other: &Self, others: Window) -> bool {
        let times = &self.open_time[window.start..window.stop];
        let more = &other.open_time[others.start..others.stop];
        if self.even && other.even && self.interval_ms == other.interval_ms {
            return times.len() == more.len() && times.first() == more.first();
        }
        times == more
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.open_time.is_empty()
    }

    /// Bar length in milliseconds.
    pub fn interval_ms(&self) -> i64 {
        self.interval_ms
    }

    /// Opening times, milliseconds UTC.
    pub fn open_time(&self) -> &[i64] {
        &self.open_time
    }

    /// First prices.
    pub fn open(&self) -> &[f64] {
        &self.open
    }

    /// Highest prices.
    pub fn high(&self) -> &[f64] {
        &self.high
    }

    /// Lowest prices.
    pub fn low(&self) -> &[f64] {
        &self.low
    }

    /// Last prices.
    pub fn close(&self) -> &[f64] {
        &self.close
    }

    /// Traded volume in base units.
    pub fn volume(&self) -> &[f64] {
        &self.volume
    }

    /// Further columns by name.
    pub fn extra(&self) -> &BTreeMap<String, Vec<f64>> {
        &self.extra
    }

    /// Facts beside the columns that belong to the identity.
    pub fn labels(&self) -> &[(String, String)] {
        &self.labels
    }

    /// Whether every bar's high and low hold its open and close. Where a reader let others pass, the extremes of a
    /// stretch do not tell what its opens could reach.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Bar `i`.
    pub fn bar(&self, i: usize) -> Bar {
        Bar {
            open_time: self.open_time[i],
            open: self.open[i],
            high: self.high[i],
            low: self.low[i],
            close: self.close[i],
        }
    }

    /// Close time of bar `i`, milliseconds UTC.
    pub fn close_time(&self, i: usize) -> i64 {
        self.open_time[i] + self.interval_ms
    }

    /// An indicator over all bars, computed at its first use and kept.
    pub fn series(&self, key: SeriesKey, compute: impl FnOnce() -> Vec<f64>) -> Arc<[f64]> {
        // A panic while the lock is held leaves the map whole: values go in complete or not at all.
        let mut kept = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        kept.entry(key).or_insert_with(|| compute().into()).clone()
    }

    /// Where bars could matter, computed once.
    pub fn index(&self) -> &Index {
        self.index.get_or_init(|| self.make_index(false))
    }

    /// Lows and highs, for searches.
    pub fn range(&self) -> Span<'_> {
        self.index().range.over(&self.low, &self.high)
    }

    /// Closes, for searches.
    pub fn closes(&self) -> Span<'_> {
        self.index().close.over(&self.close, &self.close)
    }

    /// [`Bars::index`], made on the threads of the pool it is called in.
    pub fn index_in_parallel(&self) -> &Index {
        if self.index.get().is_none() {
            // Made outside the lock: a thread that held it might take on a task that waits for another's.
            let made = self.make_index(true);
            return self.index.get_or_init(|| made);
        }
        self.index()
    }

    fn make_index(&self, parallel: bool) -> Index {
        let range = || Extremes::new(&self.low, &self.high, parallel);
        let close = || Extremes::new(&self.close, &self.close, parallel);
        let (range, close) = if parallel { rayon::join(range, close) } else { (range(), close()) };
        Index { range, close, day_ends: self.day_ends(), settlements: self.settlements() }
    }

    fn day_ends(&self) -> Vec<usize> {
        let (n, times) = (self.len(), &self.open_time);
        let mut ends = vec![];
        let mut i = 0;
        while i < n {
            let midnight = (times[i].div_euclid(DAY_MS) + 1) * DAY_MS;
            // Without holes the next day is as many bars away as fit; with them, it is nearer and is searched for.
            let bars = (midnight - times[i] + self.interval_ms - 1) / self.interval_ms;
            let guess = usize::try_from(bars).map_or(n, |bars| n.min(i.saturating_add(bars)));
            let is_next = |j: usize| times[j - 1] < midnight && (j == n || times[j] >= midnight);
            let next = if is_next(guess) {
                guess
            } else {
                i + times[i..].partition_point(|t| *t < midnight)
            };
            ends.push(next - 1);
            i = next;
        }
        ends
    }

    /// Identity of everything in here, computed once.
    pub fn digest(&self) -> &str {
        self.digest.get_or_init(|| {
            let mut digest = Digest::new("candles/1");
            digest.int(self.interval_ms);
            for (name, value) in &self.labels {
                digest.text(name);
                digest.text(value);
            }
            digest.ints(&self.open_time);
            for values in [&self.open, &self.high, &self.low, &self.close, &self.volume] {
                digest.floats(values);
            }
            for (name, values) in &self.extra {
                digest.text(name);
                digest.floats(values);
            }
            if let Some(funding) = &self.funding {
                digest.ints(&funding.time);
                digest.floats(&funding.rate);
            }
            digest.hex()
        })
    }
}

fn same_length(name: &str, len: usize, n: usize) -> Result<()> {
    if len == n {
        return Ok(());
    }
    Err(Error::Length { name: name.to_owned(), len, other: "open_time", other_len: n })
}

fn near(name: &str, times: &[i64]) -> Result<()> {
    let far = |t: &i64| !(-FARTHEST_MS..=FARTHEST_MS).contains(t);
    match times.iter().position(far) {
        None => Ok(()),
        Some(row) => Err(Error::Bar {
            column: name.to_owned(),
            row,
            value: times[row].to_string(),
            bound: "within 100 million days of 1970, in milliseconds",
        }),
    }
}

fn increasing(column: &str, times: &[i64]) -> Result<()> {
    match times.windows(2).position(|w| w[1] <= w[0]) {
        None => Ok(()),
        Some(i) => Err(Error::Bar {
            column: column.to_owned(),
            row: i + 1,
            value: times[i + 1].to_string(),
            bound: "later than the row before",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn columns(n: usize) -> Columns {
        let prices = vec![1.0; n];
        Columns {
            open_time: (0_i64..).step_by(60_000).take(n).collect(),
            open: prices.clone(),
            high: prices.clone(),
            low: prices.clone(),
            close: prices.clone(),
            volume: vec![0.0; n],
            extra: BTreeMap::new(),
        }
    }

    #[test]
    fn times_are_shared_where_each_is_the_same() {
        let made = |times: &[i64]| {
            let columns = Columns { open_time: times.to_vec(), ..columns(times.len()) };
            Bars::new(columns, 1, None, vec![]).unwrap()
        };
        let runs: [&[i64]; 7] =
            [&[], &[1, 2, 3], &[1, 2, 3, 4], &[2, 3, 4], &[1, 2, 4], &[1, 3, 4], &[1, 2, 5]];
        for one in runs {
            for other in runs {
                let (a, b) = (made(one), made(other));
                assert_eq!(a.shares_times(&b), one == other, "{one:?} {other:?}");
                for stop in 0..=one.len().min(other.len()) {
                    for start in 0..=stop {
                        let window = Window { start, stop };
                        let want = one[start..stop] == other[start..stop];
                        assert_eq!(a.shares_times_within(window, &b, window), want);
                    }
                }
            }
        }
    }

    #[test]
    fn structure_is_checked() {
        let refuse = |c: Columns| Bars::new(c, 60_000, None, vec![]).unwrap_err().to_string();
        assert!(Bars::new(columns(3), 60_000, None, vec![]).is_ok());
        let mut c = columns(3);
        c.close[1] = f64::NAN;
        assert_eq!(refuse(c), "`close` of bar 1 is NaN, must be finite and > 0");
        let mut c = columns(3);
        c.open_time[2] = c.open_time[1];
        assert_eq!(refuse(c), "`open_time` of bar 2 is 60000, must be later than the row before");
        let mut c = columns(3);
        c.volume.pop();
        assert_eq!(refuse(c), "`volume` has 2 values but open_time has 3: give one value a bar");
        let mut c = columns(3);
        c.volume[0] = -1.0;
        assert_eq!(refuse(c), "`volume` of bar 0 is -1, must be finite and >= 0");
    }

    #[test]
    fn days_end_before_midnight_whatever_is_missing() {
        let mut c = columns(6);
        let hour = 3_600_000;
        c.open_time = [0, 1, 23, 24, 49, 90].map(|h| h * hour).to_vec();
        let bars = Bars::new(c, hour, None, vec![]).unwrap();
        assert_eq!(bars.index().day_ends, [2, 3, 4, 5]);
        let mut c = columns(5);
        // Nearer than the interval: nothing forbids it here.
        c.open_time = vec![-2, -1, 0, 1, 86_400_000];
        let bars = Bars::new(c, hour, None, vec![]).unwrap();
        assert_eq!(bars.index().day_ends, [1, 3, 4]);
    }

    #[test]
    fn times_beyond_calendars_are_refused_before_they_overflow() {
        let mut c = columns(2);
        c.open_time[1] = i64::MAX - 5;
        assert_eq!(
            Bars::new(c, 60_000, None, vec![]).unwrap_err().to_string(),
            "`open_time` of bar 1 is 9223372036854775802, must be within 100 million days of 1970, in milliseconds"
        );
        assert_eq!(
            Bars::new(columns(2), i64::MAX, None, vec![]).unwrap_err().to_string(),
            "`interval_ms` must be at most 8640000000000000, was 9223372036854775807"
        );
        assert!(Funding::new(&[i64::MAX], vec![0.0]).is_err());
    }

    #[test]
    fn bars_are_whole_if_their_range_holds_open_and_close() {
        let whole = |change: fn(&mut Columns)| {
            let mut c = columns(3);
            change(&mut c);
            Bars::new(c, 60_000, None, vec![]).unwrap().is_whole()
        };
        assert!(whole(|_| ()));
        assert!(!whole(|c| c.open[2] = 0.9));
        assert!(!whole(|c| c.close[0] = 1.1));
        assert!(!whole(|c| (c.low[1], c.high[1]) = (2.0, 0.5)));
    }

    #[test]
    fn digest_covers_every_part() {
        let base = Bars::new(columns(3), 60_000, None, vec![]).unwrap();
        let mut seen = vec![base.digest().to_owned()];
        let mut add = |c: Columns, interval, funding, labels| {
            let digest = Bars::new(c, interval, funding, labels).unwrap().digest().to_owned();
            assert!(!seen.contains(&digest));
            seen.push(digest);
        };
        let mut c = columns(3);
        c.low[2] = 0.5;
        add(c, 60_000, None, vec![]);
        let mut c = columns(3);
        c.extra.insert("trades".into(), vec![1.0; 3]);
        add(c, 60_000, None, vec![]);
        add(columns(3), 30_000, None, vec![]);
        add(columns(3), 60_000, Some(Funding::new(&[0], vec![0.1]).unwrap()), vec![]);
        add(columns(3), 60_000, None, vec![("symbol".into(), "X".into())]);
    }
}
