//! The table of functions: one row each defines names, parameters, memory and documentation of a feature.
//!
//! Adding a row is all it takes: grammar, graph, streams, the command line, the documents and the contract tests read
//! the table.

use super::node::{Memory, Node};
use super::{
    arithmetic, average, calendar, cycles, directional, flow, momentum, operators, oscillators,
    overlap, parabolic, patterns, price, returns, rolling, statistics, talib_later, trend,
    volatility, volume,
};
use super::{
    bands, candle_shape, correlation, dependence, distribution, drawdown, fractional, funding,
    means_apart, roughness, swing_bars,
};
use super::{liquidity, pairs, range_volatility, sessions, swing, volume_lines};
use crate::{Error, Result};

/// Where an input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A column of the candles, always: `open_time` (milliseconds), `open`, `high`, `low`, `close`, `volume`, or one
    /// of the further columns.
    Column(&'static str),
    /// A feature or column given first in the call; the named column where it is left out.
    Series(&'static str),
    /// A feature or column that must be given.
    Given,
}

/// What values a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Whole numbers from the first to the second.
    Whole(u32, u32),
    /// Finite numbers.
    Real,
    /// Finite numbers above 0.
    Positive,
    /// Numbers from the first to the second.
    Within(f64, f64),
}

/// A parameter of a function.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Name, for `name=value`.
    pub name: &'static str,
    /// Values it takes.
    pub kind: Kind,
    /// Value where it is left out; None: it must be given.
    pub default: Option<f64>,
}

/// The longest window.
pub const MAX_WINDOW: u32 = 1_000_000;

impl Parameter {
    /// A window of at least `least` bars.
    pub const fn window(name: &'static str, least: u32, default: Option<f64>) -> Self {
        Self { name, kind: Kind::Whole(least, MAX_WINDOW), default }
    }

    /// The bound in words.
    pub fn bound(&self) -> String {
        match self.kind {
            Kind::Whole(low, high) => format!("a whole number from {low} to {high}"),
            Kind::Real => "a finite number".into(),
            Kind::Positive => "a finite number > 0".into(),
            Kind::Within(low, high) => format!("a number from {low} to {high}"),
        }
    }

    fn accepts(&self, value: f64) -> bool {
        match self.kind {
            Kind::Whole(low, high) => {
                value.fract() == 0.0 && value >= f64::from(low) && value <= f64::from(high)
            }
            Kind::Real => value.is_finite(),
            Kind::Positive => value.is_finite() && value > 0.0,
            Kind::Within(low, high) => value >= low && value <= high,
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy)]
pub struct Function {
    /// Name in the grammar, as in TA-Lib where it has it.
    pub name: &'static str,
    /// Other names users may look for; they are hints, not spellings.
    pub known_as: &'static [&'static str],
    /// Family, for lists.
    pub family: &'static str,
    /// Inputs in order.
    pub inputs: &'static [Input],
    /// Parameters in order.
    pub parameters: &'static [Parameter],
    /// Names of the outputs; empty where there is one.
    pub outputs: &'static [&'static str],
    /// Memory by the parameters.
    pub memory: fn(&[f64]) -> Memory,
    /// Bars before the first value, by the parameters: the index of the first finite output over inputs without NaN.
    pub warmup: fn(&[f64]) -> u64,
    /// Bars by which it looks at its first two inputs late, all in `warmup`: an input that begins later than another may
    /// hide in them.
    pub delays: fn(&[f64]) -> [u64; 2],
    /// Contradictions between parameters, in words.
    pub check: fn(&[f64]) -> Option<&'static str>,
    /// The state machine at its start.
    pub build: fn(&[f64]) -> Box<dyn Node>,
    /// One line: what it is.
    pub summary: &'static str,
    /// The formula, its seed, range, degenerate case.
    pub formula: &'static str,
    /// Where it comes from, and how it differs from TA-Lib.
    pub source: &'static str,
}

/// For rows whose parameters cannot contradict each other.
pub const fn consistent(_: &[f64]) -> Option<&'static str> {
    None
}

/// Window parameters as counts; they were checked to be whole and in range.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub fn count(value: f64) -> usize {
    value as usize
}

/// Every function, by family.
pub fn functions() -> impl Iterator<Item = &'static Function> {
    [
        returns::FUNCTIONS,
        average::FUNCTIONS,
        overlap::FUNCTIONS,
        momentum::FUNCTIONS,
        oscillators::FUNCTIONS,
        means_apart::FUNCTIONS,
        trend::FUNCTIONS,
        directional::FUNCTIONS,
        parabolic::FUNCTIONS,
        volatility::FUNCTIONS,
        volume::FUNCTIONS,
        flow::FUNCTIONS,
        price::FUNCTIONS,
        rolling::FUNCTIONS,
        statistics::FUNCTIONS,
        correlation::FUNCTIONS,
        cycles::FUNCTIONS,
        patterns::FUNCTIONS,
        calendar::FUNCTIONS,
        operators::FUNCTIONS,
        arithmetic::FUNCTIONS,
        range_volatility::FUNCTIONS,
        distribution::FUNCTIONS,
        dependence::FUNCTIONS,
        roughness::FUNCTIONS,
        drawdown::FUNCTIONS,
        candle_shape::FUNCTIONS,
        bands::FUNCTIONS,
        swing::FUNCTIONS,
        swing_bars::FUNCTIONS,
        liquidity::FUNCTIONS,
        volume_lines::FUNCTIONS,
        funding::FUNCTIONS,
        sessions::FUNCTIONS,
        pairs::FUNCTIONS,
        fractional::FUNCTIONS,
        talib_later::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
}

/// Names that TA-Lib gives to functions which were here before; in a feature they mean these.
pub const ALSO: [(&str, &str); 8] = [
    ("ao", "awesome"),
    ("cmf", "chaikin_money_flow"),
    ("efi", "force_index"),
    ("er", "efficiency_ratio"),
    ("eri", "elder_ray"),
    ("ha", "heikin_ashi"),
    ("massi", "mass_index"),
    ("pvt", "price_volume_trend"),
];

/// Columns of candles that a feature may name.
pub const COLUMNS: [&str; 6] = ["open_time", "open", "high", "low", "close", "volume"];

/// Column of the times at which bars close, which functions alone may name.
pub const CLOSE_TIME: &str = "close_time";

impl Function {
    /// Number of outputs.
    pub fn width(&self) -> usize {
        self.outputs.len().max(1)
    }

    /// The call as it may be written, with defaults.
    pub fn signature(&self) -> String {
        let mut parts: Vec<String> = vec![];
        for input in self.inputs {
            match input {
                Input::Column(_) => {}
                Input::Series(default) => parts.push(format!("x={default}")),
                Input::Given => parts.push(if parts.is_empty() { "x" } else { "y" }.into()),
            }
        }
        for parameter in self.parameters {
            parts.push(match parameter.default {
                Some(value) => format!("{}={value}", parameter.name),
                None => parameter.name.into(),
            });
        }
        format!("{}({})", self.name, parts.join(", "))
    }

    /// Looks a function up; `text` is the feature it stands in.
    pub fn find(name: &str, text: &str) -> Result<&'static Self> {
        let meant = ALSO.iter().find(|(also, _)| *also == name).map_or(name, |(_, name)| name);
        if let Some(found) = functions().find(|f| f.name == meant) {
            return Ok(found);
        }
        if let Some(found) = functions().find(|f| f.known_as.contains(&name)) {
            return Err(Error::Feature(format!(
                "unknown function `{name}` in feature `{text}`; it is called `{}` here",
                found.name
            )));
        }
        let names: Vec<&str> = functions().map(|f| f.name).collect();
        Err(Error::Feature(format!(
            "{} in feature `{text}`",
            Error::unknown("function", name, &names)
        )))
    }

    /// Checks parameters one by one and together, filling in defaults.
    pub fn complete(&self, given: &[Option<f64>], text: &str) -> Result<Vec<f64>> {
        let mut values = Vec::with_capacity(self.parameters.len());
        for (parameter, value) in self.parameters.iter().zip(given) {
            let value = value.or(parameter.default).ok_or_else(|| {
                Error::Feature(format!(
                    "`{}` of {} is missing in feature `{text}`: write {}",
                    parameter.name,
                    self.name,
                    self.signature()
                ))
            })?;
            if !parameter.accepts(value) {
                return Err(Error::Feature(format!(
                    "`{}` of {} must be {}, was {value} in feature `{text}`",
                    parameter.name,
                    self.name,
                    parameter.bound()
                )));
            }
            values.push(value);
        }
        if let Some(contradiction) = (self.check)(&values) {
            return Err(Error::Feature(format!("{contradiction} in feature `{text}`")));
        }
        Ok(values)
    }
}
