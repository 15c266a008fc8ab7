//! Settlements of a perpetual, and what they are to the bars they fall into.

use super::{Bars, increasing, near};
use crate::{Error, Result};

/// Funding settlements of a perpetual, in time order.
#[derive(Clone, Debug, PartialEq)]
pub struct Funding {
    /// Settlement times, milliseconds UTC, on whole seconds, strictly increasing.
    pub time: Vec<i64>,
    /// Rates as fractions; positive: longs pay shorts.
    pub rate: Vec<f64>,
}

impl Funding {
    /// Rounds times to the nearest second (exchanges stamp them milliseconds late; a half rounds up) and checks order.
    pub fn new(time: &[i64], rate: Vec<f64>) -> Result<Self> {
        if time.len() != rate.len() {
            return Err(Error::Length {
                name: "funding_rate".into(),
                len: rate.len(),
                other: "funding_time",
                other_len: time.len(),
            });
        }
        near("funding_time", time)?;
        let time: Vec<i64> = time.iter().map(|t| (t + 500).div_euclid(1000) * 1000).collect();
        increasing("funding_time", &time)?;
        if let Some(row) = rate.iter().position(|r| !r.is_finite()) {
            return Err(Error::Bar {
                column: "funding_rate".into(),
                row,
                value: rate[row].to_string(),
                bound: "finite",
            });
        }
        Ok(Self { time, rate })
    }
}

/// Columns that the funding of candles makes, one value a bar; see [`Bars::funding_column`].
pub const FUNDING_COLUMNS: [&str; 5] =
    ["funding_rate", "funding_time", "funding_rate_before", "funding_time_before", "funding_paid"];

/// Settlements after the previous bar's open, up to that of `bar`: positions `from..to` of the funding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settlements {
    /// Bar of the candles.
    pub bar: usize,
    /// First settlement.
    pub from: usize,
    /// Settlement after the last.
    pub to: usize,
}

impl Bars {
    /// Funding settlements, if attached.
    pub fn funding(&self) -> Option<&Funding> {
        self.funding.as_ref()
    }

    /// One of [`FUNDING_COLUMNS`]; None for other names and where no funding is attached, or was declined.
    ///
    /// `funding_rate` and `funding_time` (milliseconds UTC) are those of the last settlement before the bar's close,
    /// `funding_rate_before` and `funding_time_before` those of the one before it, NaN where there is none. A
    /// settlement stamped with the very close is left out, as exchanges publish it later. `funding_paid` is the sum of
    /// the rates settled within the bar, its open included and its close not.
    pub fn funding_column(&self, name: &str) -> Option<&[f64]> {
        let kind = FUNDING_COLUMNS.iter().position(|known| *known == name)?;
        let declined = self.labels.iter().any(|(name, value)| name == "funding" && value == "none");
        let funding = self.funding.as_ref().filter(|_| !declined)?;
        let columns = self.funding_columns.get_or_init(|| self.join_funding(funding));
        Some(&columns[kind])
    }

    fn join_funding(&self, Funding { time, rate }: &Funding) -> [Vec<f64>; 5] {
        let mut columns: [Vec<f64>; 5] = std::array::from_fn(|_| Vec::with_capacity(self.len()));
        let mut known = 0;
        for open in &self.open_time {
            while known < time.len() && time[known] < open + self.interval_ms {
                known += 1;
            }
            let first = time[..known].partition_point(|t| t < open);
            let back = |k: usize| known.checked_sub(k);
            let row = [
                back(1).map(|i| rate[i]),
                back(1).map(|i| time[i] as f64),
                back(2).map(|i| rate[i]),
                back(2).map(|i| time[i] as f64),
                Some(rate[first..known].iter().fold(0.0, |sum, rate| sum + rate)),
            ];
            for (column, value) in columns.iter_mut().zip(row) {
                column.push(value.unwrap_or(f64::NAN));
            }
        }
        columns
    }

    /// Bars in which funding is due.
    pub(super) fn settlements(&self) -> Vec<Settlements> {
        let times = self.funding.as_ref().map_or(&[][..], |f| &f.time);
        let mut found: Vec<Settlements> = vec![];
        for (k, time) in times.iter().enumerate() {
            let bar = self.open_time.partition_point(|t| t < time);
            match found.last_mut() {
                Some(last) if last.bar == bar => last.to = k + 1,
                _ if bar < self.len() => found.push(Settlements { bar, from: k, to: k + 1 }),
                _ => break,
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bars::tests::columns;

    #[test]
    fn funding_times_are_rounded_to_the_nearest_second() {
        let funding = Funding::new(&[28_800_016, 57_599_999, 86_400_500], vec![0.0; 3]).unwrap();
        assert_eq!(funding.time, [28_800_000, 57_600_000, 86_401_000]);
        assert!(Funding::new(&[1_000, 1_200], vec![0.0; 2]).is_err());
        assert!(Funding::new(&[1_000], vec![f64::NAN]).is_err());
    }

    #[test]
    fn funding_is_known_after_its_settlement_alone() {
        // Bars of a minute; settlements inside the first, with the close of the second, twice inside of none.
        let funding = Funding::new(&[30_000, 120_000], vec![0.25, 0.5]).unwrap();
        let bars = Bars::new(columns(4), 60_000, Some(funding), vec![]).unwrap();
        let column = |name: &str| bars.funding_column(name).unwrap();
        assert_eq!(column("funding_rate"), [0.25, 0.25, 0.5, 0.5]);
        assert_eq!(column("funding_time"), [30_000.0, 30_000.0, 120_000.0, 120_000.0]);
        assert_eq!(column("funding_paid"), [0.25, 0.0, 0.5, 0.0]);
        let before = column("funding_rate_before");
        assert!(before[..2].iter().all(|v| v.is_nan()));
        assert_eq!(before[2..], [0.25, 0.25]);
        assert_eq!(column("funding_time_before")[2..], [30_000.0, 30_000.0]);
        assert!(bars.funding_column("close").is_none());
        let without = Bars::new(columns(4), 60_000, None, vec![]).unwrap();
        assert!(without.funding_column("funding_rate").is_none());
    }
}
