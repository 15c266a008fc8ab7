//! The one error type of the core.
//!
//! Each variant carries the facts (name, value, bound, row); its message ends with a remedy where one exists.
//! `rust/py/src/error.rs` alone turns variants into Python classes.

/// What the core refuses, and why.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A number, choice or flag outside its bounds.
    #[error("`{name}` must be {bound}, was {value}")]
    Parameter {
        /// Argument as the caller wrote it.
        name: String,
        /// Value as the caller wrote it.
        value: String,
        /// What would have been accepted.
        bound: String,
    },
    /// A field, column or choice that does not exist.
    #[error("unknown {what} `{name}`{hint}")]
    Unknown {
        /// Kind of thing that was looked up.
        what: &'static str,
        /// Name as the caller wrote it.
        name: String,
        /// Nearest names, with the leading "; did you mean", or empty.
        hint: String,
    },
    /// Rules that EXECUTION.md refuses.
    #[error("{0}")]
    Rules(String),
    /// Arrays that belong together differ in length.
    #[error("`{name}` has {len} values but {other} has {other_len}: give one value a bar")]
    Length {
        /// The offending array.
        name: String,
        /// Its length.
        len: usize,
        /// What it is held against.
        other: &'static str,
        /// The length it should have.
        other_len: usize,
    },
    /// A bar that no engine can run on.
    #[error("`{column}` of bar {row} is {value}, must be {bound}")]
    Bar {
        /// Column of the candle table.
        column: String,
        /// Row, counted from 0.
        row: usize,
        /// Offending value.
        value: String,
        /// What would have been accepted.
        bound: &'static str,
    },
    /// A signal value that no signal can have.
    #[error("signal `{name}` is {value} at bar {row}, must be {bound}{hint}")]
    Signal {
        /// Signal array.
        name: &'static str,
        /// Row, counted from 0.
        row: usize,
        /// Offending value.
        value: f64,
        /// What would have been accepted.
        bound: &'static str,
        /// Remedy, with its leading "; ", or empty.
        hint: &'static str,
    },
    /// A perpetual without funding.
    #[error(
        "candles of a perpetual carry no funding: attach it with `funding=` where they are read, \
         or say funding=\"none\" to run without"
    )]
    FundingMissing,
    /// A window without bars or outside the candles.
    #[error("{0}")]
    Window(String),
    /// A feature that cannot be read, or that these candles cannot give.
    #[error("{0}")]
    Feature(String),
}

/// Result of everything fallible in the core.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// [`Error::Parameter`] from anything printable.
    pub fn parameter(
        name: impl Into<String>,
        value: impl std::fmt::Display,
        bound: impl Into<String>,
    ) -> Self {
        Self::Parameter { name: name.into(), value: value.to_string(), bound: bound.into() }
    }

    /// [`Error::Unknown`] with the nearest of the known names as a hint.
    pub fn unknown(what: &'static str, name: &str, known: &[&str]) -> Self {
        let mut ranked: Vec<(usize, &str)> =
            known.iter().map(|k| (edit_distance(name, k), *k)).collect();
        ranked.sort_unstable();
        // Where one letter makes a name, those further off are no help.
        let slip = ranked.first().is_some_and(|(d, _)| *d <= 1);
        let near: Vec<String> = ranked
            .iter()
            .take_while(|(d, k)| *d <= if slip { 1 } else { (k.len().max(name.len()) / 3).max(2) })
            .take(3)
            .map(|(_, k)| format!("`{k}`"))
            .collect();
        let hint = if near.is_empty() {
            format!("; known: {}", known.join(", "))
        } else {
            format!("; did you mean {}?", near.join(", "))
        };
        Self::Unknown { what, name: name.to_owned(), hint }
    }
}

/// Levenshtein distance, for naming the nearest of a few dozen names.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The message of every variant; the exhaustive match makes a new variant fail to compile without its line.
    #[test]
    fn every_variant_has_a_message_that_names_facts_and_remedy() {
        let all = [
            Error::parameter("leverage", 0.5, ">= 1"),
            Error::unknown("rule", "entry_lnog", &["entry_long", "entry_short", "fill"]),
            Error::Rules("`risk` is required by sizing=\"risk\"".into()),
            Error::Length { name: "long".into(), len: 3, other: "the candles", other_len: 5 },
            Error::Bar { column: "close".into(), row: 7, value: "NaN".into(), bound: "finite" },
            Error::Signal { name: "long", row: 2, value: 1.5, bound: "in [0, 1]", hint: "" },
            Error::FundingMissing,
            Error::Window("window 5..5 holds no bars".into()),
            Error::Feature("feature `rsi(` ends too early".into()),
        ];
        for error in &all {
            let want = match error {
                Error::Parameter { .. } => "`leverage` must be >= 1, was 0.5",
                Error::Unknown { .. } => "unknown rule `entry_lnog`; did you mean `entry_long`?",
                Error::Rules(_) => "`risk` is required by sizing=\"risk\"",
                Error::Length { .. } => {
                    "`long` has 3 values but the candles has 5: give one value a bar"
                }
                Error::Bar { .. } => "`close` of bar 7 is NaN, must be finite",
                Error::Signal { .. } => "signal `long` is 1.5 at bar 2, must be in [0, 1]",
                Error::FundingMissing => {
                    "candles of a perpetual carry no funding: attach it with `funding=` where \
                     they are read, or say funding=\"none\" to run without"
                }
                Error::Window(_) => "window 5..5 holds no bars",
                Error::Feature(_) => "feature `rsi(` ends too early",
            };
            assert_eq!(error.to_string(), want);
        }
    }

    #[test]
    fn unknown_names_list_all_when_nothing_is_near() {
        let error = Error::unknown("metric", "zzzzzzzz", &["sharpe", "trades"]);
        assert_eq!(error.to_string(), "unknown metric `zzzzzzzz`; known: sharpe, trades");
    }
}
