//! Values as they were some bars ago.

use std::ops::Range;

use super::node::Visit;

/// The value some bars ago.
#[derive(Clone, Debug)]
pub struct Delay {
    ring: Vec<f64>,
    next: usize,
}

impl Delay {
    /// Of `bars` bars, at least 1.
    pub fn new(bars: usize) -> Self {
        debug_assert!(bars >= 1);
        Self { ring: vec![f64::NAN; bars], next: 0 }
    }

    /// Takes the newest value and gives the one so many bars before it; NaN where there is none.
    #[inline]
    pub fn push(&mut self, x: f64) -> f64 {
        let old = std::mem::replace(&mut self.ring[self.next], x);
        self.next = if self.next + 1 == self.ring.len() { 0 } else { self.next + 1 };
        old
    }

    /// Takes many values; hands out pieces of them with the values so many bars before: (where, now, before).
    #[inline]
    pub fn fill(&mut self, x: &[f64], mut each: impl FnMut(Range<usize>, &[f64], &[f64])) {
        self.ring.rotate_left(self.next);
        self.next = 0;
        let bars = self.ring.len();
        let early = bars.min(x.len());
        each(0..early, &x[..early], &self.ring[..early]);
        each(early..x.len(), &x[early..], &x[..x.len() - early]);
        if x.len() < bars {
            self.ring.rotate_left(x.len());
        }
        self.ring[bars - early..].copy_from_slice(&x[x.len() - early..]);
    }

    /// As [`Kernel::visit`](super::node::Kernel::visit).
    pub fn visit(&mut self, state: &mut dyn Visit) {
        self.ring.rotate_left(self.next);
        self.next = 0;
        state.floats(&mut self.ring);
    }
}
