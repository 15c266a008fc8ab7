//! A range of bars that a backtest runs on.

use crate::{Error, Result};

/// Bars `start..stop` of the candles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First bar.
    pub start: usize,
    /// Bar after the last one.
    pub stop: usize,
}

impl Window {
    /// Checks that the window holds bars and lies inside `n` of them.
    pub fn new(start: usize, stop: usize, n: usize) -> Result<Self> {
        if start >= stop {
            return Err(Error::Window(format!(
                "window {start}..{stop} holds no bars: its end must lie after its start"
            )));
        }
        if stop > n {
            return Err(Error::Window(format!("window {start}..{stop} lies outside the {n} bars")));
        }
        Ok(Self { start, stop })
    }

    /// Number of bars.
    pub fn bars(self) -> usize {
        self.stop - self.start
    }
}
