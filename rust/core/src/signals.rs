//! Model outputs aligned to bars, validated and digested once.

use std::sync::OnceLock;

use crate::digest::Digest;
use crate::market::{Peaks, Series};
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

/// The arrays a model may supply, in the order of [`Signals::NAMES`]; NaN means no signal.
#[derive(Debug)]
pub struct Signals {
    kind: SignalKind,
    arrays: [Option<Vec<f64>>; 7],
    len: usize,
    digest: OnceLock<String>,
    peaks: [OnceLock<Peaks>; 4],
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
        Ok(Self { kind, arrays, len, digest: OnceLock::new(), peaks: Default::default() })
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

    /// Array by its position in [`Signals::NAMES`].
    pub fn array(&self, index: usize) -> Option<&[f64]> {
        self.arrays[index].as_deref()
    }

    /// A decision array, one of the first four, for searches.
    pub fn series(&self, index: usize) -> Option<Series<'_>> {
        Some(self.peaks(index).over(self.array(index)?))
    }

    /// Index of a decision array, computed once.
    fn peaks(&self, index: usize) -> &Peaks {
        self.peaks[index].get_or_init(|| Peaks::new(self.array(index).unwrap_or(&[]), false))
    }

    /// Computes the index of a decision array on the threads of the pool it is called in.
    pub fn index_in_parallel(&self, index: usize) {
        if self.peaks[index].get().is_none() {
            // Made outside the lock: a thread that held it might take on a task that waits for another's.
            let made = Peaks::new(self.array(index).unwrap_or(&[]), true);
            self.peaks[index].get_or_init(|| made);
        }
    }

    /// Identity of the arrays.
    pub fn digest(&self) -> &str {
        self.digest.get_or_init(|| {
            let mut digest = Digest::new("signals/1");
            digest.text(self.kind.name());
            for array in &self.arrays {
                digest.optional_floats(array.as_deref());
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
}
