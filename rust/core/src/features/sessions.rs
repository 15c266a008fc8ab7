//! Where a bar stands in sessions, months and years, and what lies between it and the bar before.

use std::f64::consts::TAU;

use super::node::{Memory, node};
use super::parts::{Change, Map, ROW};
use super::registry::{Function, Input, Kind, Parameter};
use crate::numeric;

const MINUTE_MS: f64 = 60_000.0;
const HOUR_MS: f64 = 60.0 * MINUTE_MS;
const DAY_MS: f64 = 24.0 * HOUR_MS;
/// The clock's zero was a Thursday: three days after a Monday.
const MONDAY_MS: f64 = 3.0 * DAY_MS;

/// The last whole number of milliseconds that a double tells from its neighbours.
const MOST_MS: f64 = 9_007_199_254_740_992.0;

/// Days since 1970-01-01 of the first of a month; months are counted from March, so that February ends the year.
///
/// H. Hinnant, chrono-Compatible Low-Level Date Algorithms, 2013.
fn first_of_month(year: i64, month: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year and month of a day counted from 1970-01-01.
fn year_and_month(day: i64) -> (i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + 400 * era + i64::from(month <= 2), month)
}

/// Sine and cosine of the share of a span of days that has passed.
#[allow(clippy::cast_possible_truncation)] // Days of any time that bars may have.
fn phase(open_time: f64, span: impl Fn(i64, i64) -> (i64, i64)) -> [f64; 2] {
    // No bar opens beyond what its time holds in milliseconds.
    if open_time.is_nan() || open_time.abs() > MOST_MS {
        return [f64::NAN; 2];
    }
    let (year, month) = year_and_month((open_time / DAY_MS).floor() as i64);
    let (begin, end) = span(year, month);
    let passed = (open_time - begin as f64 * DAY_MS) / ((end - begin) as f64 * DAY_MS);
    [numeric::sin(TAU * passed), numeric::cos(TAU * passed)]
}

const fn minute(name: &'static str, most: u32, default: f64) -> Parameter {
    Parameter { name, kind: Kind::Whole(0, most), default: Some(default) }
}

const ONE: Function = Function { family: "sessions", inputs: &[Input::Column("open_time")], ..ROW };

fn flag(yes: bool) -> f64 {
    if yes { 1.0 } else { 0.0 }
}

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "session",
        known_as: &["in_session", "market_hours"],
        parameters: &[minute("open", 1_439, 810.0), minute("close", 1_440, 1_200.0)],
        outputs: &["inside", "since_open", "to_close"],
        check: |p| {
            ((p[1] - p[0]).rem_euclid(1_440.0) == 0.0)
                .then_some("`open` and `close` of session must be different times of the day")
        },
        build: |p| {
            let (open, close) = (p[0] * MINUTE_MS, p[1] * MINUTE_MS);
            let length = (close - open).rem_euclid(DAY_MS);
            node(Map(move |[time]: [f64; 1]| {
                let passed = (time - open).rem_euclid(DAY_MS);
                let left = (close - time).rem_euclid(DAY_MS);
                let inside = if passed.is_nan() { f64::NAN } else { flag(passed < length) };
                [inside, passed / HOUR_MS, left / HOUR_MS]
            }))
        },
        summary: "Place of a bar in a daily session",
        formula: "Of the bar's opening time, with open and close in minutes after midnight UTC (13:30 and 20:00 by default; \
                  a close below the open is that of the next day): inside = 1 from open on, up to close, else 0; \
                  since_open = hours since the last open, in [0, 24); to_close = hours until the next close, in [0, 24). \
                  Knows no daylight saving and no holidays.",
        source: "Definition.",
        ..ONE
    },
    Function {
        name: "time_of_month",
        known_as: &["day_of_month", "dom"],
        outputs: &["sin", "cos"],
        build: |_| {
            node(Map(|[time]: [f64; 1]| {
                phase(time, |year, month| {
                    let next = (year + month / 12, month % 12 + 1);
                    (first_of_month(year, month), first_of_month(next.0, next.1))
                })
            }))
        },
        summary: "Time of the month as a point on a circle",
        formula: "sin and cos of 2 pi * (time since the first of the month, midnight UTC / length of that month), of the \
                  bar's opening time; in [-1, 1].",
        source: "Definition.",
        ..ONE
    },
    Function {
        name: "time_of_year",
        known_as: &["day_of_year", "season", "month_of_year"],
        outputs: &["sin", "cos"],
        build: |_| {
            node(Map(|[time]: [f64; 1]| {
                phase(time, |year, _| (first_of_month(year, 1), first_of_month(year + 1, 1)))
            }))
        },
        summary: "Time of the year as a point on a circle",
        formula: "sin and cos of 2 pi * (time since January 1, midnight UTC / length of that year), of the bar's opening \
                  time; in [-1, 1].",
        source: "Definition.",
        ..ONE
    },
    Function {
        name: "weekend",
        known_as: &["is_weekend"],
        build: |_| {
            node(Map(|[time]: [f64; 1]| {
                let week = (time + MONDAY_MS).rem_euclid(7.0 * DAY_MS);
                [if week.is_nan() { f64::NAN } else { flag(week >= 5.0 * DAY_MS) }]
            }))
        },
        summary: "Whether a bar opens on a Saturday or Sunday",
        formula: "1 where the bar's opening time is a Saturday or Sunday UTC, else 0.",
        source: "Definition.",
        ..ONE
    },
    Function {
        name: "new_day",
        known_as: &["day_open", "first_of_day"],
        memory: |_| Memory::Finite(2),
        warmup: |_| 1,
        build: |_| {
            node(Change::new(|[now]: [f64; 1], [before]: [f64; 1]| {
                let days = (now / DAY_MS).floor() - (before / DAY_MS).floor();
                [if days.is_nan() { f64::NAN } else { flag(days != 0.0) }]
            }))
        },
        summary: "Whether a bar is the first of its day",
        formula: "1 where the bar opens on another day UTC than the bar before it, else 0.",
        source: "Definition.",
        ..ONE
    },
    Function {
        name: "time_gap",
        known_as: &["bar_gap", "since_last_bar"],
        memory: |_| Memory::Finite(2),
        warmup: |_| 1,
        build: |_| {
            node(Change::new(|[now]: [f64; 1], [before]: [f64; 1]| [(now - before) / HOUR_MS]))
        },
        summary: "Hours since the bar before opened",
        formula: "(open_time[t] - open_time[t - 1]) / 1 h; > 0: the bars' own length, or more over nights, weekends and \
                  holes.",
        source: "Definition.",
        ..ONE
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::contract::{all, single};

    #[test]
    fn months_follow_each_other_for_a_thousand_years() {
        let mut day = first_of_month(1600, 1);
        assert_eq!(first_of_month(1970, 1), 0);
        for year in 1600..2600 {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            for (month, length) in
                (1..).zip([31, 28 + i64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
            {
                assert_eq!(first_of_month(year, month), day);
                assert_eq!(year_and_month(day), (year, month));
                assert_eq!(year_and_month(day + length - 1), (year, month));
                day += length;
            }
        }
    }

    #[test]
    fn sessions_by_hand() {
        let hour = HOUR_MS;
        // From 22:00 to 06:00.
        let times = [21.5 * hour, 22.0 * hour, 29.0 * hour, 30.0 * hour];
        let got = all("session", &[1320.0, 360.0], &[&times]);
        assert_eq!(got[0], [0.0, 1.0, 1.0, 0.0]);
        assert_eq!(got[1], [23.5, 0.0, 7.0, 8.0]);
        assert_eq!(got[2], [8.5, 8.0, 1.0, 0.0]);
        // 1970-01-03 was a Saturday.
        let times = [47.5 * hour, 48.0 * hour, 95.5 * hour, 96.0 * hour];
        assert_eq!(single("weekend", &[], &[&times]), [0.0, 1.0, 1.0, 0.0]);
        assert_eq!(single("new_day", &[], &[&times])[1..], [1.0, 1.0, 1.0]);
        assert_eq!(single("time_gap", &[], &[&times])[1..], [0.5, 47.5, 0.5]);
        // The middle of January, and that of 1970 after 182.5 days.
        let got = all("time_of_month", &[], &[&[15.5 * DAY_MS]]);
        assert!(got[0][0].abs() < 1e-15 && got[1][0] == -1.0);
        let got = all("time_of_year", &[], &[&[182.5 * DAY_MS]]);
        assert!(got[0][0].abs() < 1e-15 && got[1][0] == -1.0);
    }
}
