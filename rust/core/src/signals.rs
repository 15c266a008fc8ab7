//! Model outputs aligned to bars, validated and digested once.

use std::sync::{Arc, OnceLock};

use crate::digest::Digest;
use crate::market::{Peaks, Series};
use crate::simd::Simd;
use crate::{Error, Result};

/// What the values of the four decision arrays mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalKind {
    /// Probabilities in [0, 1].
    Probability,
    /// Any finite numbers, such as a forecast return.
    Score,
}

impl SignalKind {
    /// Reads the kind from its name.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "probability" => Ok(Self::Probability),
            "score" => Ok(Self::Score),
            _ => Err(Error::unknown("signal kind", name, &["probability", "score"])),
        }
    }

    /// Name of the kind.
    pub fn name(self) -> &'static str {
        match self {
            Self::Probability => "probability",
            Self::Score => "score",
        }
    }
}

/// One value a bar, with its index for searches, which is made when it is first needed.
#[derive(Debug)]
struct Every {
    values: Vec<f64>,
    peaks: OnceLock<Peaks>,
}

impl Every {
    fn peaks(&self) -> &Peaks {
        self.peaks.get_or_init(|| Peaks::new(&self.values, false))
    }
}

/// Values at a few bars, in their order; all others have none.
#[derive(Debug)]
pub struct Few {
    bars: Vec<usize>,
    values: Vec<f64>,
    /// One value a bar, for those who ask for it.
    every: OnceLock<Vec<f64>>,
}

impl Few {
    /// Checks that bars increase and lie below `len`.
    pub fn new(bars: Vec<usize>, values: Vec<f64>, len: usize) -> Result<Self> {
        if bars.len() != values.len() {
            return Err(Error::Length {
                name: "values".to_owned(),
                len: values.len(),
                other: "the bars",
                other_len: bars.len(),
            });
        }
        if let Some(at) = (1..bars.len()).find(|&i| bars[i] <= bars[i - 1]) {
            return Err(Error::parameter("bars", bars[at], format!("above {}", bars[at - 1])));
        }
        match bars.last() {
            Some(&last) if last >= len => {
                Err(Error::parameter("bars", last, format!("below {len}")))
            }
            _ => Ok(Self { bars, values, every: OnceLock::new() }),
        }
    }

    fn at(&self, bar: usize) -> f64 {
        self.bars.binary_search(&bar).map_or(f64::NAN, |place| self.values[place])
    }

    fn every(&self, len: usize) -> &[f64] {
        self.every.get_or_init(|| {
            let mut out = vec![f64::NAN; len];
            for (bar, value) in self.bars.iter().zip(&self.values) {
                out[*bar] = *value;
            }
            out
        })
    }
}

/// A decision array, for searches.
#[derive(Clone, Copy, Debug)]
pub enum Decisions<'a> {
    /// One value a bar.
    Every(Series<'a>),
    /// Values at a few bars.
    Few(&'a Few),
}

impl Decisions<'_> {
    /// The first bar of `from..to` at or above `threshold`, or `to`; NaN is not.
    #[inline]
    pub fn first_at_least(&self, simd: Simd, span: (usize, usize), threshold: f64) -> usize {
        match self {
            Self::Every(series) => series.first_at_least(simd, span, threshold),
            Self::Few(few) => {
                let (from, to) = span;
                let begin = few.bars.partition_point(|bar| *bar < from);
                let mut after = few.bars[begin..].iter().zip(&few.values[begin..]);
                after.find(|(_, value)| **value >= threshold).map_or(to, |(bar, _)| to.min(*bar))
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Column {
    Every(Arc<Every>),
    Few(Arc<Few>),
}

/// The arrays a model may supply, in the order of [`Signals::NAMES`]; NaN means no signal.
#[derive(Debug)]
pub struct Signals {
    kind: SignalKind,
    columns: [Option<Column>; 7],
    len: usize,
    digest: OnceLock<String>,
}

impl Signals {
    /// Names of the arrays.
    pub const NAMES: [&'static str; 7] =
        ["long", "short", "exit_long", "exit_short", "stop", "target", "size"];

    /// Checks lengths and values.
    pub fn new(kind: SignalKind, arrays: [Option<Vec<f64>>; 7]) -> Result<Self> {
        let Some((first, len)) =
            arrays.iter().zip(Self::NAMES).find_map(|(a, name)| Some((name, a.as_ref()?.len())))
        else {
            return Err(Error::Rules(
                "signals hold no array: give at least one of `long`, `short`".to_owned(),
            ));
        };
        for (index, (array, name)) in arrays.iter().zip(Self::NAMES).enumerate() {
            let Some(values) = array else { continue };
            if values.len() != len {
                let other = first;
                return Err(Error::Length {
                    name: name.to_owned(),
                    len: values.len(),
                    other,
                    other_len: len,
                });
            }
            check_values(kind, index, name, values)?;
        }
        let every = |values| Column::Every(Arc::new(Every { values, peaks: OnceLock::new() }));
        let columns = arrays.map(|array| array.map(every));
        Ok(Self { kind, columns, len, digest: OnceLock::new() })
    }

    /// The same with other entries, long and short, at a few bars; all other arrays are shared and not copied.
    ///
    /// A side that is not given has no array.
    pub fn with_entries(&self, entries: [Option<Few>; 2]) -> Result<Self> {
        for (index, few) in entries.iter().enumerate() {
            let Some(few) = few else { continue };
            check_values(self.kind, index, Self::NAMES[index], &few.values)?;
        }
        let mut columns = self.columns.clone();
        for (slot, few) in columns.iter_mut().zip(entries) {
            *slot = few.map(|few| Column::Few(Arc::new(few)));
        }
        Ok(Self { kind: self.kind, columns, len: self.len, digest: OnceLock::new() })
    }

    /// What the values mean.
    pub fn kind(&self) -> SignalKind {
        self.kind
    }

    /// Number of bars.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bars.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether an array is there, by its position in [`Signals::NAMES`].
    pub fn has(&self, index: usize) -> bool {
        self.columns[index].is_some()
    }

    /// Array by its position in [`Signals::NAMES`]; of values at a few bars it is made when it is first asked for.
    pub fn array(&self, index: usize) -> Option<&[f64]> {
        match self.columns[index].as_ref()? {
            Column::Every(every) => Some(&every.values),
            Column::Few(few) => Some(few.every(self.len)),
        }
    }

    /// Value of an array at a bar; NaN where there is none.
    #[inline]
    pub fn at(&self, index: usize, bar: usize) -> f64 {
        match &self.columns[index] {
            Some(Column::Every(every)) => every.values[bar],
            Some(Column::Few(few)) => few.at(bar),
            None => f64::NAN,
        }
    }

    /// A decision array, one of the first four, for searches.
    pub fn series(&self, index: usize) -> Option<Decisions<'_>> {
        match self.columns[index].as_ref()? {
            Column::Every(every) => Some(Decisions::Every(every.peaks().over(&every.values))),
            Column::Few(few) => Some(Decisions::Few(few)),
        }
    }

    /// Computes the index of a decision array on the threads of the pool it is called in.
    pub fn index_in_parallel(&self, index: usize) {
        if let Some(Column::Every(every)) = &self.columns[index]
            && every.peaks.get().is_none()
        {
            // Made outside the lock: a thread that held it might take on a task that waits for another's.
            let made = Peaks::new(&every.values, true);
            every.peaks.get_or_init(|| made);
        }
    }

    /// Identity of the arrays, however they are held.
    pub fn digest(&self) -> &str {
        self.digest.get_or_init(|| {
            let mut digest = Digest::new("signals/1");
            digest.text(self.kind.name());
            for index in 0..Self::NAMES.len() {
                digest.optional_floats(self.array(index));
            }
            digest.hex()
        })
    }
}

fn check_values(kind: SignalKind, index: usize, name: &'static str, values: &[f64]) -> Result<()> {
    let (bound, hint): (&'static str, &'static str) = match (index, kind) {
        (0..4, SignalKind::Probability) => {
            ("in [0, 1] or NaN", "; scores go in with kind=\"score\"")
        }
        (0..4, SignalKind::Score) => ("finite or NaN", ""),
        (6, _) => ("in (0, 1] or NaN", "; NaN means no signal"),
        _ => ("finite and > 0, or NaN", "; NaN means no signal"),
    };
    let good = |v: f64| match (index, kind) {
        (0..4, SignalKind::Probability) => (0.0..=1.0).contains(&v),
        (0..4, SignalKind::Score) => v.is_finite(),
        (6, _) => v > 0.0 && v <= 1.0,
        _ => v > 0.0 && v.is_finite(),
    };
    match values.iter().position(|&v| !v.is_nan() && !good(v)) {
        None => Ok(()),
        Some(row) => Err(Error::Signal { name, row, value: values[row], bound, hint }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(index: usize, values: &[f64]) -> [Option<Vec<f64>>; 7] {
        let mut arrays: [Option<Vec<f64>>; 7] = Default::default();
        arrays[index] = Some(values.to_vec());
        arrays
    }

    #[test]
    fn values_out_of_range_are_named_with_their_row() {
        let refuse = |kind, arrays| Signals::new(kind, arrays).unwrap_err().to_string();
        assert_eq!(
            refuse(SignalKind::Probability, with(0, &[0.5, 1.5])),
            "signal `long` is 1.5 at bar 1, must be in [0, 1] or NaN; scores go in with kind=\"score\""
        );
        assert_eq!(
            refuse(SignalKind::Score, with(3, &[f64::INFINITY])),
            "signal `exit_short` is inf at bar 0, must be finite or NaN"
        );
        assert_eq!(
            refuse(SignalKind::Score, with(4, &[0.0])),
            "signal `stop` is 0 at bar 0, must be finite and > 0, or NaN; NaN means no signal"
        );
        assert!(Signals::new(SignalKind::Score, with(0, &[f64::NAN, -3.0])).is_ok());
        assert!(Signals::new(SignalKind::Score, Default::default()).is_err());
    }

    #[test]
    fn lengths_must_agree() {
        let mut arrays = with(0, &[0.5, 0.5]);
        arrays[1] = Some(vec![0.5]);
        let message = Signals::new(SignalKind::Probability, arrays).unwrap_err().to_string();
        assert_eq!(message, "`short` has 1 values but long has 2: give one value a bar");
    }

    #[test]
    fn digest_tells_arrays_apart() {
        let long = Signals::new(SignalKind::Score, with(0, &[0.5])).unwrap();
        let short = Signals::new(SignalKind::Score, with(1, &[0.5])).unwrap();
        let probability = Signals::new(SignalKind::Probability, with(0, &[0.5])).unwrap();
        assert_ne!(long.digest(), short.digest());
        assert_ne!(long.digest(), probability.digest());
    }

    #[test]
    fn values_at_a_few_bars_are_those_of_the_whole_array() {
        let dense = [f64::NAN, 0.4, f64::NAN, 0.9, f64::NAN, 0.7];
        let mut arrays = with(0, &dense);
        arrays[2] = Some(vec![0.1; 6]);
        let whole = Signals::new(SignalKind::Probability, arrays).unwrap();
        let few = Few::new(vec![1, 3, 5], vec![0.4, 0.9, 0.7], 6).unwrap();
        let held = whole.with_entries([Some(few), None]).unwrap();
        assert_eq!(held.digest(), whole.digest());
        assert!(held.has(0) && !held.has(1) && held.has(2));
        let (a, b) = (whole.series(0).unwrap(), held.series(0).unwrap());
        for bar in 0..6 {
            assert_eq!(held.at(0, bar).to_bits(), whole.at(0, bar).to_bits());
            for (stop, level) in [(6, 0.4), (6, 0.8), (4, 0.8), (3, 0.0), (6, 2.0)] {
                let span = (bar.min(stop), stop);
                for simd in Simd::available() {
                    let want = a.first_at_least(simd, span, level);
                    assert_eq!(b.first_at_least(simd, span, level), want, "{span:?} {level}");
                }
            }
        }
    }

    #[test]
    fn few_bars_are_in_order_inside_and_in_range() {
        assert!(Few::new(vec![3, 3], vec![0.5; 2], 6).is_err());
        assert!(Few::new(vec![3, 6], vec![0.5; 2], 6).is_err());
        assert!(Few::new(vec![3], vec![0.5; 2], 6).is_err());
        let base = Signals::new(SignalKind::Probability, with(0, &[0.5; 6])).unwrap();
        let wild = Few::new(vec![3], vec![1.5], 6).unwrap();
        assert!(base.with_entries([Some(wild), None]).is_err());
    }
}
