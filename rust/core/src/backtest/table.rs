//! Shared parts of the tables of rules and metrics: what a field can hold, and its bounds.

use crate::{Error, Result};

/// A value as it crosses the boundary: from Python, a configuration file or a grid axis.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Switched off.
    None,
    /// A flag.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A choice.
    Text(String),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bool(v) => f.write_str(if *v { "True" } else { "False" }),
            Self::Int(v) => write!(f, "{v}"),
            Self::Float(v) => write!(f, "{v:?}"),
            Self::Text(v) => write!(f, "{v:?}"),
        }
    }
}

/// What numbers a field accepts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Any finite number.
    Finite,
    /// Above zero.
    Positive,
    /// Zero or above.
    NonNegative,
    /// Above zero, at most one.
    Fraction,
    /// From zero to one.
    Unit,
    /// Whole numbers from this one on.
    AtLeast(i64),
    /// Not a number (flags, choices).
    Any,
}

impl Bound {
    /// Whether `x` lies within.
    pub fn accepts(self, x: f64) -> bool {
        x.is_finite()
            && match self {
                Self::Finite | Self::Any => true,
                Self::Positive => x > 0.0,
                Self::NonNegative => x >= 0.0,
                Self::Fraction => x > 0.0 && x <= 1.0,
                Self::Unit => (0.0..=1.0).contains(&x),
                Self::AtLeast(low) => x >= low as f64,
            }
    }

    /// The bound in words.
    pub fn text(self) -> String {
        match self {
            Self::Finite => "finite".to_owned(),
            Self::Positive => "> 0".to_owned(),
            Self::NonNegative => ">= 0".to_owned(),
            Self::Fraction => "in (0, 1]".to_owned(),
            Self::Unit => "in [0, 1]".to_owned(),
            Self::AtLeast(low) => format!("a whole number >= {low}"),
            Self::Any => String::new(),
        }
    }
}

/// One row of the table of rules.
#[derive(Clone, Debug)]
pub struct Field {
    /// Name in Python, grids, configuration files and records.
    pub name: &'static str,
    /// Python type, such as `float | None`.
    pub python_type: String,
    /// Bound in words, empty for flags and choices.
    pub bound: String,
    /// Choices, empty for numbers and flags.
    pub choices: &'static [&'static str],
    /// Default value.
    pub default: Value,
    /// One sentence or two.
    pub doc: &'static str,
}

/// A type that a field of the rules can have.
pub trait FieldType: Sized {
    /// Choices of an enumeration.
    const CHOICES: &'static [&'static str] = &[];
    /// The type as Python writes it.
    fn python_type() -> String;
    /// Reads a value within its bound.
    fn read(name: &str, value: &Value, bound: Bound) -> Result<Self>;
    /// Writes the value.
    fn write(&self) -> Value;
}

fn refuse<T>(name: &str, value: &Value, bound: impl Into<String>) -> Result<T> {
    Err(Error::parameter(name, value, bound))
}

impl FieldType for f64 {
    fn python_type() -> String {
        "float".to_owned()
    }

    fn read(name: &str, value: &Value, bound: Bound) -> Result<Self> {
        let x = match value {
            Value::Float(x) => *x,
            Value::Int(x) => *x as f64,
            _ if bound == Bound::Finite => return refuse(name, value, "a finite number"),
            _ => return refuse(name, value, format!("a number {}", bound.text())),
        };
        if bound.accepts(x) { Ok(x) } else { refuse(name, value, bound.text()) }
    }

    fn write(&self) -> Value {
        Value::Float(*self)
    }
}

impl FieldType for u32 {
    fn python_type() -> String {
        "int".to_owned()
    }

    fn read(name: &str, value: &Value, bound: Bound) -> Result<Self> {
        let x = match value {
            Value::Int(x) => Some(*x),
            // A grid axis may arrive as floats; only whole ones pass.
            #[allow(clippy::cast_possible_truncation)]
            Value::Float(x) if x.fract() == 0.0 && x.abs() < 1e9 => Some(*x as i64),
            _ => None,
        };
        match x.and_then(|x| u32::try_from(x).ok()) {
            Some(x) if bound.accepts(f64::from(x)) => Ok(x),
            // Beyond what a counter of bars holds, the lower bound alone would mislead.
            None if matches!(value, Value::Int(x) if *x > 0) => {
                refuse(name, value, format!("{} and at most {}", bound.text(), u32::MAX))
            }
            _ => refuse(name, value, bound.text()),
        }
    }

    fn write(&self) -> Value {
        Value::Int(i64::from(*self))
    }
}

impl FieldType for bool {
    fn python_type() -> String {
        "bool".to_owned()
    }

    fn read(name: &str, value: &Value, _: Bound) -> Result<Self> {
        match value {
            Value::Bool(x) => Ok(*x),
            _ => refuse(name, value, "True or False"),
        }
    }

    fn write(&self) -> Value {
        Value::Bool(*self)
    }
}

impl<T: FieldType> FieldType for Option<T> {
    const CHOICES: &'static [&'static str] = T::CHOICES;

    fn python_type() -> String {
        format!("{} | None", T::python_type())
    }

    fn read(name: &str, value: &Value, bound: Bound) -> Result<Self> {
        match value {
            Value::None => Ok(None),
            _ => T::read(name, value, bound).map(Some),
        }
    }

    fn write(&self) -> Value {
        self.as_ref().map_or(Value::None, T::write)
    }
}

/// Declares an enumeration whose variants have names in the rules.
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $variant),+ }

        impl $crate::backtest::table::FieldType for $name {
            const CHOICES: &'static [&'static str] = &[$($text),+];

            fn python_type() -> String {
                format!("Literal[{}]", [$(concat!("\"", $text, "\"")),+].join(", "))
            }

            fn read(
                name: &str,
                value: &$crate::backtest::table::Value,
                _: $crate::backtest::table::Bound,
            ) -> $crate::Result<Self> {
                match value {
                    $($crate::backtest::table::Value::Text(text) if text == $text => Ok(Self::$variant),)+
                    _ => Err($crate::Error::parameter(
                        name,
                        value,
                        format!("one of {}", Self::CHOICES.join(", ")),
                    )),
                }
            }

            fn write(&self) -> $crate::backtest::table::Value {
                $crate::backtest::table::Value::Text(
                    match self { $(Self::$variant => $text),+ }.to_owned(),
                )
            }
        }
    };
}
pub(crate) use choice;
