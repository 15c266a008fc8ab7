//! Targets of several steps: the values of chosen channels in each of the next bars.
//!
//! Rows are gathered into the caller's array a batch at a time, so that a tensor of rows x steps x channels, which
//! holds every value `steps` times, never has to exist.

use rayon::prelude::*;

use super::on_threads;
use crate::{Error, Result};

/// What is written of a value that a channel has after its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The value.
    Level,
    /// The value less that of the row.
    Change,
    /// The value over that of the row, less one.
    Return,
}

impl Form {
    /// Reads the form from its name.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "level" => Ok(Self::Level),
            "change" => Ok(Self::Change),
            "return" => Ok(Self::Return),
            _ => Err(Error::unknown("form", name, &["level", "change", "return"])),
        }
    }

    #[inline]
    fn of(self, now: f64, then: f64) -> f64 {
        match self {
            Self::Level => then,
            Self::Change => then - now,
            Self::Return => then / now - 1.0,
        }
    }
}

/// A table, row-major, and what is wanted of it.
#[derive(Clone, Copy, Debug)]
pub struct Targets<'a> {
    /// Values, one row a bar.
    pub values: &'a [f64],
    /// Columns of the table.
    pub width: usize,
    /// Columns that are wanted.
    pub channels: &'a [usize],
    /// Bars after the row.
    pub steps: usize,
    /// What is written.
    pub form: Form,
}

impl Targets<'_> {
    /// Rows of the table.
    pub fn bars(&self) -> usize {
        self.values.len() / self.width
    }

    /// Writes rows x steps x channels; `write` turns a value into an element. Refuses rows whose steps reach beyond the table.
    pub fn gather<T: Send>(
        &self,
        rows: &[i64],
        out: &mut [T],
        threads: usize,
        write: impl Fn(f64) -> T + Sync,
    ) -> Result<()> {
        let (n, steps, width) = (self.bars(), self.steps, self.width);
        let known = n.saturating_sub(steps);
        let inside = |row: i64| usize::try_from(row).is_ok_and(|row| row < known);
        if let Some(row) = rows.iter().find(|row| !inside(**row)) {
            return Err(Error::Window(format!(
                "row {row} has no target of {steps} steps: rows are from 0 on, below {known}, as the table holds {n}"
            )));
        }
        let size = steps * self.channels.len();
        if out.len() != rows.len() * size {
            return Err(Error::Length {
                name: "out".to_owned(),
                len: out.len(),
                other: "rows x steps x channels",
                other_len: rows.len() * size,
            });
        }
        on_threads(threads, || {
            out.par_chunks_mut(size.max(1)).zip(rows).for_each(|(slots, row)| {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                // inside, as checked
                let row = *row as usize;
                let now = &self.values[row * width..][..width];
                for (step, part) in slots.chunks_mut(self.channels.len()).enumerate() {
                    let then = &self.values[(row + 1 + step) * width..][..width];
                    for (slot, channel) in part.iter_mut().zip(self.channels) {
                        *slot = write(self.form.of(now[*channel], then[*channel]));
                    }
                }
            });
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_chosen_channels_in_their_order() {
        let values: Vec<f64> = (0..12).map(f64::from).collect();
        let of = |form| Targets { values: &values, width: 3, channels: &[2, 0], steps: 2, form };
        let mut out = vec![0.0; 8];
        of(Form::Level).gather(&[1, 0], &mut out, 2, |v| v).unwrap();
        assert_eq!(out, [8.0, 6.0, 11.0, 9.0, 5.0, 3.0, 8.0, 6.0]);
        of(Form::Change).gather(&[1, 0], &mut out, 1, |v| v).unwrap();
        assert_eq!(out, [3.0, 3.0, 6.0, 6.0, 3.0, 3.0, 6.0, 6.0]);
        of(Form::Return).gather(&[1, 0], &mut out, 1, |v| v).unwrap();
        assert_eq!(out[..2], [8.0 / 5.0 - 1.0, 6.0 / 3.0 - 1.0]);
        for row in [2, -1] {
            let error = of(Form::Level).gather(&[row, 0], &mut out, 1, |v| v).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "row {row} has no target of 2 steps: rows are from 0 on, below 2, as the table holds 4"
                )
            );
        }
        assert!(of(Form::Level).gather(&[0], &mut out, 1, |v| v).is_err());
        assert!(Form::parse("level").is_ok() && Form::parse("levels").is_err());
    }
}
