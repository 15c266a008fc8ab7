//! Where in the day and in the week a bar opens, as points on a circle.

use std::f64::consts::TAU;

use super::node::{Kernel, Memory, Visit, node};
use super::registry::{Function, Input, consistent, count};
use crate::numeric;

const MINUTE_MS: f64 = 60_000.0;
/// Sums of whole numbers below this are exact.
const EXACT: f64 = 4_503_599_627_370_496.0;
const DAY_MS: f64 = 86_400_000.0;
/// The clock's zero, 1970-01-01, was a Thursday: three days after a Monday.
const MONDAY_MS: f64 = 3.0 * DAY_MS;

/// Sine and cosine of the share of a cycle that has passed at an opening time in milliseconds UTC.
#[derive(Clone, Debug)]
pub struct Phase {
    offset: f64,
    cycle: f64,
    /// Points of the whole minutes that were asked for, NaN where none was; made when many bars come at once.
    minutes: Vec<[f64; 2]>,
}

impl Phase {
    fn new(offset: f64, cycle: f64) -> Self {
        Self { offset, cycle, minutes: vec![] }
    }

    /// What has passed of the cycle.
    #[inline]
    fn passed(&self, open_time: f64) -> f64 {
        (open_time + self.offset).rem_euclid(self.cycle)
    }

    #[inline]
    fn point(&self, passed: f64) -> [f64; 2] {
        let angle = TAU * (passed / self.cycle);
        [numeric::sin(angle), numeric::cos(angle)]
    }
}

impl Kernel<1, 2> for Phase {
    fn step(&mut self, _at: i64, [open_time]: [f64; 1]) -> [f64; 2] {
        self.point(self.passed(open_time))
    }

    fn visit(&mut self, _state: &mut dyn Visit) {}

    fn block(&mut self, _at: &[i64], [open_time]: [&[f64]; 1], [sin, cos]: [&mut [f64]; 2]) {
        if self.minutes.is_empty() {
            self.minutes = vec![[f64::NAN; 2]; count(self.cycle / MINUTE_MS)];
        }
        let (mut last, mut passed) = (f64::NAN, f64::NAN);
        for (i, time) in open_time.iter().enumerate() {
            // Times are whole, so what has passed is exact, and a step on needs no division.
            let step = time - last;
            passed += step;
            last = *time;
            if !(step >= 0.0 && passed < self.cycle && time.abs() < EXACT) {
                passed = self.passed(*time);
            }
            let minute = passed / MINUTE_MS;
            let at = count(minute);
            let point = match self.minutes.get_mut(at) {
                Some(kept) if at as f64 == minute && passed.is_sign_positive() => {
                    if kept[0].is_nan() {
                        let angle = TAU * (passed / self.cycle);
                        *kept = [numeric::sin(angle), numeric::cos(angle)];
                    }
                    *kept
                }
                _ => self.point(passed),
            };
            if let Some(slot) = sin.get_mut(i) {
                *slot = point[0];
            }
            if let Some(slot) = cos.get_mut(i) {
                *slot = point[1];
            }
        }
    }
}

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "time_of_day",
        known_as: &["hour", "hour_of_day", "tod"],
        family: "calendar",
        inputs: &[Input::Column("open_time")],
        parameters: &[],
        outputs: &["sin", "cos"],
        memory: |_| Memory::Finite(1),
        warmup: |_| 0,
        delays: |_| [0, 0],
        check: consistent,
        build: |_| node(Phase::new(0.0, DAY_MS)),
        summary: "Time of day as a point on a circle",
        formula: "sin and cos of 2 pi * (time since midnight UTC / 24 h), of the bar's opening time.",
        source: "Definition.",
    },
    Function {
        name: "time_of_week",
        known_as: &["weekday", "day_of_week", "dow"],
        family: "calendar",
        inputs: &[Input::Column("open_time")],
        parameters: &[],
        outputs: &["sin", "cos"],
        memory: |_| Memory::Finite(1),
        warmup: |_| 0,
        delays: |_| [0, 0],
        check: consistent,
        build: |_| node(Phase::new(MONDAY_MS, 7.0 * DAY_MS)),
        summary: "Time of week as a point on a circle",
        formula: "sin and cos of 2 pi * (time since Monday midnight UTC / 7 d), of the bar's opening time.",
        source: "Definition.",
    },
];

#[cfg(test)]
mod tests {
    use crate::features::contract::all;

    #[test]
    fn six_in_the_morning_and_monday_midnight() {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-15;
        let hour = 3_600_000.0;
        let day = all("time_of_day", &[], &[&[0.0, 6.0 * hour, -6.0 * hour]]);
        assert_eq!((day[0][0], day[1][0]), (0.0, 1.0));
        assert!(close(day[0][1], 1.0) && close(day[1][1], 0.0));
        assert!(close(day[0][2], -1.0) && close(day[1][2], 0.0));
        // 2024-01-01 was a Monday; half a week later it is Thursday noon.
        let monday = 1_704_067_200_000.0;
        let week = all("time_of_week", &[], &[&[monday, monday + 84.0 * hour]]);
        assert_eq!((week[0][0], week[1][0]), (0.0, 1.0));
        assert!(close(week[0][1], 0.0) && week[1][1] == -1.0);
    }
}
