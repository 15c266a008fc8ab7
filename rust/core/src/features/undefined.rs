//! What keeps undefined values out of state and out of results.

use super::node::{Kernel, Visit};

/// The value where it is finite, else NaN: what overflows is undefined.
#[inline]
pub(super) fn defined(x: f64) -> f64 {
    if x.is_finite() { x } else { f64::NAN }
}

/// All inputs of a bar, or NaN for each where one is NaN: windows that are read together are then full together.
#[inline]
pub(super) fn whole<const N: usize>(x: [f64; N]) -> [f64; N] {
    if x.iter().any(|x| x.is_nan()) { [f64::NAN; N] } else { x }
}

/// A recursion over the bars without a NaN; a bar with one gives NaN and changes nothing.
#[derive(Clone, Debug)]
pub struct Held<K>(pub K);

impl<K: Kernel<I, O>, const I: usize, const O: usize> Kernel<I, O> for Held<K> {
    #[inline]
    fn step(&mut self, at: i64, x: [f64; I]) -> [f64; O] {
        if x.iter().any(|x| x.is_nan()) { [f64::NAN; O] } else { self.0.step(at, x) }
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
    }
}
