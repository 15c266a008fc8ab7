//! What a feature is to the engine: a state machine that takes one bar at a time, and its block driver.
//!
//! A [`Kernel`] holds the arithmetic and the state. Batch is many steps: the driver hands it blocks of bars, and the
//! default block is the loop over [`Kernel::step`], monomorphised, so that a live bar and a million old ones run the
//! same instructions. A kernel may bring a faster block; it must give the same bits.

use crate::{Error, Result};

/// Bars that the driver hands to a node at once: a few columns of a block stay in the first-level cache, many in
/// the second.
pub const BLOCK: usize = 2048;
/// Most inputs and outputs of a function.
pub const MOST: usize = 8;

/// How much of the past a value depends on, in bars of its clock, its own bar included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// On the last `n` bars alone: the same bits from any start that leaves `n` bars.
    Finite(u64),
    /// On everything, with weights that fade: from any start, within 1e-9 relative after `n` bars.
    Fading(u64),
    /// On everything for good; the start is part of the value.
    Cumulative,
}

impl Memory {
    /// Memory of a function with `self` over inputs that have `inner` themselves.
    #[must_use]
    pub fn over(self, inner: Self) -> Self {
        match (self, inner) {
            (Self::Finite(a), Self::Finite(b)) => Self::Finite(a.saturating_add(b - 1)),
            (Self::Cumulative, _) | (_, Self::Cumulative) => Self::Cumulative,
            (Self::Finite(a) | Self::Fading(a), Self::Finite(b) | Self::Fading(b)) => {
                Self::Fading(a.saturating_add(b))
            }
        }
    }

    /// The longer of two, where a function has several inputs.
    #[must_use]
    pub fn joined(self, other: Self) -> Self {
        match (self, other) {
            (Self::Finite(a), Self::Finite(b)) => Self::Finite(a.max(b)),
            (Self::Cumulative, _) | (_, Self::Cumulative) => Self::Cumulative,
            (Self::Finite(a) | Self::Fading(a), Self::Finite(b) | Self::Fading(b)) => {
                Self::Fading(a.max(b))
            }
        }
    }

    /// The same memory counted in bars `ratio` times shorter; one long bar more, as the first may be incomplete.
    #[must_use]
    pub fn on_shorter_bars(self, ratio: u64) -> Self {
        match self {
            Self::Finite(n) => Self::Finite(n.saturating_add(1).saturating_mul(ratio)),
            Self::Fading(n) => Self::Fading(n.saturating_add(1).saturating_mul(ratio)),
            Self::Cumulative => Self::Cumulative,
        }
    }
}

/// Carries state out of a node or into it, field by field in one fixed order, so that saving and loading cannot
/// disagree.
pub trait Visit {
    /// A float, bit for bit.
    fn float(&mut self, value: &mut f64);
    /// A whole number.
    fn int(&mut self, value: &mut i64);
    /// Floats whose number is fixed by the parameters.
    fn floats(&mut self, values: &mut [f64]);
    /// Floats whose number varies, at most `limit`.
    fn list(&mut self, values: &mut Vec<f64>, limit: usize);
}

/// The arithmetic of a feature with `I` inputs and `O` outputs.
pub trait Kernel<const I: usize, const O: usize>: Clone + Send + Sync + 'static {
    /// Takes the inputs of one closed bar; `at` is its number on the clock, `floor(open_time / interval)`.
    ///
    /// NaN where undefined. A NaN input gives NaN for the bars it touches: a window is NaN while it holds one and
    /// forgets it after, a recursion holds its state and gives NaN.
    fn step(&mut self, at: i64, x: [f64; I]) -> [f64; O];

    /// Shows every field that changes, in a fixed order.
    fn visit(&mut self, state: &mut dyn Visit);

    /// Many steps; another block must give the same bits. An output that nobody reads comes as an empty column.
    fn block(&mut self, at: &[i64], x: [&[f64]; I], mut y: [&mut [f64]; O]) {
        for (i, at) in at.iter().enumerate() {
            let out = self.step(*at, std::array::from_fn(|k| x[k][i]));
            for (column, value) in y.iter_mut().zip(out) {
                if let Some(slot) = column.get_mut(i) {
                    *slot = value;
                }
            }
        }
    }
}

/// A kernel behind its arity; what the graph runs.
pub trait Node: Send + Sync {
    /// Many steps over columns of one length; outputs that nobody reads are empty.
    fn block(&mut self, at: &[i64], inputs: &[&[f64]], outputs: &mut [&mut [f64]]);
    /// One step over single values: `inputs` says where they stand in `wires`, outputs stand from `first` on.
    fn one(&mut self, at: i64, wires: &mut [f64], inputs: &[usize], first: usize);
    /// As [`Kernel::visit`].
    fn visit(&mut self, state: &mut dyn Visit);
    /// A copy with its state.
    fn copy(&self) -> Box<dyn Node>;
}

struct Arity<K, const I: usize, const O: usize>(K);

impl<K: Kernel<I, O>, const I: usize, const O: usize> Node for Arity<K, I, O> {
    fn block(&mut self, at: &[i64], inputs: &[&[f64]], outputs: &mut [&mut [f64]]) {
        let n = at.len();
        let x: [&[f64]; I] = std::array::from_fn(|k| &inputs[k][..n]);
        let mut columns = outputs.iter_mut();
        let y: [&mut [f64]; O] = std::array::from_fn(|_| match columns.next() {
            Some([]) => &mut [][..],
            Some(column) => &mut column[..n],
            None => unreachable!("the graph gives every output a column"),
        });
        self.0.block(at, x, y);
    }

    fn one(&mut self, at: i64, wires: &mut [f64], inputs: &[usize], first: usize) {
        let y = self.0.step(at, std::array::from_fn(|k| wires[inputs[k]]));
        wires[first..first + O].copy_from_slice(&y);
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }

    fn copy(&self) -> Box<dyn Node> {
        Box::new(Self(self.0.clone()))
    }
}

/// Boxes a kernel for the graph.
pub fn node<K: Kernel<I, O>, const I: usize, const O: usize>(kernel: K) -> Box<dyn Node> {
    Box::new(Arity(kernel))
}

/// Collects state as bytes, little-endian.
#[derive(Debug, Default)]
pub struct Writer {
    /// What was collected.
    pub bytes: Vec<u8>,
}

impl Visit for Writer {
    fn float(&mut self, value: &mut f64) {
        self.bytes.extend(value.to_bits().to_le_bytes());
    }

    fn int(&mut self, value: &mut i64) {
        self.bytes.extend(value.to_le_bytes());
    }

    fn floats(&mut self, values: &mut [f64]) {
        for value in values {
            self.float(value);
        }
    }

    fn list(&mut self, values: &mut Vec<f64>, _limit: usize) {
        self.bytes.extend((values.len() as u64).to_le_bytes());
        self.floats(values);
    }
}

/// Puts collected state back; what is missing or too much is told by [`Reader::finish`].
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    short: bool,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, short: false }
    }

    fn word(&mut self) -> [u8; 8] {
        if let Some((word, rest)) = self.bytes.split_first_chunk::<8>() {
            self.bytes = rest;
            *word
        } else {
            self.short = true;
            [0; 8]
        }
    }

    /// Fails unless every byte was used and none was missing.
    pub fn finish(self) -> Result<()> {
        if self.short || !self.bytes.is_empty() {
            return Err(Error::Feature(
                "snapshot does not hold the state of these features: rebuild it from candles"
                    .into(),
            ));
        }
        Ok(())
    }
}

impl Visit for Reader<'_> {
    fn float(&mut self, value: &mut f64) {
        *value = f64::from_bits(u64::from_le_bytes(self.word()));
    }

    fn int(&mut self, value: &mut i64) {
        *value = i64::from_le_bytes(self.word());
    }

    fn floats(&mut self, values: &mut [f64]) {
        for value in values {
            self.float(value);
        }
    }

    fn list(&mut self, values: &mut Vec<f64>, limit: usize) {
        let length = u64::from_le_bytes(self.word());
        // A foreign file must not make us reserve what it claims.
        let held = (self.bytes.len() / 8) as u64;
        if length > held.min(limit as u64) {
            self.short = true;
            return;
        }
        values.clear();
        for _ in 0..length {
            let mut value = 0.0;
            self.float(&mut value);
            values.push(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_add_along_a_path_and_join_over_inputs() {
        use Memory::{Cumulative, Fading, Finite};
        assert_eq!(Finite(3).over(Finite(5)), Finite(7));
        assert_eq!(Finite(3).over(Fading(5)), Fading(8));
        assert_eq!(Fading(3).over(Cumulative), Cumulative);
        assert_eq!(Finite(3).joined(Finite(5)), Finite(5));
        assert_eq!(Finite(9).joined(Fading(5)), Fading(9));
        assert_eq!(Finite(2).on_shorter_bars(12), Finite(36));
    }

    #[test]
    fn reader_refuses_what_is_too_short_or_too_long() {
        let mut writer = Writer::default();
        writer.float(&mut 1.5);
        writer.list(&mut vec![1.0, f64::NAN], 2);
        let bytes = writer.bytes;
        let read = |bytes: &[u8]| {
            let (mut x, mut list) = (0.0, vec![]);
            let mut reader = Reader::new(bytes);
            reader.float(&mut x);
            reader.list(&mut list, 2);
            reader.finish().map(|()| (x, list.len()))
        };
        assert_eq!(read(&bytes), Ok((1.5, 2)));
        assert!(read(&bytes[..bytes.len() - 1]).is_err());
        assert!(read(&[&bytes[..], &[0]].concat()).is_err());
        let mut huge = bytes.clone();
        huge[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(read(&huge).is_err());
    }
}
