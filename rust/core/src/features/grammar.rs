//! Text to expressions and back.
//!
//! ```text
//! feature  := primary [ "." output ] [ "@" clock ]
//! primary  := name "(" [ argument { "," argument } ] ")" | column | own | "column" "(" name ")"
//! argument := feature | number | parameter "=" number
//! clock    := interval | symbol [ "/" interval ]
//! interval := digits unit             unit: ms s m h d w
//! symbol   := letters, digits, "_", "-", or any text in double quotes
//! ```
//!
//! Features among the arguments come first, in the order of the inputs. The canonical form writes every parameter,
//! leaves a default input out, and one space after each comma; equal features have equal canonical forms.

use super::registry::{CLOSE_TIME, COLUMNS, Function, Input};
use crate::{Error, Result};

/// Deepest nesting, far beyond use: the stack must not overflow on a hostile text.
const MAX_DEPTH: usize = 64;
/// Longest text.
const MAX_LENGTH: usize = 4096;
/// Longest interval, a century: counts of bars in it stay far from the end of the integers.
const MAX_INTERVAL_MS: i64 = 36_525 * 86_400_000;

/// A feature, read.
#[derive(Clone)]
pub enum Expr {
    /// A column of the candles.
    Column(String),
    /// A feature of the user's own, by name.
    Own(String),
    /// A function of the table.
    Call {
        /// Its row.
        function: &'static Function,
        /// One expression for each input that is not a fixed column.
        inputs: Vec<Expr>,
        /// Every parameter.
        parameters: Vec<f64>,
        /// Which output.
        output: usize,
    },
    /// The same on another clock.
    At {
        /// What is computed there.
        inner: Box<Expr>,
        /// Another symbol.
        symbol: Option<String>,
        /// A longer interval, milliseconds.
        interval_ms: Option<i64>,
    },
}

/// Units of intervals, longest first.
const UNITS: [(&str, i64); 6] = [
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Writes an interval in its largest whole unit.
pub fn interval_text(ms: i64) -> String {
    let (unit, length) = UNITS.into_iter().find(|(_, l)| ms % l == 0).unwrap_or(("ms", 1));
    format!("{}{unit}", ms / length)
}

fn read_interval(text: &str) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, length) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    let ms = number.parse::<i64>().ok()?.checked_mul(length)?;
    (ms > 0 && ms <= MAX_INTERVAL_MS).then_some(ms)
}

/// Whether a text would be an interval, if its unit or size were one that is known.
fn looks_like_interval(text: &str) -> bool {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit()).to_ascii_lowercase();
    let unit = if unit.len() > 2 { unit.trim_end_matches('s') } else { &unit };
    text.len() > unit.len()
        && text.starts_with(|c: char| c.is_ascii_digit())
        && matches!(
            unit,
            "" | "ms"
                | "s"
                | "sec"
                | "second"
                | "m"
                | "min"
                | "minute"
                | "h"
                | "hr"
                | "hour"
                | "d"
                | "day"
                | "w"
                | "week"
        )
}

fn is_bare(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        && !looks_like_interval(text)
}

fn is_name(text: &str) -> bool {
    text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl Expr {
    /// Whether all of it lives on the candles' own bars.
    pub(super) fn on_one_clock(&self) -> bool {
        match self {
            Self::Column(_) | Self::Own(_) => true,
            Self::Call { inputs, .. } => inputs.iter().all(Self::on_one_clock),
            Self::At { .. } => false,
        }
    }

    /// The canonical form.
    pub fn text(&self) -> String {
        match self {
            Self::Column(name) if COLUMNS.contains(&name.as_str()) => name.clone(),
            Self::Column(name) if is_name(name) => format!("column({name})"),
            Self::Column(name) => format!("column(\"{name}\")"),
            Self::Own(name) => name.clone(),
            Self::Call { function, inputs, parameters, output } => {
                let given = function.inputs.iter().filter(|i| !matches!(i, Input::Column(_)));
                let mut parts: Vec<String> = given
                    .zip(inputs)
                    .filter(|(input, expr)| match (input, expr) {
                        (Input::Series(default), Self::Column(name)) => default != name,
                        _ => true,
                    })
                    .map(|(_, expr)| expr.text())
                    .collect();
                parts.extend(parameters.iter().map(f64::to_string));
                let call = format!("{}({})", function.name, parts.join(", "));
                match function.outputs.get(*output) {
                    Some(name) => format!("{call}.{name}"),
                    None => call,
                }
            }
            Self::At { inner, symbol, interval_ms } => {
                let symbol = symbol
                    .as_ref()
                    .map(|s| if is_bare(s) { s.clone() } else { format!("\"{s}\"") });
                let clock: Vec<String> =
                    symbol.into_iter().chain(interval_ms.map(interval_text)).collect();
                format!("{}@{}", inner.text(), clock.join("/"))
            }
        }
    }
}

impl Expr {
    /// The symbol that the whole feature is of, where it names one.
    pub fn symbol(&self) -> Option<&str> {
        match self {
            Self::At { symbol, .. } => symbol.as_deref(),
            _ => None,
        }
    }

    /// The same feature of another symbol: `rsi(14)@BTCUSDT`, `rsi(14)@BTCUSDT/1h`.
    pub fn on(&self, symbol: &str) -> Result<Self> {
        if symbol.is_empty() || symbol.contains('"') {
            return Err(Error::Feature(format!(
                "symbol `{symbol}` cannot be written in a feature: give text without quotation marks"
            )));
        }
        let of = |inner: &Self, interval_ms| Self::At {
            inner: Box::new(inner.clone()),
            symbol: Some(symbol.to_owned()),
            interval_ms,
        };
        match self {
            Self::At { symbol: Some(other), .. } => Err(Error::Feature(format!(
                "feature `{}` is of {other} already: leave it out of the set that is put on {symbol}",
                self.text()
            ))),
            Self::At { inner, symbol: None, interval_ms } => Ok(of(inner, *interval_ms)),
            _ => Ok(of(self, None)),
        }
    }
}

/// Reads a feature; one expression for each output where none is chosen.
///
/// `own` are the names of the user's own features.
pub fn parse(text: &str, own: &[String]) -> Result<Vec<Expr>> {
    if text.len() > MAX_LENGTH {
        return Err(Error::Feature(format!(
            "feature of {} characters is longer than the {MAX_LENGTH} that are read: name its parts",
            text.len()
        )));
    }
    let mut parser = Parser { text, at: 0, own, depth: 0 };
    let found = parser.feature(true)?;
    parser.spaces();
    if parser.at < text.len() {
        return Err(parser.unexpected("the end"));
    }
    Ok(found)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    own: &'a [String],
    depth: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn spaces(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn take(&mut self, sign: char) -> bool {
        self.spaces();
        let there = self.rest().starts_with(sign);
        if there {
            self.at += sign.len_utf8();
        }
        there
    }

    fn while_of(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !accept(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn name(&mut self) -> &'a str {
        self.spaces();
        if self.rest().starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            self.while_of(|c| c.is_ascii_alphanumeric() || c == '_')
        } else {
            ""
        }
    }

    fn error(&self, message: impl std::fmt::Display) -> Error {
        Error::Feature(format!("{message} in feature `{}`", self.text))
    }

    fn unexpected(&self, wanted: &str) -> Error {
        match self.rest().chars().next() {
            Some(c) => self.error(format_args!(
                "expected {wanted}, found `{c}` at character {}",
                self.text[..self.at].chars().count() + 1
            )),
            None => self.error(format_args!("expected {wanted}, found the end")),
        }
    }

    fn quoted(&mut self) -> Result<Option<String>> {
        if !self.take('"') {
            return Ok(None);
        }
        let text = self.while_of(|c| c != '"').to_owned();
        if !self.take('"') || text.is_empty() {
            return Err(self.unexpected("a name and a closing `\"`"));
        }
        Ok(Some(text))
    }

    /// One feature; several only at the top, where no output was chosen.
    fn feature(&mut self, top: bool) -> Result<Vec<Expr>> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(format_args!("nesting deeper than {MAX_DEPTH}")));
        }
        let name = self.name();
        if name.is_empty() {
            return Err(self.unexpected("a name"));
        }
        let found = if self.take('(') {
            if self.own.iter().any(|own| own == name) {
                return Err(self.error(format_args!(
                    "`{name}` is a feature of your own and takes no arguments: write {name} alone,"
                )));
            }
            if name == "column" { vec![self.column()?] } else { self.call(name, top)? }
        } else if self.own.iter().any(|own| own == name) {
            vec![Expr::Own(name.to_owned())]
        } else if COLUMNS[1..].contains(&name) {
            vec![Expr::Column(name.to_owned())]
        } else {
            return Err(self.unknown(name));
        };
        let found = if self.take('@') { self.clock(found)? } else { found };
        self.depth -= 1;
        Ok(found)
    }

    fn unknown(&self, name: &str) -> Error {
        if let Some(function) = super::registry::functions().find(|f| f.name == name) {
            return self
                .error(format_args!("`{name}` is a function: write {}", function.signature()));
        }
        let functions = super::registry::functions().map(|f| f.name);
        let known: Vec<&str> = COLUMNS[1..]
            .iter()
            .copied()
            .chain(self.own.iter().map(String::as_str))
            .chain(functions)
            .collect();
        self.error(Error::unknown("name", name, &known))
    }

    fn column(&mut self) -> Result<Expr> {
        let name = match self.quoted()? {
            Some(name) => name,
            None => self.name().to_owned(),
        };
        if name.is_empty() {
            return Err(self.unexpected("the name of a column"));
        }
        if name == COLUMNS[0] || name == CLOSE_TIME {
            return Err(self.error(format_args!(
                "`{name}` is the clock, not a feature: use time_of_day() or time_of_week()",
            )));
        }
        if !self.take(')') {
            return Err(self.unexpected("`)`"));
        }
        Ok(Expr::Column(name))
    }

    fn number(&mut self) -> Option<Result<f64>> {
        self.spaces();
        let first = self.rest().chars().next()?;
        if !(first.is_ascii_digit() || matches!(first, '-' | '+' | '.')) {
            return None;
        }
        let start = self.at;
        self.at += 1;
        let mut before = first;
        while let Some(c) = self.rest().chars().next() {
            let sign_of_exponent = matches!(c, '-' | '+') && matches!(before, 'e' | 'E');
            if !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_') || sign_of_exponent) {
                break;
            }
            self.at += c.len_utf8();
            before = c;
        }
        let text = &self.text[start..self.at];
        // A zero has no sign: equal features must have one form.
        let value = text.parse().map(|value: f64| if value == 0.0 { 0.0 } else { value });
        Some(value.map_err(|_| self.error(format_args!("`{text}` is not a number"))))
    }

    fn call(&mut self, name: &str, top: bool) -> Result<Vec<Expr>> {
        let function = Function::find(name, self.text)?;
        let mut inputs: Vec<Expr> = vec![];
        let mut parameters: Vec<Option<f64>> = vec![None; function.parameters.len()];
        let (mut position, mut named) = (0, false);
        if !self.take(')') {
            loop {
                if let Some(value) = self.number() {
                    let value = value?;
                    if named {
                        return Err(self.error(format_args!(
                            "`{value}` follows a named parameter of {name}: name it too"
                        )));
                    }
                    let Some(slot) = parameters.get_mut(position) else {
                        return Err(self.arity(function));
                    };
                    *slot = Some(value);
                    position += 1;
                } else if let Some((index, value)) = self.named(function)? {
                    if parameters[index].replace(value).is_some() {
                        return Err(self.error(format_args!(
                            "`{}` of {name} is given twice",
                            function.parameters[index].name
                        )));
                    }
                    named = true;
                } else {
                    if position > 0 || named {
                        return Err(self.error(format_args!(
                            "features come before parameters: write {}",
                            function.signature()
                        )));
                    }
                    inputs.append(&mut self.feature(false)?);
                }
                if self.take(')') {
                    break;
                }
                if !self.take(',') {
                    return Err(self.unexpected("`,` or `)`"));
                }
            }
        }
        let inputs = self.complete_inputs(function, inputs)?;
        let parameters = function.complete(&parameters, self.text)?;
        let one = |output| Expr::Call {
            function,
            inputs: inputs.clone(),
            parameters: parameters.clone(),
            output,
        };
        if self.take('.') {
            let chosen = self.name();
            return match function.outputs.iter().position(|o| *o == chosen) {
                Some(output) => Ok(vec![one(output)]),
                None if function.outputs.is_empty() => {
                    Err(self.error(format_args!("{name} has one output: leave `.{chosen}` out")))
                }
                None => Err(self.error(Error::unknown("output", chosen, function.outputs))),
            };
        }
        if function.outputs.is_empty() || top {
            return Ok((0..function.width()).map(one).collect());
        }
        Err(self.error(format_args!(
            "{name} has the outputs {}: choose one, such as {name}(...).{}",
            function.outputs.join(", "),
            function.outputs[0]
        )))
    }

    fn arity(&self, function: &Function) -> Error {
        self.error(format_args!("too many arguments: write {}", function.signature()))
    }

    /// `name=number`, if that is what comes.
    fn named(&mut self, function: &Function) -> Result<Option<(usize, f64)>> {
        let start = self.at;
        let name = self.name();
        if name.is_empty() || !self.take('=') {
            self.at = start;
            return Ok(None);
        }
        let known: Vec<&str> = function.parameters.iter().map(|p| p.name).collect();
        let Some(index) = known.iter().position(|k| *k == name) else {
            if known.is_empty() {
                return Err(self.arity(function));
            }
            return Err(self.error(Error::unknown("parameter", name, &known)));
        };
        match self.number() {
            Some(value) => Ok(Some((index, value?))),
            None => Err(self.unexpected("a number")),
        }
    }

    fn complete_inputs(&self, function: &Function, given: Vec<Expr>) -> Result<Vec<Expr>> {
        let wanted: Vec<Input> =
            function.inputs.iter().copied().filter(|i| !matches!(i, Input::Column(_))).collect();
        if given.len() > wanted.len() {
            return Err(self.arity(function));
        }
        let mut given = given.into_iter();
        wanted
            .into_iter()
            .map(|input| match (given.next(), input) {
                (Some(expr), _) => Ok(expr),
                (None, Input::Series(default)) => Ok(Expr::Column(default.to_owned())),
                (None, _) => Err(self.error(format_args!(
                    "{} needs a feature: write {}",
                    function.name,
                    function.signature()
                ))),
            })
            .collect()
    }

    fn no_interval(&self, text: &str) -> Error {
        self.error(format_args!(
            "`{text}` is no interval: write a number and a unit of ms, s, m, h, d, w, such as 1h"
        ))
    }

    fn clock(&mut self, found: Vec<Expr>) -> Result<Vec<Expr>> {
        let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let quoted = self.quoted()?;
        let plain = quoted.is_none();
        let first = match quoted {
            Some(text) => text,
            None => self.while_of(bare).to_owned(),
        };
        if first.is_empty() {
            return Err(self.unexpected("an interval or a symbol after `@`"));
        }
        let (symbol, mut interval_ms) = match read_interval(&first) {
            Some(ms) if plain => (None, Some(ms)),
            None if plain && looks_like_interval(&first) => return Err(self.no_interval(&first)),
            _ => (Some(first), None),
        };
        if symbol.is_some() && self.take('/') {
            let text = self.while_of(bare);
            interval_ms = read_interval(text);
            if interval_ms.is_none() {
                return Err(self.no_interval(text));
            }
        }
        if self.take('@') {
            return Err(self.error("two clocks on one feature: nest it in a function, or keep one"));
        }
        Ok(found
            .into_iter()
            .map(|inner| Expr::At { inner: Box::new(inner), symbol: symbol.clone(), interval_ms })
            .collect())
    }
}

#[cfg(test)]
mod tests;
