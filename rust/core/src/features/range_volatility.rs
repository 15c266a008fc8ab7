//! Volatility from the whole range of bars, and from their returns by direction, jumps and age.

use std::f64::consts::{FRAC_PI_2, LN_2};

use super::average::{Ema, ema_fade};
use super::node::{Kernel, Memory, Visit, node};
use super::operators::quotient;
use super::parts::{ROW, Sums, Then, finite, finite_changes, full, full_changes};
use super::parts::{log_ratio, within};
use super::registry::{Function, Input, Parameter, count};
use super::returns::LogReturn;
use super::undefined::defined;
use super::volatility::{RealisedVolatility, SampleDeviation};
use super::window::{Moments, Window, Windowed, bars};
use crate::numeric::Sum;

/// Root of a mean of squares; rounding may put a sum of squares a little below 0.
#[inline]
fn root(sum: f64, length: f64) -> [f64; 1] {
    [defined((if sum < 0.0 { 0.0 } else { sum } / length).sqrt())]
}

/// Yang's and Zhang's variance: overnight, open to close, and Rogers's and Satchell's.
#[derive(Clone)]
struct YangZhang {
    close: f64,
    overnight: Window<Moments>,
    daytime: Window<Moments>,
    range: Window<Sum>,
    length: f64,
}

impl Kernel<4, 1> for YangZhang {
    fn step(&mut self, at: i64, [open, high, low, close]: [f64; 4]) -> [f64; 1] {
        let before = std::mem::replace(&mut self.close, close);
        let gap = log_ratio(open, before);
        let folds = (
            self.overnight.push(at, gap),
            self.daytime.push(at, log_ratio(close, open)),
            self.range.push(at, rogers_satchell([open, high, low, close])),
        );
        let (Some(gap), Some(day), Some(range)) = folds else { return [f64::NAN] };
        let n = self.length;
        let k = 0.34 / (1.34 + (n + 1.0) / (n - 1.0));
        let (gap, day) = (gap.deviation(1.0), day.deviation(1.0));
        root(gap * gap + k * day * day + (1.0 - k) * (range.value() / n), 1.0)
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.float(&mut self.close);
        self.overnight.visit(state);
        self.daytime.visit(state);
        self.range.visit(state);
    }
}

fn rogers_satchell([open, high, low, close]: [f64; 4]) -> f64 {
    log_ratio(high, close) * log_ratio(high, open) + log_ratio(low, close) * log_ratio(low, open)
}

fn garman_klass([open, high, low, close]: [f64; 4]) -> f64 {
    let (range, body) = (log_ratio(high, low), log_ratio(close, open));
    0.5 * range * range - (2.0 * LN_2 - 1.0) * body * body
}

fn log_return([x]: [f64; 1], [before]: [f64; 1]) -> f64 {
    log_ratio(x, before)
}

/// Squared returns, and products of neighbouring sizes of returns.
#[derive(Clone)]
struct Bipower {
    growth: LogReturn,
    before: f64,
    squares: Window<Sum>,
    products: Window<Sum>,
    length: f64,
    /// Share of jumps instead of the variation without them.
    share: bool,
}

impl Bipower {
    fn new(length: usize, share: bool) -> Self {
        Self {
            growth: LogReturn::new(1),
            before: f64::NAN,
            squares: Window::new(length),
            products: Window::new(length - 1),
            length: length as f64,
            share,
        }
    }
}

impl Kernel<1, 1> for Bipower {
    fn step(&mut self, at: i64, x: [f64; 1]) -> [f64; 1] {
        let [growth] = self.growth.step(at, x);
        let before = std::mem::replace(&mut self.before, growth);
        let squares = self.squares.push(at, growth * growth);
        let products = self.products.push(at, growth.abs() * before.abs());
        let (Some(squares), Some(products)) = (squares, products) else { return [f64::NAN] };
        let n = self.length;
        let smooth = FRAC_PI_2 * (n / (n - 1.0)) * products.value();
        if !self.share {
            return [defined(smooth)];
        }
        let smooth = quotient(smooth, squares.value());
        [if smooth.is_nan() { f64::NAN } else { 1.0 - within(smooth, 0.0, 1.0) }]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.growth.visit(state);
        state.float(&mut self.before);
        self.squares.visit(state);
        self.products.visit(state);
    }
}

/// Root of the exponential mean of squared returns.
#[derive(Clone)]
struct Ewma {
    before: f64,
    mean: Ema,
}

impl Kernel<1, 1> for Ewma {
    fn step(&mut self, _at: i64, [x]: [f64; 1]) -> [f64; 1] {
        if x.is_nan() {
            return [f64::NAN];
        }
        let growth = log_ratio(x, std::mem::replace(&mut self.before, x));
        [self.mean.update(defined(growth * growth)).sqrt()]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.float(&mut self.before);
        self.mean.visit(state);
    }
}

const X: &[Input] = &[Input::Series("close")];
const BAR: &[Input] =
    &[Input::Column("open"), Input::Column("high"), Input::Column("low"), Input::Column("close")];
const PERIOD: &[Parameter] = &[Parameter::window("period", 1, Some(20.0))];
const PERIOD_FROM_2: &[Parameter] = &[Parameter::window("period", 2, Some(20.0))];

const RANGE: Function = Function {
    family: "range volatility",
    inputs: BAR,
    parameters: PERIOD,
    memory: finite,
    warmup: full,
    ..ROW
};
const REALISED: Function = Function {
    family: "realised volatility",
    inputs: X,
    parameters: PERIOD,
    memory: finite_changes,
    warmup: full_changes,
    ..ROW
};

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "parkinson",
        known_as: &["parkinson_volatility"],
        inputs: &[Input::Column("high"), Input::Column("low")],
        build: |p| {
            let term = |[high, low]: [f64; 2], _| {
                let range = log_ratio(high, low);
                [range * range]
            };
            node(Sums::new(count(p[0]), term, |[sum], _, n| root(sum, 4.0 * LN_2 * n)))
        },
        summary: "Parkinson's volatility from highs and lows",
        formula: "sqrt(mean(ln(high / low)^2) / (4 ln 2)) over period bars; >= 0, per bar, a fraction, not annualised. \
                  Takes the drift for 0 and does not see gaps.",
        source: "M. Parkinson, The Extreme Value Method for Estimating the Variance of the Rate of Return, Journal of \
                 Business 53, 1980.",
        ..RANGE
    },
    Function {
        name: "garman_klass",
        known_as: &["garman_klass_volatility"],
        build: |p| {
            node(Sums::new(count(p[0]), |bar, _| [garman_klass(bar)], |[sum], _, n| root(sum, n)))
        },
        summary: "Garman's and Klass's volatility from whole bars",
        formula: "sqrt(mean(ln(high / low)^2 / 2 - (2 ln 2 - 1) ln(close / open)^2)) over period bars; >= 0, per bar, a \
                  fraction. Takes the drift for 0 and does not see gaps.",
        source: "M. Garman and M. Klass, On the Estimation of Security Price Volatilities from Historical Data, Journal \
                 of Business 53, 1980.",
        ..RANGE
    },
    Function {
        name: "rogers_satchell",
        known_as: &["rogers_satchell_volatility"],
        build: |p| {
            let term = |bar, _| [rogers_satchell(bar)];
            node(Sums::new(count(p[0]), term, |[sum], _, n| root(sum, n)))
        },
        summary: "Rogers's and Satchell's volatility, free of the drift",
        formula: "sqrt(mean(ln(high / close) ln(high / open) + ln(low / close) ln(low / open))) over period bars; >= 0, \
                  per bar, a fraction. Does not see gaps.",
        source: "L. Rogers and S. Satchell, Estimating Variance from High, Low and Closing Prices, Annals of Applied \
                 Probability 1, 1991.",
        ..RANGE
    },
    Function {
        name: "yang_zhang",
        known_as: &["yang_zhang_volatility"],
        parameters: PERIOD_FROM_2,
        memory: finite_changes,
        warmup: full_changes,
        build: |p| {
            let n = count(p[0]);
            node(YangZhang {
                close: f64::NAN,
                overnight: Window::new(n),
                daytime: Window::new(n),
                range: Window::new(n),
                length: n as f64,
            })
        },
        summary: "Yang's and Zhang's volatility, free of the drift, with gaps",
        formula: "sqrt(var(ln(open / c')) + k var(ln(close / open)) + (1 - k) rs^2) over period bars, c' the close \
                  before, rs = rogers_satchell(period), k = 0.34 / (1.34 + (period + 1) / (period - 1)), variances with \
                  ddof 1; >= 0, per bar, a fraction.",
        source: "D. Yang and Q. Zhang, Drift-Independent Volatility Estimation Based on High, Low, Open, and Close \
                 Prices, Journal of Business 73, 2000.",
        ..RANGE
    },
    Function {
        name: "realised_variance",
        known_as: &["realized_variance"],
        build: |p| {
            let term = |x, before| {
                let growth = log_return(x, before);
                [growth * growth]
            };
            node(Sums::new(count(p[0]), term, |[sum], _, _| [defined(sum)]))
        },
        summary: "Sum of squared log returns",
        formula: "Sum of ln(x[t] / x[t - 1])^2 over the last period returns; >= 0, a fraction squared.",
        source: "T. Andersen and T. Bollerslev, Answering the Skeptics, International Economic Review 39, 1998.",
        ..REALISED
    },
    Function {
        name: "bipower_variation",
        known_as: &["bipower"],
        parameters: PERIOD_FROM_2,
        build: |p| node(Bipower::new(count(p[0]), false)),
        summary: "Realised variance without its jumps",
        formula: "pi / 2 * period / (period - 1) * sum of |r[t]| |r[t - 1]| over the period - 1 pairs of the last period \
                  log returns; >= 0, a fraction squared.",
        source: "O. Barndorff-Nielsen and N. Shephard, Power and Bipower Variation with Stochastic Volatility and Jumps, \
                 Journal of Financial Econometrics 2, 2004.",
        ..REALISED
    },
    Function {
        name: "jump_share",
        known_as: &["jump_ratio"],
        parameters: PERIOD_FROM_2,
        build: |p| node(Bipower::new(count(p[0]), true)),
        summary: "Share of jumps in the realised variance",
        formula: "1 - min(1, bipower_variation(period) / realised_variance(period)); in [0, 1], NaN where nothing moved.",
        source: "O. Barndorff-Nielsen and N. Shephard, Econometrics of Testing for Jumps, Journal of Financial \
                 Econometrics 4, 2006.",
        ..REALISED
    },
    Function {
        name: "downside_volatility",
        known_as: &["downside_deviation", "semi_deviation"],
        build: |p| {
            let term = |x, before| {
                let growth = log_return(x, before);
                [if growth > 0.0 { 0.0 } else { growth * growth }]
            };
            node(Sums::new(count(p[0]), term, |[sum], _, n| root(sum, n)))
        },
        summary: "Root mean square of the negative log returns",
        formula: "sqrt(mean(min(r, 0)^2)) over the last period log returns, those above 0 counting as 0; >= 0, per bar, a \
                  fraction. Its square times period is the negative semivariance.",
        source: "O. Barndorff-Nielsen, S. Kinnebrock and N. Shephard, Measuring Downside Risk: Realised Semivariance, \
                 2010.",
        ..REALISED
    },
    Function {
        name: "upside_volatility",
        known_as: &["upside_deviation"],
        build: |p| {
            let term = |x, before| {
                let growth = log_return(x, before);
                [if growth < 0.0 { 0.0 } else { growth * growth }]
            };
            node(Sums::new(count(p[0]), term, |[sum], _, n| root(sum, n)))
        },
        summary: "Root mean square of the positive log returns",
        formula: "sqrt(mean(max(r, 0)^2)) over the last period log returns, those below 0 counting as 0; >= 0, per bar, a \
                  fraction.",
        source: "As downside_volatility.",
        ..REALISED
    },
    Function {
        name: "semivariance_balance",
        known_as: &["signed_jump", "semivariance"],
        build: |p| {
            let terms = |x, before| {
                let growth = log_return(x, before);
                let square = growth * growth;
                [if growth < 0.0 { -square } else { square }, square]
            };
            node(Sums::new(count(p[0]), terms, |[signed, all], _, _| {
                [defined(within(quotient(signed, all), -1.0, 1.0))]
            }))
        },
        summary: "Upward less downward share of the realised variance",
        formula: "(sum of r^2 of rises - sum of r^2 of falls) / sum of r^2 over the last period log returns; in [-1, 1], \
                  NaN where nothing moved.",
        source: "A. Patton and K. Sheppard, Good Volatility, Bad Volatility, Review of Economics and Statistics 97, 2015; \
                 their signed jump variation as a share.",
        ..REALISED
    },
    Function {
        name: "realised_skewness",
        known_as: &["realized_skewness"],
        build: |p| {
            let terms = |x, before| {
                let growth = log_return(x, before);
                [growth * growth, growth * growth * growth]
            };
            node(Sums::new(count(p[0]), terms, |[squares, cubes], _, n| {
                [defined(n.sqrt() * quotient(quotient(cubes, squares), squares.sqrt()))]
            }))
        },
        summary: "Skewness of log returns about 0",
        formula: "sqrt(period) * sum(r^3) / sum(r^2)^1.5 over the last period log returns; in [-sqrt(period), \
                  sqrt(period)], NaN where nothing moved.",
        source: "D. Amaya, P. Christoffersen, K. Jacobs and A. Vasquez, Does Realized Skewness Predict the Cross-Section \
                 of Equity Returns?, Journal of Financial Economics 118, 2015.",
        ..REALISED
    },
    Function {
        name: "realised_kurtosis",
        known_as: &["realized_kurtosis"],
        build: |p| {
            let terms = |x, before| {
                let growth = log_return(x, before);
                let square = growth * growth;
                [square, square * square]
            };
            node(Sums::new(count(p[0]), terms, |[squares, fourths], _, n| {
                [defined(n * quotient(quotient(fourths, squares), squares))]
            }))
        },
        summary: "Kurtosis of log returns about 0",
        formula: "period * sum(r^4) / sum(r^2)^2 over the last period log returns; in [1, period], NaN where nothing \
                  moved.",
        source: "As realised_skewness.",
        ..REALISED
    },
    Function {
        name: "vol_of_vol",
        known_as: &["volatility_of_volatility", "vvol"],
        parameters: &[
            Parameter::window("period", 2, Some(20.0)),
            Parameter::window("window", 2, Some(60.0)),
        ],
        memory: |p| Memory::Finite(bars(p[0]) + bars(p[1])),
        warmup: |p| bars(p[0]) + bars(p[1]) - 1,
        build: |p| {
            node(Then(
                RealisedVolatility::new(count(p[0])),
                Windowed::<SampleDeviation>::new(count(p[1])),
            ))
        },
        summary: "Standard deviation of the realised volatility",
        formula: "Standard deviation (ddof 1) of the last window values of realised_volatility(x, period); >= 0, per bar, \
                  a fraction.",
        source: "Definition.",
        ..REALISED
    },
    Function {
        name: "ewma_volatility",
        known_as: &["riskmetrics", "ewm_volatility", "ewma_vol"],
        parameters: &[Parameter::window("period", 2, Some(32.0))],
        memory: |p| Memory::Fading(bars(p[0]) + 1 + ema_fade(p[0])),
        build: |p| node(Ewma { before: f64::NAN, mean: Ema::new(p[0]) }),
        summary: "Root of the exponential mean of squared log returns",
        formula: "sqrt(v) with v the ema(period) of ln(x[t] / x[t - 1])^2: v += 2 / (period + 1) * (r^2 - v), seeded with \
                  the plain mean of the first period squares; >= 0, per bar, a fraction. A period of 32 is a decay of \
                  0.94.",
        source: "J.P. Morgan, RiskMetrics Technical Document, 1996; there the seed is left open.",
        ..REALISED
    },
];

#[cfg(test)]
mod tests {
    use crate::features::contract::single;

    #[test]
    fn ranges_by_hand() {
        let e = std::f64::consts::E;
        // One bar that opens and closes at its middle in logarithms: range 2, parts 1.
        let (open, high, low, close) = ([1.0], [e], [1.0 / e], [1.0]);
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-15, "{a} {b}");
        near(single("parkinson", &[1.0], &[&high, &low])[0], (1.0 / 2_f64.ln()).sqrt());
        near(single("garman_klass", &[1.0], &[&open, &high, &low, &close])[0], 2_f64.sqrt());
        near(single("rogers_satchell", &[1.0], &[&open, &high, &low, &close])[0], 2_f64.sqrt());
    }

    #[test]
    fn returns_by_hand() {
        let x = [1.0, 2.0, 1.0, 1.0];
        let l = std::f64::consts::LN_2;
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-15, "{a} {b}");
        near(single("realised_variance", &[2.0], &[&x])[2], 2.0 * l * l);
        near(single("bipower_variation", &[2.0], &[&x])[2], std::f64::consts::PI * l * l);
        assert_eq!(single("jump_share", &[2.0], &[&x])[2..], [0.0, 1.0]);
        assert_eq!(single("semivariance_balance", &[2.0], &[&x])[2..], [0.0, -1.0]);
        near(single("downside_volatility", &[2.0], &[&x])[3], l / 2_f64.sqrt());
        assert_eq!(single("upside_volatility", &[2.0], &[&x])[3], 0.0);
    }
}
