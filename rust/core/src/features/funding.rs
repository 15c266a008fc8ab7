//! Funding of perpetuals: what the last settlement before a bar's close tells.
//!
//! The columns are made of the settlements by [`Bars::funding_column`](crate::bars::Bars::funding_column), as far as
//! they lie before the close of each bar.

use super::node::{Kernel, Memory, Visit, node};
use super::operators::quotient;
use super::parts::{Map, ROW, Sums, finite, full};
use super::registry::{Function, Input, Parameter, count};
use super::undefined::defined;
use crate::numeric::Sum;

const HOUR_MS: f64 = 3_600_000.0;
const YEAR_MS: f64 = 365.25 * 24.0 * HOUR_MS;

/// All funding since the first bar.
#[derive(Clone, Default)]
struct Total(Sum);

impl Kernel<1, 1> for Total {
    fn step(&mut self, _at: i64, [paid]: [f64; 1]) -> [f64; 1] {
        if paid.is_nan() {
            return [f64::NAN];
        }
        self.0.add(paid);
        [self.0.value()]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        for part in self.0.parts() {
            state.float(part);
        }
    }
}

const RATE: Input = Input::Column("funding_rate");
const TIME: Input = Input::Column("funding_time");
const RATE_BEFORE: Input = Input::Column("funding_rate_before");
const TIME_BEFORE: Input = Input::Column("funding_time_before");
const PAID: Input = Input::Column("funding_paid");
const CLOSE_TIME: Input = Input::Column("close_time");

const ONE: Function = Function { family: "funding", ..ROW };

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "funding_rate",
        known_as: &["funding", "funding_level"],
        inputs: &[RATE],
        build: |_| node(Map(|x: [f64; 1]| x)),
        summary: "Rate of the last settlement",
        formula: "Rate of the last settlement before the bar's close; a fraction a settlement, positive where longs pay; \
                  NaN before the first.",
        source: "Definition. A settlement stamped with the very close is not known yet.",
        ..ONE
    },
    Function {
        name: "funding_change",
        known_as: &["funding_diff"],
        inputs: &[RATE, RATE_BEFORE],
        build: |_| node(Map(|[now, before]: [f64; 2]| [now - before])),
        summary: "Change of the rate between the last two settlements",
        formula: "Rate of the last settlement before the bar's close less that of the one before it; NaN before the \
                  second.",
        source: "Definition.",
        ..ONE
    },
    Function {
        name: "funding_annual",
        known_as: &["annualised_funding", "annualized_funding"],
        inputs: &[RATE, TIME, TIME_BEFORE],
        build: |_| {
            node(Map(|[rate, time, before]: [f64; 3]| {
                [defined(rate * quotient(YEAR_MS, time - before))]
            }))
        },
        summary: "Rate of the last settlement for a year of such settlements",
        formula: "rate (365.25 d / time between the last two settlements); a fraction a year, NaN before the second.",
        source: "Definition; simple, not compounded.",
        ..ONE
    },
    Function {
        name: "funding_age",
        known_as: &["since_funding"],
        inputs: &[TIME, CLOSE_TIME],
        build: |_| node(Map(|[time, close]: [f64; 2]| [(close - time) / HOUR_MS])),
        summary: "Hours since the last settlement",
        formula: "(close of the bar - last settlement before it) / 1 h; > 0, in hours, NaN before the first.",
        source: "Definition.",
        ..ONE
    },
    Function {
        name: "funding_to_next",
        known_as: &["to_funding", "time_to_funding"],
        inputs: &[TIME, TIME_BEFORE, CLOSE_TIME],
        build: |_| {
            node(Map(|[time, before, close]: [f64; 3]| {
                // Overdue settlements count as due at the next multiple: the schedule goes on.
                let spacing = time - before;
                let late = (close - time) % spacing;
                [defined(if late == 0.0 { 0.0 } else { (spacing - late) / HOUR_MS })]
            }))
        },
        summary: "Hours until the next settlement, if they go on as the last two",
        formula: "Time from the bar's close to the next of the times t + k (t - t'), k = 1, 2, ..., t and t' the last two \
                  settlements before the close; in [0, spacing), in hours, NaN before the second.",
        source: "Definition; an exchange that changes its schedule is seen after the fact.",
        ..ONE
    },
    Function {
        name: "funding_sum",
        known_as: &["rolling_funding"],
        inputs: &[PAID],
        parameters: &[Parameter::window("period", 1, Some(288.0))],
        memory: finite,
        warmup: full,
        build: |p| {
            node(Sums::new(count(p[0]), |now: [f64; 1], _| now, |[sum], _, _| [defined(sum)]))
        },
        summary: "Funding settled over the last bars",
        formula: "Sum of the rates settled within the last period bars (open <= time < close of each); a fraction, positive \
                  where longs paid. Settlements while no bar was open are in none.",
        source: "Definition.",
        ..ONE
    },
    Function {
        name: "funding_total",
        known_as: &["cumulative_funding"],
        inputs: &[PAID],
        memory: |_| Memory::Cumulative,
        build: |_| node(Total::default()),
        summary: "Funding settled since the first bar",
        formula: "Sum of the rates settled within all bars so far (open <= time < close of each); a fraction, positive where \
                  longs paid. Its level depends on where it starts: use its changes.",
        source: "Definition.",
        ..ONE
    },
];

#[cfg(test)]
mod tests {
    use crate::features::contract::single;

    #[test]
    fn settlements_by_hand() {
        let hour = 3_600_000.0;
        let (time, before) = ([16.0 * hour], [8.0 * hour]);
        assert_eq!(single("funding_age", &[], &[&time, &[17.5 * hour]]), [1.5]);
        assert_eq!(single("funding_to_next", &[], &[&time, &before, &[17.5 * hour]]), [6.5]);
        assert_eq!(single("funding_to_next", &[], &[&time, &before, &[24.0 * hour]]), [0.0]);
        assert_eq!(single("funding_to_next", &[], &[&time, &before, &[26.0 * hour]]), [6.0]);
        assert_eq!(single("funding_change", &[], &[&[0.25], &[0.5]]), [-0.25]);
        assert_eq!(single("funding_annual", &[], &[&[0.5], &time, &before]), [0.5 * 365.25 * 3.0]);
        assert_eq!(single("funding_total", &[], &[&[0.5, f64::NAN, 0.25]])[2], 0.75);
    }
}
