//! Where in the day and in the week a bar opens, as points on a circle.

use std::f64::consts::TAU;

use super::node::{Kernel, Memory, Visit, node};
use super::registry::{Function, Input, consistent};
use crate::numeric;

const DAY_MS: f64 = 86_400_000.0;
/// The clock's zero, 1970-01-01, was a Thursday: three days after a Monday.
const MONDAY_MS: f64 = 3.0 * DAY_MS;

/// Sine and cosine of the share of a cycle that has passed at an opening time in milliseconds UTC.
#[derive(Clone, Debug)]
pub struct Phase {
    offset: f64,
    cycle: f64,
}

impl Kernel<1, 2> for Phase {
    fn step(&mut self, _at: i64, [open_time]: [f64; 1]) -> [f64; 2] {
        let angle = TAU * ((open_time + self.offset).rem_euclid(self.cycle) / self.cycle);
        [numeric::sin(angle), numeric::cos(angle)]
    }

    fn visit(&mut self, _state: &mut dyn Visit) {}
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
        check: consistent,
        build: |_| node(Phase { offset: 0.0, cycle: DAY_MS }),
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
        check: consistent,
        build: |_| node(Phase { offset: MONDAY_MS, cycle: 7.0 * DAY_MS }),
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
