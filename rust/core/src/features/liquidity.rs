//! What trading costs and how hard volume moves the price, from bars.

use super::joint::Pairs;
use super::node::{Kernel, Memory, Visit, node};
use super::operators::{quotient, relative};
use super::parts::{Map, ROW, Sums, finite, finite_changes, full, full_changes, log_ratio, within};
use super::registry::{Function, Input, Parameter, count};
use super::returns::LogReturn;
use super::undefined::defined;
use super::window::{Window, bars};
use crate::numeric::{self, Sum};

/// Spread from the covariance of neighbouring returns.
#[derive(Clone)]
struct Roll {
    growth: LogReturn,
    before: f64,
    pairs: Pairs,
    length: f64,
}

impl Kernel<1, 1> for Roll {
    fn step(&mut self, at: i64, x: [f64; 1]) -> [f64; 1] {
        let [growth] = self.growth.step(at, x);
        let before = std::mem::replace(&mut self.before, growth);
        [self.pairs.push(at, [growth, before]).map_or(f64::NAN, |fold| {
            let [_, _, common] = fold.central();
            // NaN passes, as the comparison with it is false.
            if common >= 0.0 { 0.0 } else { 2.0 * (-common / (self.length - 1.0)).sqrt() }
        })]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.growth.visit(state);
        state.float(&mut self.before);
        self.pairs.visit(state);
    }
}

/// Corwin's and Schultz's spread of two bars, not below 0.
fn corwin_schultz([high, low]: [f64; 2], [old_high, old_low]: [f64; 2]) -> f64 {
    let square = |x: f64| x * x;
    let single = square(log_ratio(high, low)) + square(log_ratio(old_high, old_low));
    let both = square(log_ratio(numeric::max(high, old_high), numeric::min(low, old_low)));
    // The larger and smaller of two let a NaN pass, the single ranges do not.
    let scale = 3.0 - 2.0 * 2_f64.sqrt();
    let alpha = (single.sqrt() * (2_f64.sqrt() - 1.0)) / scale - (both / scale).sqrt();
    let growth = numeric::exp(alpha);
    let spread = defined(2.0 * (growth - 1.0) / (1.0 + growth));
    if spread < 0.0 { 0.0 } else { spread }
}

/// Product of the distances of a close from the middles of its bar and of the next.
fn abdi_ranaldo([high, low, _]: [f64; 3], [old_high, old_low, close]: [f64; 3]) -> f64 {
    let middle = 0.5 * log_ratio(high, low) + log_ratio(low, close);
    let old = 0.5 * log_ratio(old_high, old_low) + log_ratio(old_low, close);
    middle * old
}

/// Slope of returns on the volume that takers bought, less what they sold.
#[derive(Clone)]
struct Kyle {
    growth: LogReturn,
    pairs: Pairs,
}

impl Kernel<3, 1> for Kyle {
    fn step(&mut self, at: i64, [close, bought, volume]: [f64; 3]) -> [f64; 1] {
        let [growth] = self.growth.step(at, [close]);
        [self.pairs.push(at, [growth, 2.0 * bought - volume]).map_or(f64::NAN, |fold| {
            let [_, flows, common] = fold.central();
            defined(quotient(common, flows))
        })]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.growth.visit(state);
        self.pairs.visit(state);
    }
}

/// How far a value lies above the plain mean of those before it.
#[derive(Clone)]
struct Surprise {
    before: f64,
    sum: Window<Sum>,
    length: f64,
}

impl Surprise {
    fn new(period: f64) -> Self {
        Self { before: f64::NAN, sum: Window::new(count(period)), length: period }
    }
}

impl Kernel<1, 1> for Surprise {
    fn step(&mut self, at: i64, [x]: [f64; 1]) -> [f64; 1] {
        let before = std::mem::replace(&mut self.before, x);
        let sum = self.sum.push(at, before);
        [sum.map_or(f64::NAN, |sum| defined(relative(x, sum.value() / self.length)))]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.float(&mut self.before);
        self.sum.visit(state);
    }
}

const CLOSE: Input = Input::Column("close");
const VOLUME: Input = Input::Column("volume");
const BOUGHT: Input = Input::Column("taker_buy_volume");
const TRADES: Input = Input::Column("trades");
const HIGH: Input = Input::Column("high");
const LOW: Input = Input::Column("low");

const fn period(least: u32) -> [Parameter; 1] {
    [Parameter::window("period", least, Some(20.0))]
}

const LIQUIDITY: Function = Function {
    family: "liquidity",
    parameters: &period(1),
    memory: finite_changes,
    warmup: full_changes,
    ..ROW
};
const FLOW: Function =
    Function { family: "order flow", parameters: &period(1), memory: finite, warmup: full, ..ROW };

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "amihud",
        known_as: &["illiquidity", "amihud_illiquidity"],
        inputs: &[CLOSE, VOLUME],
        build: |p| {
            let terms = |[close, volume]: [f64; 2], [before, _]: [f64; 2]| {
                let moved = relative(close, before).abs();
                let traded = close * volume;
                if traded == 0.0 && !moved.is_nan() { [0.0, 0.0] } else { [moved / traded, 1.0] }
            };
            node(Sums::new(count(p[0]), terms, |[sum, traded], _, _| {
                [defined(quotient(sum, traded))]
            }))
        },
        summary: "Return for a unit of money traded",
        formula: "mean(|close[t] / close[t - 1] - 1| / (close volume)) over those of the last period bars that were \
                  traded; >= 0, per unit of the quote currency, NaN where none was.",
        source: "Y. Amihud, Illiquidity and Stock Returns, Journal of Financial Markets 5, 2002.",
        ..LIQUIDITY
    },
    Function {
        name: "roll_spread",
        known_as: &["roll", "effective_spread"],
        inputs: &[Input::Series("close")],
        parameters: &period(2),
        memory: |p| Memory::Finite(bars(p[0]) + 2),
        warmup: |p| bars(p[0]) + 1,
        build: |p| {
            node(Roll {
                growth: LogReturn::new(1),
                before: f64::NAN,
                pairs: Pairs::new(count(p[0])),
                length: p[0],
            })
        },
        summary: "Spread from the bounce of closes between bid and ask",
        formula: "2 sqrt(-c), c the covariance (ddof 1) of ln(x[t] / x[t - 1]) and the one before it over period pairs; a \
                  fraction of the price, >= 0, 0 where c >= 0.",
        source: "R. Roll, A Simple Implicit Measure of the Effective Bid-Ask Spread, Journal of Finance 39, 1984.",
        ..LIQUIDITY
    },
    Function {
        name: "corwin_schultz",
        known_as: &["corwin_schultz_spread", "high_low_spread"],
        inputs: &[HIGH, LOW],
        build: |p| {
            node(Sums::new(
                count(p[0]),
                |now, before| [corwin_schultz(now, before)],
                |[sum], _, n| [sum / n],
            ))
        },
        summary: "Spread from highs and lows of one and of two bars",
        formula: "Mean over the last period pairs of neighbours of max(0, 2 (e^a - 1) / (1 + e^a)), a = (sqrt(2 b) - \
                  sqrt(b)) / (3 - 2 sqrt(2)) - sqrt(g / (3 - 2 sqrt(2))), b the sum of ln(high / low)^2 of both bars, g that of \
                  their common range; a fraction of the price, in [0, 2). Overnight gaps are not taken out.",
        source: "S. Corwin and P. Schultz, A Simple Way to Estimate Bid-Ask Spreads from Daily High and Low Prices, \
                 Journal of Finance 67, 2012.",
        ..LIQUIDITY
    },
    Function {
        name: "abdi_ranaldo",
        known_as: &["abdi_ranaldo_spread", "chl_spread"],
        inputs: &[HIGH, LOW, CLOSE],
        build: |p| {
            let term = |now, before| [abdi_ranaldo(now, before)];
            node(Sums::new(count(p[0]), term, |[sum], _, n| {
                [defined(2.0 * if sum < 0.0 { 0.0 } else { sum / n }.sqrt())]
            }))
        },
        summary: "Spread from closes and the middles of bars",
        formula: "2 sqrt(max(0, mean((c - m) (c - m')))) over the last period pairs of neighbours, c the log close of the \
                  older bar, m its middle (ln high + ln low) / 2, m' that of the newer; a fraction of the price, >= 0.",
        source: "F. Abdi and A. Ranaldo, A Simple Estimation of Bid-Ask Spreads from Daily Close, High, and Low Prices, \
                 Review of Financial Studies 30, 2017; negative means are set to 0.",
        ..LIQUIDITY
    },
    Function {
        name: "kyle_lambda",
        known_as: &["kyle", "price_impact"],
        inputs: &[CLOSE, BOUGHT, VOLUME],
        parameters: &period(2),
        build: |p| node(Kyle { growth: LogReturn::new(1), pairs: Pairs::new(count(p[0])) }),
        summary: "Return for a unit of volume that takers bought",
        formula: "Least-squares slope, with a constant, of ln(close[t] / close[t - 1]) on 2 taker_buy_volume - volume over \
                  the last period bars; a fraction per unit of the base, NaN where the flow does not vary. Needs the \
                  further column `taker_buy_volume`.",
        source: "A. Kyle, Continuous Auctions and Insider Trading, Econometrica 53, 1985.",
        ..LIQUIDITY
    },
    Function {
        name: "turnover",
        known_as: &["dollar_volume", "quote_volume"],
        inputs: &[CLOSE, VOLUME],
        parameters: &[],
        memory: |_| Memory::Finite(1),
        warmup: |_| 0,
        build: |_| node(Map(|[close, volume]: [f64; 2]| [defined(close * volume)])),
        summary: "Money traded in a bar",
        formula: "close volume; >= 0, in the quote currency.",
        source: "Definition.",
        ..LIQUIDITY
    },
    Function {
        name: "volume_share",
        known_as: &["relative_volume_share"],
        inputs: &[VOLUME],
        build: |p| {
            node(Sums::new(
                count(p[0]),
                |now: [f64; 1], _| now,
                |[sum], [x], _| [defined(quotient(x, sum))],
            ))
        },
        summary: "Volume as a share of that of the last bars",
        formula: "volume / sum(volume, period); in [0, 1], NaN where nothing was traded.",
        source: "Definition.",
        ..FLOW
    },
    Function {
        name: "volume_surprise",
        known_as: &["abnormal_volume"],
        inputs: &[VOLUME],
        memory: finite_changes,
        warmup: full_changes,
        build: |p| node(Surprise::new(p[0])),
        summary: "Volume against the mean of the bars before",
        formula: "volume[t] / mean(volume[t - period .. t - 1]) - 1; >= -1, a fraction, NaN where nothing was traded \
                  before.",
        source: "Definition.",
        ..FLOW
    },
    Function {
        name: "trade_size",
        known_as: &["average_trade_size"],
        inputs: &[VOLUME, TRADES],
        parameters: &[],
        memory: |_| Memory::Finite(1),
        warmup: |_| 0,
        build: |_| node(Map(|[volume, trades]: [f64; 2]| [defined(quotient(volume, trades))])),
        summary: "Volume of a trade",
        formula: "volume / trades; >= 0, in the base unit, NaN where there was no trade. Needs the further column `trades`.",
        source: "Definition.",
        ..FLOW
    },
    Function {
        name: "trade_intensity",
        known_as: &["trades_surprise"],
        inputs: &[TRADES],
        memory: finite_changes,
        warmup: full_changes,
        build: |p| node(Surprise::new(p[0])),
        summary: "Number of trades against the mean of the bars before",
        formula: "trades[t] / mean(trades[t - period .. t - 1]) - 1; >= -1, a fraction, NaN where there were none before. \
                  Needs the further column `trades`.",
        source: "Definition.",
        ..FLOW
    },
    Function {
        name: "flow_imbalance",
        known_as: &["ofi", "cvd", "volume_delta"],
        inputs: &[BOUGHT, VOLUME],
        build: |p| {
            let terms = |[bought, volume]: [f64; 2], _| [2.0 * bought - volume, volume];
            node(Sums::new(count(p[0]), terms, |[net, all], _, _| [defined(quotient(net, all))]))
        },
        summary: "Taker buying less taker selling over the last bars, as a share of volume",
        formula: "sum(2 taker_buy_volume - volume) / sum(volume) over period bars; in [-1, 1], NaN where nothing was \
                  traded. Needs the further column `taker_buy_volume`.",
        source: "Definition; the order-flow imbalance of trades, as books are not in bars.",
        ..FLOW
    },
    Function {
        name: "vpin",
        known_as: &["flow_toxicity"],
        inputs: &[BOUGHT, VOLUME],
        build: |p| {
            let terms = |[bought, volume]: [f64; 2], _| [(2.0 * bought - volume).abs(), volume];
            node(Sums::new(count(p[0]), terms, |[net, all], _, _| [defined(quotient(net, all))]))
        },
        summary: "One-sidedness of the order flow, bar by bar",
        formula: "sum(|2 taker_buy_volume - volume|) / sum(volume) over period bars; in [0, 1], NaN where nothing was \
                  traded. Needs the further column `taker_buy_volume`.",
        source: "D. Easley, M. Lopez de Prado and M. O'Hara, Flow Toxicity and Liquidity in a High-Frequency World, Review \
                 of Financial Studies 25, 2012; over bars of time where they take bars of equal volume.",
        ..FLOW
    },
    Function {
        name: "chaikin_money_flow",
        known_as: &["chaikin_flow"],
        inputs: &[HIGH, LOW, CLOSE, VOLUME],
        build: |p| {
            let terms = |[high, low, close, volume]: [f64; 4], _| {
                let range = high - low;
                let place = ((close - low) - (high - close)) / range;
                let place = if range == 0.0 && !close.is_nan() { 0.0 } else { place };
                [place * volume, volume]
            };
            node(Sums::new(count(p[0]), terms, |[flow, all], _, _| {
                [within(defined(quotient(flow, all)), -1.0, 1.0)]
            }))
        },
        summary: "Volume by the place of the close in its bar, as a share of all volume",
        formula: "sum(v ((c - l) - (h - c)) / (h - l)) / sum(v) over period bars, a bar without range counting 0; in [-1, \
                  1], NaN where nothing was traded.",
        source: "M. Chaikin.",
        ..FLOW
    },
    Function {
        name: "ease_of_movement",
        known_as: &["eom", "emv"],
        inputs: &[HIGH, LOW, VOLUME],
        parameters: &[Parameter::window("period", 1, Some(14.0))],
        memory: finite_changes,
        warmup: full_changes,
        build: |p| {
            let term = |[high, low, volume]: [f64; 3], [old_high, old_low, _]: [f64; 3]| {
                let moved = 0.5 * ((high - old_high) + (low - old_low));
                [if volume == 0.0 && !moved.is_nan() {
                    0.0
                } else {
                    moved * ((high - low) / volume)
                }]
            };
            node(Sums::new(count(p[0]), term, |[sum], _, n| [defined(sum / n)]))
        },
        summary: "How far the price moves on little volume",
        formula: "mean over period bars of (m[t] - m[t - 1]) (high - low) / volume, m = (high + low) / 2, a bar without \
                  volume counting 0; in the price squared per base unit.",
        source: "R. Arms, Profits in Volume, 1971; his scale factors are left out.",
        ..FLOW
    },
];

#[cfg(test)]
mod tests {
    use crate::features::contract::single;

    #[test]
    fn costs_by_hand() {
        // 10 to 11 on 100 of money; then no volume.
        let got = single("amihud", &[1.0], &[&[10.0, 12.5, 12.5], &[1.0, 8.0, 0.0]]);
        assert_eq!(got[1], 0.0025);
        assert!(got[2].is_nan());
        // A bounce of ln 2 each way: covariance -2 / 3 ln 2 squared about the means of three pairs.
        let x = [1.0, 2.0, 1.0, 2.0, 1.0];
        let want = 2.0 * (4.0 / 3.0_f64).sqrt() * 2_f64.ln();
        let got = single("roll_spread", &[3.0], &[&x])[4];
        assert!((got - want).abs() < 1e-15, "{got} {want}");
        // Returns 0 and ln 2 on flows -1 and 1.
        let got = single("kyle_lambda", &[2.0], &[&[1.0, 1.0, 2.0], &[0.0, 0.0, 1.0], &[1.0; 3]]);
        assert!((got[2] - 0.5 * 2_f64.ln()).abs() < 1e-15);
    }

    #[test]
    fn flows_by_hand() {
        let (bought, volume) = ([1.0, 0.0, 3.0], [2.0, 1.0, 4.0]);
        assert_eq!(single("flow_imbalance", &[2.0], &[&bought, &volume])[1..], [-1.0 / 3.0, 0.2]);
        assert_eq!(single("vpin", &[2.0], &[&bought, &volume])[1..], [1.0 / 3.0, 0.6]);
        assert_eq!(single("volume_share", &[2.0], &[&volume])[1..], [1.0 / 3.0, 0.8]);
        assert_eq!(single("volume_surprise", &[2.0], &[&volume])[2], 5.0 / 3.0);
        assert_eq!(single("trade_size", &[], &[&volume, &[4.0, 0.0, 1.0]])[0], 0.5);
        let (high, low, close) = ([4.0, 2.0], [0.0, 2.0], [3.0, 2.0]);
        let got = single("chaikin_money_flow", &[2.0], &[&high, &low, &close, &[2.0, 6.0]]);
        assert_eq!(got[1], 0.125);
        let got = single("ease_of_movement", &[1.0], &[&[4.0, 5.0], &[2.0, 3.0], &[1.0, 4.0]]);
        assert_eq!(got[1], 0.5);
    }
}
