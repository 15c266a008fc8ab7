//! Parts that kernels are put together of: functions of one bar, of a bar and the one before, sums over windows of
//! them, and one kernel after another.

use super::node::{Kernel, Memory, Node, Visit, node};
use super::registry::{Function, consistent};
use super::undefined::defined;
use super::window::{Window, bars};
use crate::numeric::{self, Sum};

/// Logarithm of a quotient; NaN unless both are above 0.
#[inline]
pub(super) fn log_ratio(x: f64, y: f64) -> f64 {
    if x > 0.0 && y > 0.0 { defined(numeric::ln(x / y)) } else { f64::NAN }
}

/// The value, held inside two bounds; NaN stays.
#[inline]
pub(super) fn within(x: f64, low: f64, high: f64) -> f64 {
    if x < low {
        low
    } else if x > high {
        high
    } else {
        x
    }
}

/// A function of one bar.
#[derive(Clone)]
pub struct Map<F>(pub F);

impl<F, const I: usize, const O: usize> Kernel<I, O> for Map<F>
where
    F: Fn([f64; I]) -> [f64; O] + Clone + Send + Sync + 'static,
{
    #[inline]
    fn step(&mut self, _at: i64, x: [f64; I]) -> [f64; O] {
        (self.0)(x)
    }

    fn visit(&mut self, _state: &mut dyn Visit) {}
}

/// A function of one bar and the one before it, which is NaN at the first.
#[derive(Clone)]
pub struct Change<F, const I: usize> {
    before: [f64; I],
    of: F,
}

impl<F, const I: usize> Change<F, I> {
    /// By a function of the inputs now and before.
    pub fn new<const O: usize>(of: F) -> Self
    where
        F: Fn([f64; I], [f64; I]) -> [f64; O],
    {
        Self { before: [f64::NAN; I], of }
    }
}

impl<F, const I: usize, const O: usize> Kernel<I, O> for Change<F, I>
where
    F: Fn([f64; I], [f64; I]) -> [f64; O] + Clone + Send + Sync + 'static,
{
    #[inline]
    fn step(&mut self, _at: i64, x: [f64; I]) -> [f64; O] {
        (self.of)(x, std::mem::replace(&mut self.before, x))
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.floats(&mut self.before);
    }
}

/// A function of the sums of some terms over a window; terms are made of a bar and the one before it.
#[derive(Clone)]
pub struct Sums<T, R, const I: usize, const J: usize> {
    before: [f64; I],
    windows: [Window<Sum>; J],
    length: f64,
    terms: T,
    read: R,
}

impl<T, R, const I: usize, const J: usize> Sums<T, R, I, J> {
    /// Over `length` terms; `read` takes their sums, the inputs of the newest bar and the length.
    pub fn new<const O: usize>(length: usize, terms: T, read: R) -> Self
    where
        T: Fn([f64; I], [f64; I]) -> [f64; J],
        R: Fn([f64; J], [f64; I], f64) -> [f64; O],
    {
        Self {
            before: [f64::NAN; I],
            windows: std::array::from_fn(|_| Window::new(length)),
            length: length as f64,
            terms,
            read,
        }
    }
}

impl<T, R, const I: usize, const J: usize, const O: usize> Kernel<I, O> for Sums<T, R, I, J>
where
    T: Fn([f64; I], [f64; I]) -> [f64; J] + Clone + Send + Sync + 'static,
    R: Fn([f64; J], [f64; I], f64) -> [f64; O] + Clone + Send + Sync + 'static,
{
    #[inline]
    fn step(&mut self, at: i64, x: [f64; I]) -> [f64; O] {
        let terms = (self.terms)(x, std::mem::replace(&mut self.before, x));
        let mut sums = [0.0; J];
        let mut full = true;
        for ((sum, window), term) in sums.iter_mut().zip(&mut self.windows).zip(terms) {
            match window.push(at, term) {
                Some(fold) => *sum = fold.value(),
                None => full = false,
            }
        }
        if full { (self.read)(sums, x, self.length) } else { [f64::NAN; O] }
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.floats(&mut self.before);
        for window in &mut self.windows {
            window.visit(state);
        }
    }
}

/// One kernel after another.
#[derive(Clone)]
pub struct Then<A, B, const M: usize>(pub A, pub B);

impl<A, B, const I: usize, const M: usize, const O: usize> Kernel<I, O> for Then<A, B, M>
where
    A: Kernel<I, M>,
    B: Kernel<M, O>,
{
    #[inline]
    fn step(&mut self, at: i64, x: [f64; I]) -> [f64; O] {
        let between = self.0.step(at, x);
        self.1.step(at, between)
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.0.visit(state);
        self.1.visit(state);
    }
}

/// Memory of a window of the first parameter.
pub(super) fn finite(p: &[f64]) -> Memory {
    Memory::Finite(bars(p[0]))
}

/// Bars before a window of the first parameter is full.
pub(super) fn full(p: &[f64]) -> u64 {
    bars(p[0]) - 1
}

/// Memory of a window of changes.
pub(super) fn finite_changes(p: &[f64]) -> Memory {
    Memory::Finite(bars(p[0]) + 1)
}

/// Bars before a window of changes is full.
pub(super) fn full_changes(p: &[f64]) -> u64 {
    bars(p[0])
}

fn undefined(_: &[f64]) -> Box<dyn Node> {
    node(Map(|_: [f64; 1]| [f64::NAN]))
}

/// A row of the table whose blanks are those of a function of one bar; names, texts and `build` must be given.
pub(super) const ROW: Function = Function {
    name: "",
    known_as: &[],
    family: "",
    inputs: &[],
    parameters: &[],
    outputs: &[],
    memory: |_| Memory::Finite(1),
    warmup: |_| 0,
    delays: |_| [0, 0],
    check: consistent,
    build: undefined,
    summary: "",
    formula: "",
    source: "",
};
