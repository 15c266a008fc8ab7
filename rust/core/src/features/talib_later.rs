//! What TA-Lib added in version 0.8, under its names.
//!
//! Those of its newer functions that were here before are found by its names too ([`super::registry::ALSO`]).

use super::average::{Ema, Mean, Wilder, ema_fade, wilder_fade};
use super::later_kernels::{
    AboveMean, Accumulation, Channel, Forecast, Fractal, Kdj, PercentRank, RangeGrowth, Ranked,
    RelativeVolatility, RelativeVolume, VerticalHorizontal, Vwap, nearest_rank,
};
use super::node::{Memory, node};
use super::operators::quotient;
use super::order::Sorted;
use super::parts::{Map, ROW, Sums, Then, finite, finite_changes, full, full_changes};
use super::registry::{Function, Input, Kind, Parameter, count};
use super::statistics::Regression;
use super::swing_bars::{Awesome, Extremes};
use super::undefined::defined;
use super::volatility::Atr;
use super::window::{Delay, Window, Windowed, bars};
use crate::numeric::Sum;

const X: &[Input] = &[Input::Series("close")];
const HIGH: Input = Input::Column("high");
const LOW: Input = Input::Column("low");
const CLOSE: Input = Input::Column("close");
const VOLUME: Input = Input::Column("volume");

const fn window(name: &'static str, least: u32, default: f64) -> Parameter {
    Parameter::window(name, least, Some(default))
}

const fn period(least: u32, default: f64) -> Parameter {
    window("period", least, default)
}

const NEW: Function = Function { family: "later talib", inputs: X, ..ROW };

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "ac",
        known_as: &["accelerator", "accelerator_oscillator"],
        inputs: &[HIGH, LOW],
        parameters: &[window("fast", 1, 5.0), window("slow", 2, 34.0), window("signal", 1, 5.0)],
        memory: |p| Memory::Finite(bars(p[1]) + bars(p[2]) - 1),
        warmup: |p| bars(p[1]) + bars(p[2]) - 2,
        check: |p| (p[0] >= p[1]).then_some("`fast` of ac must be below `slow`"),
        build: |p| node(Then(Awesome::new(p[0], p[1]), AboveMean(Windowed::new(count(p[2]))))),
        summary: "Awesome oscillator less a mean of itself",
        formula: "a - sma(a, signal), a = awesome(fast, slow); in the unit of the price.",
        source: "B. Williams, New Trading Dimensions, 1998; as AC of TA-Lib.",
        ..NEW
    },
    Function {
        name: "cmou",
        known_as: &["chande_unsmoothed"],
        parameters: &[period(2, 14.0)],
        memory: finite_changes,
        warmup: full_changes,
        build: |p| {
            let terms = |[x]: [f64; 1], [before]: [f64; 1]| {
                let change = x - before;
                // NaN passes both ways.
                [if change < 0.0 { 0.0 } else { change }, if change > 0.0 { 0.0 } else { -change }]
            };
            node(Sums::new(count(p[0]), terms, |[up, down], _, _| {
                let all = up + down;
                [if all == 0.0 { 0.0 } else { defined(100.0 * ((up - down) / all)) }]
            }))
        },
        summary: "Chande's momentum oscillator as he wrote it",
        formula: "100 (u - d) / (u + d), u and d the plain sums of gains and losses over period changes; in [-100, 100], 0 \
                  where nothing moved.",
        source: "T. Chande and S. Kroll, The New Technical Trader, 1994; as CMOU of TA-Lib, whose CMO is smoothed.",
        ..NEW
    },
    Function {
        name: "fosc",
        known_as: &["forecast_oscillator"],
        parameters: &[period(2, 5.0)],
        memory: finite_changes,
        warmup: full_changes,
        build: |p| {
            let line = Regression::new(p[0], |slope, end, _| end + slope);
            node(Forecast { line, expected: f64::NAN })
        },
        summary: "How far a value lies above what the line through those before it foretold",
        formula: "100 (x - f) / x, f = tsf(x, period) of the bar before; in percent.",
        source: "T. Chande and S. Kroll, The New Technical Trader, 1994; as FOSC of TA-Lib.",
        ..NEW
    },
    Function {
        name: "fractal",
        known_as: &["williams_fractal", "swing_points"],
        inputs: &[HIGH, LOW],
        parameters: &[
            Parameter { name: "left", kind: Kind::Whole(1, 1000), default: Some(2.0) },
            Parameter { name: "right", kind: Kind::Whole(1, 1000), default: Some(2.0) },
        ],
        outputs: &["high", "low"],
        memory: |p| Memory::Finite(bars(p[0]) + bars(p[1]) + 1),
        warmup: |p| bars(p[0]) + bars(p[1]),
        build: |p| {
            let (right, length) = (count(p[1]), count(p[0] + p[1]) + 1);
            node(Fractal { right, highs: vec![], lows: vec![], length })
        },
        summary: "Whether the bar some bars ago has turned out to be a turning point",
        formula: "high = 100 where the high of right bars ago lies above those of the left bars before it and of all bars \
                  since, low the same of lows that lie below; else 0. Told at the bar that confirms it, as nobody knew before.",
        source: "B. Williams, Trading Chaos, 1995; as FRACTAL of TA-Lib.",
        ..NEW
    },
    Function {
        name: "kdj",
        known_as: &["kdj_stochastic"],
        inputs: &[HIGH, LOW, CLOSE],
        parameters: &[window("k", 1, 9.0), window("slow_k", 1, 3.0), window("slow_d", 1, 3.0)],
        outputs: &["k", "d", "j"],
        memory: |p| {
            let fade = wilder_fade(p[1]) + wilder_fade(p[2]);
            Memory::Fading(bars(p[0]) + bars(p[1]) + bars(p[2]) + fade)
        },
        warmup: |p| bars(p[0]) + bars(p[1]) + bars(p[2]) - 3,
        build: |p| {
            let (k, d) = (Wilder::new(p[1]), Wilder::new(p[2]));
            node(Kdj { extremes: Extremes::new(p[0]), k, d })
        },
        summary: "Stochastic oscillator with Wilder's means, and what k runs ahead of d",
        formula: "k = rma(s, slow_k), s = 100 (close - lowest low) / (highest high - lowest low) over k bars, 50 where they \
                  are equal; d = rma(k, slow_d); j = 3 k - 2 d. k and d in [0, 100], j beyond.",
        source: "As KDJ of TA-Lib with its own kind of mean, which gives 0 where the range is 0.",
        ..NEW
    },
    Function {
        name: "vhf",
        known_as: &["vertical_horizontal_filter"],
        parameters: &[period(2, 28.0)],
        memory: finite_changes,
        warmup: full_changes,
        build: |p| {
            node(VerticalHorizontal {
                extremes: Extremes::new(p[0]),
                way: Window::new(count(p[0])),
                before: f64::NAN,
            })
        },
        summary: "Range of a series over the way that it went",
        formula: "(max(x, period) - min(x, period)) / sum |x[t] - x[t - 1]| over period changes; in [0, 1], NaN where nothing \
                  moved.",
        source: "A. White, 1991; as VHF of TA-Lib, which gives 0 where nothing moved.",
        ..NEW
    },
    Function {
        name: "wad",
        known_as: &["williams_accumulation"],
        inputs: &[HIGH, LOW, CLOSE],
        memory: |_| Memory::Cumulative,
        build: |_| node(Accumulation { before: f64::NAN, total: Sum::default() }),
        summary: "Williams's accumulation and distribution",
        formula: "Adds close - min(low, c) where close > c, close - max(high, c) where close < c, c the close before; 0 at the \
                  first bar; in the unit of the price.",
        source: "L. Williams, How I Made One Million Dollars, 1973; as WAD of TA-Lib.",
        ..NEW
    },
    Function {
        name: "kc",
        known_as: &["keltner_typical"],
        inputs: &[HIGH, LOW, CLOSE],
        parameters: &[
            period(2, 20.0),
            window("atr", 1, 10.0),
            Parameter { name: "multiple", kind: Kind::Positive, default: Some(2.0) },
        ],
        outputs: &["upper", "middle", "lower"],
        memory: |p| {
            let range = bars(p[1]) + 1 + wilder_fade(p[1]);
            Memory::Fading(range.max(bars(p[0]) + ema_fade(p[0])))
        },
        warmup: |p| bars(p[1]).max(bars(p[0]) - 1),
        build: |p| node(Channel { mean: Ema::new(p[0]), range: Atr::new(p[1]), multiple: p[2] }),
        summary: "Keltner's channel about the typical price",
        formula: "middle = ema(typprice(), period), upper and lower = middle +- multiple atr(atr); in the unit of the price.",
        source: "C. Keltner, 1960; as KC of TA-Lib once the seeds have faded: its atr begins with the first bar's range. \
                 keltner() is about the close.",
        ..NEW
    },
    Function {
        name: "rma",
        known_as: &["wilder", "wilders", "smma", "smoothed_moving_average"],
        parameters: &[period(1, 30.0)],
        memory: |p| Memory::Fading(bars(p[0]) + wilder_fade(p[0])),
        warmup: full,
        build: |p| node(Wilder::new(p[0])),
        summary: "Wilder's moving average",
        formula: "m = (m (period - 1) + x) / period, seeded with the plain mean of the first period values; in the unit of x.",
        source: "J. W. Wilder, New Concepts in Technical Trading Systems, 1978; as RMA of TA-Lib.",
        ..NEW
    },
    Function {
        name: "vwma",
        known_as: &["volume_weighted_average"],
        inputs: &[Input::Series("close"), VOLUME],
        parameters: &[period(1, 30.0)],
        memory: finite,
        warmup: full,
        build: |p| {
            let terms = |[x, volume]: [f64; 2], _: [f64; 2]| [x * volume, volume + 0.0 * x];
            node(Sums::new(count(p[0]), terms, |[paid, volume], _, _| {
                [defined(quotient(paid, volume))]
            }))
        },
        summary: "Mean weighted with the volume",
        formula: "sum(x volume) / sum(volume) over period bars; in the unit of x, NaN where nothing was traded.",
        source: "As VWMA of TA-Lib.",
        ..NEW
    },
    Function {
        name: "percentile",
        known_as: &["nearest_rank"],
        parameters: &[
            period(2, 30.0),
            Parameter { name: "percentile", kind: Kind::Within(0.0, 100.0), default: Some(50.0) },
        ],
        memory: finite,
        warmup: full,
        build: |p| node(Ranked { values: Sorted::new(count(p[0])), place: nearest_rank(p) }),
        summary: "Value of a window at the nearest rank of a percentage",
        formula: "The value number ceil(percentile / 100 period) of the last period values in rising order, the first for 0; \
                  in the unit of x. quantile() lies between values.",
        source: "As PERCENTILE of TA-Lib.",
        ..NEW
    },
    Function {
        name: "percentrank",
        known_as: &["percent_rank"],
        parameters: &[period(2, 100.0)],
        memory: finite_changes,
        warmup: full_changes,
        build: |p| node(PercentRank { values: Sorted::new(count(p[0]) + 1), period: p[0] }),
        summary: "Share of the values before that lie below, in percent",
        formula: "100 times the number of the period values before this one that lie below it / period; in [0, 100]. rank() \
                  counts this one in, and equal ones by half.",
        source: "As PERCENTRANK of TA-Lib.",
        ..NEW
    },
    Function {
        name: "adr",
        known_as: &["average_range", "average_day_range"],
        inputs: &[HIGH, LOW],
        parameters: &[period(1, 14.0)],
        memory: finite,
        warmup: full,
        build: |p| {
            node(Then(
                Map(|[high, low]: [f64; 2]| [high - low]),
                Windowed::<Mean>::new(count(p[0])),
            ))
        },
        summary: "Mean range of the last bars",
        formula: "sma(high - low, period); in the unit of the price.",
        source: "As ADR of TA-Lib.",
        ..NEW
    },
    Function {
        name: "cvi",
        known_as: &["chaikin_volatility"],
        inputs: &[HIGH, LOW],
        parameters: &[period(2, 10.0), window("roc", 1, 10.0)],
        memory: |p| Memory::Fading(bars(p[0]) + 2 * ema_fade(p[0]) + bars(p[1])),
        warmup: |p| bars(p[0]) + bars(p[1]) - 1,
        build: |p| node(RangeGrowth { mean: Ema::new(p[0]), delay: Delay::new(count(p[1])) }),
        summary: "Chaikin's volatility: growth of a mean of ranges",
        formula: "100 (e[t] / e[t - roc] - 1), e = ema(high - low, period); in percent, NaN where nothing moved.",
        source: "M. Chaikin; as CVI of TA-Lib, which gives 0 where nothing moved.",
        ..NEW
    },
    Function {
        name: "rvi",
        known_as: &["relative_volatility_index"],
        parameters: &[period(2, 14.0), window("stddev", 2, 10.0)],
        memory: |p| Memory::Fading(bars(p[1]) + bars(p[0]) + wilder_fade(p[0])),
        warmup: |p| bars(p[1]) + bars(p[0]) - 2,
        build: |p| {
            node(RelativeVolatility {
                before: f64::NAN,
                deviation: Windowed::new(count(p[1])),
                up: Wilder::new(p[0]),
                down: Wilder::new(p[0]),
            })
        },
        summary: "Deviations of rising bars as a share of all",
        formula: "100 u / (u + d), u and d the Wilder means over period bars of stddev(x, stddev) where x rose and where it \
                  fell, 0 elsewhere; in [0, 100], 50 where nothing moved.",
        source: "D. Dorsey, 1993; as RVI of TA-Lib. relative_vigor() is another index of these letters.",
        ..NEW
    },
    Function {
        name: "marketfi",
        known_as: &["market_facilitation", "bw_mfi"],
        inputs: &[HIGH, LOW, VOLUME],
        build: |_| {
            node(Map(|[high, low, volume]: [f64; 3]| [defined(quotient(high - low, volume))]))
        },
        summary: "Range of a bar over its volume",
        formula: "(high - low) / volume; NaN where nothing was traded.",
        source: "B. Williams, Trading Chaos, 1995; as MARKETFI of TA-Lib, which gives 0 where nothing was traded.",
        ..NEW
    },
    Function {
        name: "rvol",
        known_as: &["relative_volume"],
        inputs: &[VOLUME],
        parameters: &[period(1, 20.0)],
        memory: finite_changes,
        warmup: full_changes,
        build: |p| node(RelativeVolume { mean: Windowed::new(count(p[0])), before: f64::NAN }),
        summary: "Volume over the mean of the bars before",
        formula: "volume / sma(volume, period) of the bar before; >= 0, NaN where nothing was traded before.",
        source: "As RVOL of TA-Lib.",
        ..NEW
    },
    Function {
        name: "vwap",
        known_as: &["volume_weighted_price"],
        inputs: &[HIGH, LOW, CLOSE, VOLUME],
        memory: |_| Memory::Cumulative,
        build: |_| node(Vwap { paid: Sum::default(), volume: Sum::default() }),
        summary: "Volume-weighted mean price from the first bar on",
        formula: "sum((high + low + close) / 3 volume) / sum(volume) since the first bar; in the unit of the price, NaN until \
                  something is traded. day_vwap_ratio() and vwap_ratio() forget.",
        source: "As VWAP of TA-Lib, which gives 0 until something is traded.",
        ..NEW
    },
];

#[cfg(test)]
mod tests {
    use crate::features::contract::{all, single};

    #[test]
    fn functions_by_hand() {
        let x = [1.0, 2.0, 4.0, 2.0];
        assert_eq!(single("cmou", &[3.0], &[&x])[3], 20.0);
        assert_eq!(single("vhf", &[3.0], &[&x])[3], 2.0 / 5.0);
        // The line through 1 and 2 foretells 3.
        assert_eq!(single("fosc", &[2.0], &[&x])[2], 25.0);
        assert_eq!(single("rma", &[2.0], &[&x])[1..], [1.5, 2.75, 2.375]);
        assert_eq!(single("percentile", &[3.0, 50.0], &[&x])[2..], [2.0, 2.0]);
        assert_eq!(single("percentrank", &[3.0], &[&x])[3], 100.0 / 3.0);
        assert_eq!(single("vwma", &[2.0], &[&x, &[1.0, 3.0, 0.0, 0.0]])[1..3], [1.75, 2.0]);
        assert_eq!(single("rvol", &[2.0], &[&[1.0, 3.0, 6.0]])[2], 3.0);
        assert_eq!(single("marketfi", &[], &[&[3.0], &[1.0], &[4.0]]), [0.5]);
        // Up by 1 above the close before, which lies below the low; down from the close before.
        let bars: [&[f64]; 3] = [&[2.0, 3.0, 3.0], &[1.0, 2.0, 0.5], &[1.0, 2.0, 1.5]];
        assert_eq!(single("wad", &[], &bars), [0.0, 1.0, -0.5]);
    }

    #[test]
    fn a_turning_point_is_told_when_it_is_confirmed() {
        let (high, low) = ([1.0, 2.0, 5.0, 4.0, 4.0], [1.0, 2.0, 3.0, 0.5, 1.0]);
        let got = all("fractal", &[1.0, 1.0], &[&high, &low]);
        assert!(got[0][1].is_nan());
        assert_eq!(got[0][2..], [0.0, 100.0, 0.0]);
        assert_eq!(got[1][2..], [0.0, 0.0, 100.0]);
    }
}
