//! Two series beside each other, such as a market and another: `regression(log_return(1), log_return(1)@BTCUSDT, 60)`.

use super::dependence::NOTHING;
use super::joint::Pairs;
use super::node::{Kernel, Memory, Visit, node};
use super::operators::quotient;
use super::parts::{Map, ROW, Then, finite, finite_changes, full, full_changes, log_ratio, within};
use super::registry::{Function, Input, Parameter, count};
use super::returns::LogReturn;
use super::rolling::ZScore;
use super::undefined::defined;
use super::volatility::SampleDeviation;
use super::window::{Delay, Windowed, bars};

/// Covariance of two series.
#[derive(Clone)]
struct Covariance {
    pairs: Pairs,
    length: f64,
}

impl Kernel<2, 1> for Covariance {
    fn step(&mut self, at: i64, pair: [f64; 2]) -> [f64; 1] {
        let fold = self.pairs.push(at, pair);
        [fold.map_or(f64::NAN, |fold| defined(fold.central()[2] / (self.length - 1.0)))]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.pairs.visit(state);
    }
}

/// Least squares of one series on another.
#[derive(Clone)]
struct Regression {
    pairs: Pairs,
    length: f64,
}

impl Kernel<2, 4> for Regression {
    fn step(&mut self, at: i64, pair: [f64; 2]) -> [f64; 4] {
        let Some(fold) = self.pairs.push(at, pair) else { return [f64::NAN; 4] };
        let [xx, yy, xy] = fold.central();
        let slope = defined(quotient(xy, yy));
        let [mean_x, mean_y] = fold.means();
        let r = fold.correlation();
        let left = xx - slope * xy;
        let [x, y] = fold.distance(pair);
        let sd = if left > NOTHING * xx { (left / self.length).sqrt() } else { 0.0 };
        [
            slope,
            defined(mean_x - slope * mean_y),
            defined(r * r),
            defined(quotient(x - slope * y, sd)),
        ]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.pairs.visit(state);
    }
}

/// Correlation of a series with an earlier stretch of another.
#[derive(Clone)]
struct LeadLag {
    delay: Delay,
    pairs: Pairs,
}

impl Kernel<2, 1> for LeadLag {
    fn step(&mut self, at: i64, [x, y]: [f64; 2]) -> [f64; 1] {
        let fold = self.pairs.push(at, [x, self.delay.push(y)]);
        [fold.map_or(f64::NAN, |fold| within(defined(fold.correlation()), -1.0, 1.0))]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.delay.visit(state);
        self.pairs.visit(state);
    }
}

/// Growth of one series less that of another.
#[derive(Clone)]
struct Strength {
    x: LogReturn,
    y: LogReturn,
}

impl Strength {
    fn new(period: f64) -> Self {
        Self { x: LogReturn::new(count(period)), y: LogReturn::new(count(period)) }
    }
}

impl Kernel<2, 1> for Strength {
    fn step(&mut self, at: i64, [x, y]: [f64; 2]) -> [f64; 1] {
        let ([x], [y]) = (self.x.step(at, [x]), self.y.step(at, [y]));
        [x - y]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.x.visit(state);
        self.y.visit(state);
    }
}

const TWO: &[Input] = &[Input::Given, Input::Given];

const fn period(least: u32) -> [Parameter; 1] {
    [Parameter::window("period", least, Some(60.0))]
}

const ONE: Function = Function {
    family: "pairs",
    inputs: TWO,
    parameters: &period(2),
    memory: finite,
    warmup: full,
    ..ROW
};

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "covariance",
        known_as: &["cov", "rolling_cov"],
        build: |p| node(Covariance { pairs: Pairs::new(count(p[0])), length: p[0] }),
        summary: "Covariance of two series over the last bars",
        formula: "sum((x - mean x) (y - mean y)) / (period - 1) over the last period pairs; in the unit of x times that of \
                  y.",
        source: "Definition; as rolling().cov() of pandas.",
        ..ONE
    },
    Function {
        name: "regression",
        known_as: &["ols", "hedge_ratio", "rolling_ols"],
        parameters: &period(3),
        outputs: &["slope", "intercept", "r2", "zscore"],
        build: |p| node(Regression { pairs: Pairs::new(count(p[0])), length: p[0] }),
        summary: "Least squares of one series on another over the last bars",
        formula: "x = intercept + slope y over the last period pairs; slope (of returns: the beta) in the unit of x over \
                  that of y, r2 = squared correlation in [0, 1], zscore = what is left of the newest x / standard deviation \
                  (ddof 0) of what is left of all. NaN where y does not vary; r2 where x does not, zscore where nothing is \
                  left.",
        source: "Definition; as scipy.stats.linregress. BETA of TA-Lib takes returns of its inputs itself.",
        ..ONE
    },
    Function {
        name: "spread_zscore",
        known_as: &["pair_zscore", "ratio_zscore"],
        build: |p| {
            node(Then(
                Map(|[x, y]: [f64; 2]| [log_ratio(x, y)]),
                Windowed::<ZScore>::new(count(p[0])),
            ))
        },
        summary: "Distance of the log ratio of two series from its mean in standard deviations",
        formula: "(s - mean) / sd of s = ln(x / y) over the last period pairs, sd with ddof 0; dimensionless, NaN where they \
                  are all equal or a value is not above 0.",
        source: "Definition; E. Gatev, W. Goetzmann and K. Rouwenhorst, Pairs Trading, Review of Financial Studies 19, \
                 2006.",
        ..ONE
    },
    Function {
        name: "lead_lag",
        known_as: &["cross_correlation", "lagged_correlation"],
        parameters: &[
            Parameter::window("period", 2, Some(60.0)),
            Parameter::window("lag", 1, Some(1.0)),
        ],
        memory: |p| Memory::Finite(bars(p[0]) + bars(p[1])),
        warmup: |p| bars(p[0]) + bars(p[1]) - 1,
        delays: |p| [0, bars(p[1])],
        build: |p| node(LeadLag { delay: Delay::new(count(p[1])), pairs: Pairs::new(count(p[0])) }),
        summary: "Correlation of a series with what another was some bars ago",
        formula: "Pearson correlation of x[i] and y[i - lag] over the last period bars; in [-1, 1], NaN where one does not \
                  vary. High where y leads x by lag bars.",
        source: "Definition; as rolling().corr() of pandas with a shifted series.",
        ..ONE
    },
    Function {
        name: "relative_strength",
        known_as: &["excess_return", "outperformance"],
        parameters: &[Parameter::window("period", 1, Some(60.0))],
        memory: finite_changes,
        warmup: full_changes,
        build: |p| node(Strength::new(p[0])),
        summary: "Log return of one series less that of another",
        formula: "ln(x[t] / x[t - period]) - ln(y[t] / y[t - period]); NaN where a quotient is not above 0.",
        source: "Definition.",
        ..ONE
    },
    Function {
        name: "tracking_error",
        known_as: &["active_risk"],
        memory: finite_changes,
        warmup: full_changes,
        build: |p| node(Then(Strength::new(1.0), Windowed::<SampleDeviation>::new(count(p[0])))),
        summary: "Standard deviation of the difference of two series' log returns",
        formula: "Standard deviation (ddof 1) of the last period values of ln(x[t] / x[t - 1]) - ln(y[t] / y[t - 1]); >= 0, \
                  per bar, a fraction.",
        source: "Definition.",
        ..ONE
    },
];

#[cfg(test)]
mod tests {
    use crate::features::contract::{all, single};

    #[test]
    fn pairs_by_hand() {
        let (x, y) = ([1.0, 3.0, 2.0], [1.0, 2.0, 3.0]);
        assert_eq!(single("covariance", &[3.0], &[&x, &y])[2], 0.5);
        let got = all("regression", &[3.0], &[&x, &y]);
        let [slope, intercept, r2, z] = [0, 1, 2, 3].map(|k: usize| got[k][2]);
        // Left of x: -0.5, 1, -0.5.
        for (got, want) in [(slope, 0.5), (intercept, 1.0), (r2, 0.25)] {
            assert!((got - want).abs() < 1e-15, "{got} {want}");
        }
        assert!((z + 0.5_f64.sqrt()).abs() < 1e-15, "{z}");
        assert!((single("lead_lag", &[2.0, 1.0], &[&x, &y])[2] + 1.0).abs() < 1e-15);
        let got = single("relative_strength", &[1.0], &[&[1.0, 4.0], &[1.0, 2.0]])[1];
        assert!((got - 2_f64.ln()).abs() < 1e-15);
        // A line leaves nothing to measure by.
        assert!(all("regression", &[3.0], &[&y, &y])[3][2].is_nan());
    }
}
