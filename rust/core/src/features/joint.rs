//! Windows over two series at once: the scheme of `window`, with folds of pairs.
//!
//! Products of two series must be taken about pivots that lie in the window, or a common offset eats their digits; so
//! pairs are folded together, and sums of products of the raw values are not enough.

use std::collections::VecDeque;

use super::node::Visit;
use super::registry::count;
use crate::numeric::Sum;

/// Number, means, spreads and common spread of pairs, from sums of differences to a pivot; see `Moments` of `window`.
#[derive(Clone, Copy, Debug, Default)]
pub struct CoMoments {
    n: f64,
    pivot: [f64; 2],
    x: Sum,
    y: Sum,
    xx: Sum,
    yy: Sum,
    xy: Sum,
}

impl CoMoments {
    fn append(&mut self, [x, y]: [f64; 2]) {
        if self.n == 0.0 {
            self.pivot = [x, y];
        }
        let (dx, dy) = (x - self.pivot[0], y - self.pivot[1]);
        self.n += 1.0;
        self.x.add(dx);
        self.y.add(dy);
        self.xx.add(dx * dx);
        self.yy.add(dy * dy);
        self.xy.add(dx * dy);
    }

    fn join(self, newer: Self) -> Self {
        if self.n == 0.0 {
            return newer;
        }
        let (dx, dy) = (newer.pivot[0] - self.pivot[0], newer.pivot[1] - self.pivot[1]);
        let (x, y) = (newer.x.value(), newer.y.value());
        let mut joint = Self {
            n: self.n + newer.n,
            pivot: self.pivot,
            x: self.x.with(newer.x),
            y: self.y.with(newer.y),
            xx: self.xx.with(newer.xx),
            yy: self.yy.with(newer.yy),
            xy: self.xy.with(newer.xy),
        };
        joint.x.add(newer.n * dx);
        joint.y.add(newer.n * dy);
        joint.xx.add(dx * (2.0 * x + newer.n * dx));
        joint.yy.add(dy * (2.0 * y + newer.n * dy));
        joint.xy.add(dx * (y + newer.n * dy));
        joint.xy.add(dy * x);
        joint
    }

    /// Sums of squares and of products of the distances from the means: x, y, both.
    pub fn central(self) -> [f64; 3] {
        let (x, y) = (self.x.value(), self.y.value());
        let square = |v: f64| if v < 0.0 { 0.0 } else { v };
        [
            square(self.xx.value() - x * x / self.n),
            square(self.yy.value() - y * y / self.n),
            self.xy.value() - x * y / self.n,
        ]
    }

    /// Plain means.
    pub fn means(self) -> [f64; 2] {
        let [px, py] = self.pivot;
        [px + self.x.value() / self.n, py + self.y.value() / self.n]
    }

    /// Values less their means, without losing what they have in common.
    pub fn distance(self, [x, y]: [f64; 2]) -> [f64; 2] {
        let [px, py] = self.pivot;
        [(x - px) - self.x.value() / self.n, (y - py) - self.y.value() / self.n]
    }

    /// Pearson's correlation; NaN where a series does not move.
    pub fn correlation(self) -> f64 {
        let [xx, yy, xy] = self.central();
        if xx == 0.0 || yy == 0.0 {
            return f64::NAN;
        }
        // Roots apart: the product of the squares overflows first.
        super::parts::within(xy / xx.sqrt() / yy.sqrt(), -1.0, 1.0)
    }
}

/// The last `length` pairs, folded.
#[derive(Clone, Debug)]
pub struct Pairs {
    length: usize,
    ring: Vec<[f64; 2]>,
    next: usize,
    end: i64,
    clean: usize,
    suffix: Vec<CoMoments>,
    whole: VecDeque<(usize, CoMoments)>,
    middle: CoMoments,
    held: usize,
    prefix: CoMoments,
}

fn missing(pair: [f64; 2]) -> bool {
    pair[0].is_nan() || pair[1].is_nan()
}

impl Pairs {
    /// An empty window of `length` pairs, at least 1.
    pub fn new(length: usize) -> Self {
        debug_assert!(length >= 1);
        Self {
            length,
            ring: Vec::with_capacity(length),
            next: 0,
            end: i64::MIN,
            clean: 0,
            suffix: Vec::with_capacity(length),
            whole: VecDeque::new(),
            middle: CoMoments::default(),
            held: 0,
            prefix: CoMoments::default(),
        }
    }

    /// Takes the pair of the bar at `at`; the fold of the last `length` where there are so many and none has a NaN.
    pub fn push(&mut self, at: i64, pair: [f64; 2]) -> Option<CoMoments> {
        if at >= self.end || self.held == self.length {
            self.close(at);
        }
        self.clean = if missing(pair) { 0 } else { self.length.min(self.clean + 1) };
        if self.ring.len() < self.length {
            self.ring.push(pair);
        } else {
            if self.suffix.is_empty() {
                self.open();
            }
            self.suffix.pop();
            self.ring[self.next] = pair;
            self.next = if self.next + 1 == self.length { 0 } else { self.next + 1 };
        }
        self.held += 1;
        self.prefix.append(pair);
        if self.suffix.is_empty() && !self.whole.is_empty() && self.ring.len() == self.length {
            self.open();
        }
        (self.clean == self.length).then(|| {
            let Some(&suffix) = self.suffix.last() else { return self.prefix };
            let old = if self.whole.is_empty() { suffix } else { suffix.join(self.middle) };
            old.join(self.prefix)
        })
    }

    fn close(&mut self, at: i64) {
        let slots = i64::try_from(self.length).unwrap_or(i64::MAX);
        self.end = at.div_euclid(slots).saturating_add(1).saturating_mul(slots);
        if self.held > 0 {
            let block = std::mem::take(&mut self.prefix);
            self.whole.push_back((std::mem::take(&mut self.held), block));
            self.middle = self.middle.join(block);
        }
    }

    fn open(&mut self) {
        let Some((bars, _)) = self.whole.pop_front() else { return };
        self.middle = self.whole.iter().fold(CoMoments::default(), |sum, (_, f)| sum.join(*f));
        let (front, back) = (&self.ring[self.next..], &self.ring[..self.next]);
        let ahead = bars.min(front.len());
        let mut fold = CoMoments::default();
        for pair in back[..bars - ahead].iter().rev().chain(front[..ahead].iter().rev()) {
            fold.append(*pair);
            self.suffix.push(fold);
        }
    }

    /// As `Kernel::visit`: the pairs and how they fall into blocks; all folds follow from these.
    pub fn visit(&mut self, state: &mut dyn Visit) {
        self.ring.rotate_left(self.next);
        self.next = 0;
        let old = (!self.suffix.is_empty()).then_some(self.suffix.len());
        let current = (self.held > 0).then_some(self.held);
        let blocks = old.into_iter().chain(self.whole.iter().map(|(bars, _)| *bars)).chain(current);
        let mut blocks: Vec<f64> = blocks.map(|bars| bars as f64).collect();
        let mut x: Vec<f64> = self.ring.iter().map(|pair| pair[0]).collect();
        let mut y: Vec<f64> = self.ring.iter().map(|pair| pair[1]).collect();
        state.list(&mut x, self.length);
        state.list(&mut y, self.length);
        state.list(&mut blocks, self.length);
        state.int(&mut self.end);
        self.ring.clear();
        self.ring.extend(x.iter().zip(&y).map(|(x, y)| [*x, *y]));
        self.refold(&blocks);
    }

    fn refold(&mut self, blocks: &[f64]) {
        self.suffix.clear();
        self.whole.clear();
        (self.middle, self.prefix, self.held) = (CoMoments::default(), CoMoments::default(), 0);
        self.clean = self.ring.iter().rev().take_while(|pair| !missing(**pair)).count();
        let mut rest = &self.ring[..];
        for bars in blocks {
            // Counts come from a file: no more than there are values.
            let (block, later) = rest.split_at(count(*bars).min(rest.len()));
            rest = later;
            let mut fold = CoMoments::default();
            for pair in block {
                fold.append(*pair);
            }
            if rest.is_empty() {
                (self.held, self.prefix) = (block.len(), fold);
                break;
            }
            self.whole.push_back((block.len(), fold));
            self.middle = self.middle.join(fold);
        }
        if self.ring.len() == self.length && !self.whole.is_empty() {
            self.open();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract::Random;
    use super::*;

    #[test]
    fn pairs_agree_with_two_passes_over_any_holes_and_from_any_start() {
        let mut random = Random(1);
        for length in [1, 2, 3, 8, 30] {
            let mut slot = -500;
            let at: Vec<i64> = (0..400)
                .map(|_| {
                    slot += if random.below(8) == 0 { 1 + random.slots(40) } else { 1 };
                    slot
                })
                .collect();
            let rows: Vec<[f64; 2]> =
                at.iter().map(|_| [1e5 + random.unit(), 3.0 - 1e-3 * random.unit()]).collect();
            let run = |start: usize| -> Vec<Option<[f64; 3]>> {
                let mut window = Pairs::new(length);
                at[start..]
                    .iter()
                    .zip(&rows[start..])
                    .map(|(at, pair)| window.push(*at, *pair).map(CoMoments::central))
                    .collect()
            };
            let whole = run(0);
            for (i, got) in whole.iter().enumerate() {
                assert_eq!(got.is_some(), i + 1 >= length);
                let Some(got) = got else { continue };
                let held = &rows[i + 1 - length..=i];
                let n = length as f64;
                let mean = |k: usize| held.iter().map(|r| r[k] - held[0][k]).sum::<f64>() / n;
                let centre = [mean(0), mean(1)];
                let sum = |a: usize, b: usize| {
                    let d = |r: &[f64; 2], k: usize| (r[k] - held[0][k]) - centre[k];
                    held.iter().map(|r| d(r, a) * d(r, b)).sum::<f64>()
                };
                let size = [sum(0, 0), sum(1, 1), (sum(0, 0) * sum(1, 1)).sqrt()];
                for (got, (want, size)) in
                    got.iter().zip([sum(0, 0), sum(1, 1), sum(0, 1)].iter().zip(size))
                {
                    assert!((got - want).abs() <= 1e-12 * size, "{got} {want}");
                }
            }
            for start in [1, 2, 7, 100] {
                let later = run(start);
                for i in start + length - 1..400 {
                    let bits = |v: Option<[f64; 3]>| v.map(|v| v.map(f64::to_bits));
                    assert_eq!(bits(whole[i]), bits(later[i - start]));
                }
            }
        }
    }
}
