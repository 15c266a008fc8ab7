//! Rules: everything that turns signals into trades. One table defines the fields; the Python class, its stub, the
//! command line's help, the docs and the error messages derive from it.

use crate::backtest::table::{Bound, Field, FieldType, Value, choice};
use crate::instrument::Instrument;
use crate::signals::{SignalKind, Signals};
use crate::{Error, Result};

choice! {
    /// What a stop or target distance is measured in.
    DistanceKind {
        /// Fraction of the entry price.
        Price = "price",
        /// Fraction of the equity risked by the position.
        Equity = "equity",
        /// Multiple of the average true range at the signal bar.
        Atr = "atr",
        /// Multiple of the signal array's value at the signal bar.
        Signal = "signal",
    }
}

choice! {
    /// How a target is worked.
    TargetOrder {
        /// Resting order: must be traded through, pays the maker fee.
        Limit = "limit",
        /// Market order when touched: pays slippage and the taker fee.
        Market = "market",
    }
}

choice! {
    /// How a position is entered.
    Entry {
        /// Market order at the next fill.
        Market = "market",
        /// Resting order at an offset from the signal bar's close.
        Limit = "limit",
    }
}

choice! {
    /// Where decisions made at a close are filled.
    Fill {
        /// At the next bar's open.
        NextOpen = "next_open",
        /// At the same close: optimistic, flagged.
        Close = "close",
    }
}

choice! {
    /// Who wins when stop and target both lie inside a bar.
    Intrabar {
        /// The stop.
        Pessimistic = "pessimistic",
        /// The target.
        Optimistic = "optimistic",
        /// Whichever is nearer to the open; the stop if equal.
        NearestOpen = "nearest_open",
    }
}

choice! {
    /// How much of the equity a trade uses.
    Sizing {
        /// `fraction` of the equity.
        Fraction = "fraction",
        /// `fraction` of the equity, the position's notional capped.
        Notional = "notional",
        /// Between `size_min` and `fraction`, by how far the probability exceeds its threshold.
        Confidence = "confidence",
        /// So that the stop loses `risk` of the equity.
        Risk = "risk",
        /// So that the position's volatility is `vol_target` a year.
        Volatility = "volatility",
        /// `fraction` times the signal array `size`.
        Signal = "signal",
    }
}

macro_rules! rules {
    ($($name:ident: $type:ty = $default:expr, $bound:expr, $doc:literal;)+) => {
        /// One combination of rules; fields as in EXECUTION.md, section 1.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Rules { $(#[doc = $doc] pub $name: $type),+ }

        impl Default for Rules {
            fn default() -> Self {
                Self { $($name: $default),+ }
            }
        }

        impl Rules {
            /// Names of the fields, in order.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),+];

            /// The table of the fields.
            pub fn fields() -> Vec<Field> {
                vec![$(Field {
                    name: stringify!($name),
                    python_type: <$type>::python_type(),
                    bound: Bound::text($bound),
                    choices: <$type as FieldType>::CHOICES,
                    default: { let default: $type = $default; default.write() },
                    doc: $doc,
                }),+]
            }

            /// Sets one field by name, checking its bound.
            pub fn set(&mut self, name: &str, value: &Value) -> Result<()> {
                match name {
                    $(stringify!($name) => self.$name = FieldType::read(name, value, $bound)?,)+
                    _ => return Err(Error::unknown("rule", name, Self::NAMES)),
                }
                Ok(())
            }

            /// Every field by name, in order.
            pub fn values(&self) -> Vec<(&'static str, Value)> {
                vec![$((stringify!($name), self.$name.write())),+]
            }
        }
    };
}

rules! {
    entry_long: Option<f64> = None, Bound::Finite,
        "Enter long where the signal `long` is at or above this threshold; None never does.";
    entry_short: Option<f64> = None, Bound::Finite,
        "Enter short where the signal `short` is at or above this threshold; None never does.";
    exit_long: Option<f64> = None, Bound::Finite,
        "Leave a long position where the signal `exit_long` is at or above this threshold.";
    exit_short: Option<f64> = None, Bound::Finite,
        "Leave a short position where the signal `exit_short` is at or above this threshold.";
    short_gate: Option<f64> = None, Bound::Finite,
        "Short only where `short` exceeds `long` by at least this much; a short that passes wins over a long.";
    reverse: bool = false, Bound::Any,
        "Leave and enter the other side at once when the entry decision would choose the other side.";
    stop_loss: Option<f64> = None, Bound::Positive,
        "Stop distance in the unit of `stop_loss_kind`.";
    stop_loss_kind: DistanceKind = DistanceKind::Price, Bound::Any,
        "Unit of `stop_loss`: fraction of the price, fraction of the equity, multiple of the ATR, multiple of the signal `stop`.";
    take_profit: Option<f64> = None, Bound::Positive,
        "Target distance in the unit of `take_profit_kind`.";
    take_profit_kind: DistanceKind = DistanceKind::Price, Bound::Any,
        "Unit of `take_profit`, as for the stop; `signal` multiplies the signal `target`.";
    take_profit_order: TargetOrder = TargetOrder::Limit, Bound::Any,
        "A resting order must be traded through and pays the maker fee; a market order fires at the touch and pays slippage.";
    atr_period: u32 = 14, Bound::AtLeast(1),
        "Bars of Wilder's average true range for distances of kind `atr`.";
    trailing: Option<f64> = None, Bound::Positive,
        "Trailing stop: distance from the best price since entry, as a fraction of that price.";
    break_even: Option<f64> = None, Bound::NonNegative,
        "Gain, as a fraction of the entry price, from which the stop is moved to break-even.";
    break_even_offset: f64 = 0.0, Bound::Finite,
        "Where the break-even stop lies beyond the entry price, as a fraction; at most `break_even`.";
    max_hold: Option<u32> = None, Bound::AtLeast(1),
        "Leave after this many bars.";
    cooldown: u32 = 0, Bound::AtLeast(0),
        "Bars after an exit without a new decision.";
    entry: Entry = Entry::Market, Bound::Any,
        "Enter by market order, or by a resting order at `limit_offset`.";
    limit_offset: f64 = 0.0, Bound::NonNegative,
        "Distance of the limit entry from the signal bar's close, as a fraction, on the favourable side.";
    limit_bars: u32 = 1, Bound::AtLeast(1),
        "Bars for which a limit entry is valid.";
    fill: Fill = Fill::NextOpen, Bound::Any,
        "Fill decisions at the next open; `close` fills at the close that decided, which is optimistic and flagged.";
    intrabar: Intrabar = Intrabar::Pessimistic, Bound::Any,
        "Which of stop and target wins when both lie inside one bar.";
    leverage: f64 = 1.0, Bound::Positive,
        "Notional per margin; leverage times the maintenance rate must stay below 1.";
    sizing: Sizing = Sizing::Fraction, Bound::Any,
        "How the share of the equity put up as margin is chosen.";
    fraction: f64 = 1.0, Bound::Fraction,
        "Largest share of the equity put up as margin and entry fee.";
    size_min: f64 = 0.0, Bound::Unit,
        "Share of the equity at the threshold itself, for sizing by confidence.";
    notional: Option<f64> = None, Bound::Positive,
        "Largest notional of a position in quote, for sizing by notional.";
    risk: Option<f64> = None, Bound::Positive,
        "Share of the equity lost at the stop before costs, for sizing by risk.";
    vol_target: Option<f64> = None, Bound::Positive,
        "Volatility a year that a position should have, for sizing by volatility.";
    vol_window: u32 = 288, Bound::AtLeast(2),
        "One-bar returns over which volatility is measured, for sizing by volatility.";
}

impl Rules {
    /// Whether a stop or target of kind `atr` is set.
    pub fn needs_atr(&self) -> bool {
        self.has_distance(DistanceKind::Atr)
    }

    /// Whether positions are sized by volatility.
    pub fn needs_volatility(&self) -> bool {
        self.sizing == Sizing::Volatility
    }

    fn has_distance(&self, kind: DistanceKind) -> bool {
        (self.stop_loss.is_some() && self.stop_loss_kind == kind)
            || (self.take_profit.is_some() && self.take_profit_kind == kind)
    }

    /// Refuses rules that contradict themselves, whatever they are run on. Unused fields are no error.
    pub fn check(&self) -> Result<()> {
        let refuse = |text: &str| Err(Error::Rules(text.to_owned()));
        if self.fill == Fill::Close && self.entry == Entry::Limit {
            return refuse(
                "fill=\"close\" cannot be used with entry=\"limit\": a resting order has no close to fill at; \
                 use fill=\"next_open\"",
            );
        }
        if self.sizing == Sizing::Notional && self.has_distance(DistanceKind::Equity) {
            return refuse(
                "stops and targets of kind \"equity\" cannot be used with sizing=\"notional\": the size does not \
                 follow the equity; use kind \"price\"",
            );
        }
        let required = match self.sizing {
            Sizing::Notional => self.notional.is_none().then_some("notional"),
            Sizing::Risk => self.risk.is_none().then_some("risk"),
            Sizing::Volatility => self.vol_target.is_none().then_some("vol_target"),
            _ => None,
        };
        if let Some(name) = required {
            let Value::Text(sizing) = self.sizing.write() else { unreachable!("a choice") };
            return Err(Error::Rules(format!(
                "sizing=\"{sizing}\" needs `{name}`, which is not set: give `{name}=`"
            )));
        }
        if self.sizing == Sizing::Risk
            && (self.stop_loss.is_none() || self.stop_loss_kind == DistanceKind::Equity)
        {
            return refuse(
                "sizing=\"risk\" needs `stop_loss` of a kind other than \"equity\": without a stop distance there is \
                 no risk to size by",
            );
        }
        if let Some(trigger) = self.break_even
            && self.break_even_offset > trigger
        {
            return Err(Error::parameter(
                "break_even_offset",
                Value::Float(self.break_even_offset),
                format!("<= `break_even`, which is {trigger:?}"),
            ));
        }
        Ok(())
    }

    /// Refuses rules that these signals or this instrument cannot serve.
    pub fn check_against(&self, signals: &Signals, instrument: &Instrument) -> Result<()> {
        let thresholds = [
            ("entry_long", self.entry_long),
            ("entry_short", self.entry_short),
            ("exit_long", self.exit_long),
            ("exit_short", self.exit_short),
        ];
        for (index, (name, threshold)) in thresholds.into_iter().enumerate() {
            let Some(threshold) = threshold else { continue };
            if !signals.has(index) {
                let array = Signals::NAMES[index];
                return Err(Error::Rules(format!(
                    "threshold `{name}` is {threshold:?} but the signals have no array `{array}`: give it, or set \
                     {name}=None"
                )));
            }
            if signals.kind() == SignalKind::Probability && !(0.0..=1.0).contains(&threshold) {
                return Err(Error::parameter(
                    name,
                    Value::Float(threshold),
                    "in [0, 1], as the signals are probabilities",
                ));
            }
        }
        let arrays = [
            (
                4,
                "stop_loss_kind",
                self.stop_loss.is_some() && self.stop_loss_kind == DistanceKind::Signal,
            ),
            (
                5,
                "take_profit_kind",
                self.take_profit.is_some() && self.take_profit_kind == DistanceKind::Signal,
            ),
            (6, "sizing", self.sizing == Sizing::Signal),
        ];
        for (index, field, needed) in arrays {
            if needed && !signals.has(index) {
                let array = Signals::NAMES[index];
                return Err(Error::Rules(format!(
                    "{field}=\"signal\" needs the signal array `{array}`, which the signals do not have: give \
                     `{array}=`"
                )));
            }
        }
        if self.sizing == Sizing::Confidence && signals.kind() == SignalKind::Score {
            return Err(Error::Rules(
                "sizing=\"confidence\" needs probabilities but the signals are scores: calibrate them, or size by \
                 \"fraction\""
                    .to_owned(),
            ));
        }
        if self.leverage * instrument.maintenance >= 1.0 {
            return Err(Error::parameter(
                "leverage",
                Value::Float(self.leverage),
                format!(
                    "below {:?}, as the maintenance rate is {:?}",
                    1.0 / instrument.maintenance,
                    instrument.maintenance
                ),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(fields: &[(&str, Value)]) -> Result<Rules> {
        let mut rules = Rules::default();
        for (name, value) in fields {
            rules.set(name, value)?;
        }
        rules.check()?;
        Ok(rules)
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn every_field_is_read_and_written_back() {
        let rules = Rules::default();
        let mut copy =
            Rules { leverage: 7.0, reverse: true, max_hold: Some(3), ..Rules::default() };
        for (name, value) in rules.values() {
            copy.set(name, &value).unwrap();
        }
        assert_eq!(copy, rules);
        assert_eq!(Rules::fields().len(), Rules::NAMES.len());
    }

    #[test]
    fn bounds_name_field_value_and_bound() {
        let message = |name, value| with(&[(name, value)]).unwrap_err().to_string();
        assert_eq!(message("fraction", Value::Float(1.5)), "`fraction` must be in (0, 1], was 1.5");
        assert_eq!(message("stop_loss", Value::Int(0)), "`stop_loss` must be > 0, was 0");
        assert_eq!(
            message("max_hold", Value::Float(2.5)),
            "`max_hold` must be a whole number >= 1, was 2.5"
        );
        assert_eq!(
            message("fill", text("open")),
            "`fill` must be one of next_open, close, was \"open\""
        );
        assert_eq!(message("reverse", Value::Int(1)), "`reverse` must be True or False, was 1");
        assert_eq!(
            message("fracton", Value::Int(1)),
            "unknown rule `fracton`; did you mean `fraction`?"
        );
        assert_eq!(
            message("entry_long", Value::Float(f64::NAN)),
            "`entry_long` must be finite, was NaN"
        );
    }

    #[test]
    fn contradictions_are_refused_and_unused_fields_are_not() {
        let fails = |fields: &[(&str, Value)]| with(fields).unwrap_err().to_string();
        assert!(
            fails(&[("fill", text("close")), ("entry", text("limit"))]).contains("fill=\"close\"")
        );
        assert!(
            fails(&[("sizing", text("risk")), ("risk", Value::Float(0.01))])
                .contains("`stop_loss`")
        );
        assert!(fails(&[("sizing", text("volatility"))]).contains("`vol_target`"));
        assert!(
            fails(&[("break_even", Value::Float(0.01)), ("break_even_offset", Value::Float(0.02))])
                .contains("<= `break_even`, which is 0.01")
        );
        assert!(
            with(&[("break_even_offset", Value::Float(0.02)), ("limit_offset", Value::Float(0.1))])
                .is_ok()
        );
        assert!(
            with(&[
                ("stop_loss_kind", text("equity")),
                ("sizing", text("notional")),
                ("notional", Value::Int(5))
            ])
            .is_ok()
        );
    }
}
