//! Seeded streams of random numbers, the same bits everywhere.

use crate::numeric::ln;

/// AR(1) coefficient of a half-life of 96 bars, `2^(-1/96)`.
pub(super) const SLOW_PERSISTENCE: f64 = 0.992_805_720_491_269;

/// Stationary first-order autoregression of mean 0 and variance 1.
pub(super) struct Ar1 {
    pub(super) value: f64,
    persistence: f64,
    innovation: f64,
}

impl Ar1 {
    pub(super) fn new(persistence: f64, random: &mut Random) -> Self {
        let innovation = (1.0 - persistence * persistence).sqrt();
        Self { value: random.normal(), persistence, innovation }
    }

    pub(super) fn step(&mut self, random: &mut Random) {
        self.value = self.persistence * self.value + self.innovation * random.normal();
    }
}

/// What a stream is for.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Path,
    Planted,
    Flow,
    Funding,
}

/// xoshiro256++ 1.0 (Blackman and Vigna, *ACM Trans. Math. Softw.* 47, 2021), seeded by `SplitMix64`.
pub(super) struct Random {
    state: [u64; 4],
    spare: Option<f64>,
}

impl Random {
    pub(super) fn new(seed: u64, symbol: u64, purpose: Purpose) -> Self {
        let mut mixed = seed;
        let mut at = splitmix64(&mut mixed) ^ symbol;
        at = splitmix64(&mut at) ^ purpose as u64;
        Self { state: std::array::from_fn(|_| splitmix64(&mut at)), spare: None }
    }

    pub(super) fn next(&mut self) -> u64 {
        let s = &mut self.state;
        let out = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        out
    }

    /// Uniform in [0, 1), a multiple of 2^-53.
    pub(super) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn exponential(&mut self) -> f64 {
        -ln(1.0 - self.uniform())
    }

    /// Standard normal by Marsaglia's polar method: one logarithm for two values, no trigonometry.
    pub(super) fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let u = 2.0 * self.uniform() - 1.0;
            let v = 2.0 * self.uniform() - 1.0;
            let square = u * u + v * v;
            if square > 0.0 && square < 1.0 {
                let stretch = (-2.0 * ln(square) / square).sqrt();
                self.spare = Some(v * stretch);
                return u * stretch;
            }
        }
    }
}

fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of the authors' C sources (`xoshiro256plusplus.c`, `splitmix64.c`), as in the tests of `rand_xoshiro`.
    #[test]
    fn generators_give_the_published_numbers() {
        let mut random = Random { state: [1, 2, 3, 4], spare: None };
        let first: Vec<u64> = (0..4).map(|_| random.next()).collect();
        assert_eq!(first, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
        assert_eq!(splitmix64(&mut 0), 0xe220_a839_7b1d_cdaf);
    }
}
