//! Which instructions the searches use: chosen at run time, same answers on all.
//!
//! One wheel serves every x86-64 machine (and others, by the portable path). A search asks of sixteen values at once
//! which of them meet a level; the paths differ in how many instructions that takes. They only compare and select, and
//! never add or multiply, so no bit of a result can depend on the path.
//!
//! Bodies are generic over [`Masks`] and forced inline into one function a path that is compiled for its instructions
//! (`searches!` in `market/search.rs`); the choice costs a branch that is always predicted.

// Bodies must end up inside the functions that are compiled for a path, or their instructions are not used.
#![allow(clippy::inline_always)]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::{Error, Result};

/// Values that one mask tells about.
pub const WIDTH: usize = 16;

/// A set of instructions that this machine has; nobody can make one that it has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Simd(Path);

/// A set of instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    /// What every machine has.
    Portable,
    /// 256-bit vectors.
    Avx2,
    /// 512-bit vectors with masks.
    Avx512,
}

/// Environment variable that forces a path.
pub const VARIABLE: &str = "BARPROOF_SIMD";

/// Path that was last chosen, by its place in [`Path::ALL`]; past its end where none was yet.
static LAST: AtomicU8 = AtomicU8::new(u8::MAX);

impl Path {
    /// All, the plainest first.
    const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("bmi1")
                    && is_x86_feature_detected!("bmi2")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }
}

impl Simd {
    /// Which it is.
    pub fn path(self) -> Path {
        self.0
    }

    /// Whether 256-bit vectors are there.
    pub fn has_avx2(self) -> bool {
        self.0 >= Path::Avx2
    }

    /// Name in [`VARIABLE`].
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// All that this machine has, the plainest first.
    pub fn available() -> Vec<Self> {
        Path::ALL.into_iter().filter(|path| path.is_available()).map(Self).collect()
    }

    /// The widest that this machine has.
    pub fn best() -> Self {
        static BEST: OnceLock<Simd> = OnceLock::new();
        *BEST.get_or_init(|| Self::available().last().copied().unwrap_or(Self(Path::Portable)))
    }

    /// What the environment asks for, or the best. Every call from outside asks once, at its door.
    pub fn chosen() -> Result<Self> {
        let chosen = match std::env::var(VARIABLE) {
            Ok(name) if !name.is_empty() => Self::named(&name)?,
            _ => Self::best(),
        };
        LAST.store(chosen.0 as u8, Ordering::Relaxed);
        Ok(chosen)
    }

    /// What [`Simd::chosen`] last gave, else the best: for loops too deep to be handed a [`Simd`]. Two calls at once
    /// that chose differently may mix paths, which changes no bit.
    pub fn current() -> Self {
        let last = usize::from(LAST.load(Ordering::Relaxed));
        Path::ALL.get(last).map_or_else(Self::best, |path| Self(*path))
    }

    fn named(name: &str) -> Result<Self> {
        let Some(path) = Path::ALL.into_iter().find(|path| path.name() == name) else {
            let all = Path::ALL.map(Path::name).join(", ");
            return Err(Error::parameter(VARIABLE, name, format!("one of {all}")));
        };
        if !path.is_available() {
            let most = Self::best().name();
            let bound = format!("what this machine has: it goes up to {most}");
            return Err(Error::parameter(VARIABLE, name, bound));
        }
        Ok(Self(path))
    }
}

/// Sixteen comparisons at once; bit `k` of a mask tells of value `k`, and NaN meets nothing.
pub trait Masks {
    /// Which values are at or above `level`.
    ///
    /// # Safety
    /// The machine must have the instructions of the path.
    unsafe fn at_least(values: &[f64; WIDTH], level: f64) -> u32;

    /// Which values are at or below `level`.
    ///
    /// # Safety
    /// The machine must have the instructions of the path.
    unsafe fn at_most(values: &[f64; WIDTH], level: f64) -> u32;

    /// Lowest of `low` and highest of `high` so far, in lanes.
    type Lanes: Copy;

    /// Before any value: infinities.
    ///
    /// # Safety
    /// The machine must have the instructions of the path.
    unsafe fn lanes() -> Self::Lanes;

    /// Takes the values whose bit is set in `mask`.
    ///
    /// # Safety
    /// The machine must have the instructions of the path.
    unsafe fn spread(
        lanes: Self::Lanes,
        low: &[f64; WIDTH],
        high: &[f64; WIDTH],
        mask: u32,
    ) -> Self::Lanes;

    /// The lowest and the highest.
    ///
    /// # Safety
    /// The machine must have the instructions of the path.
    unsafe fn ends(lanes: Self::Lanes) -> (f64, f64);
}

fn lower(a: f64, b: f64) -> f64 {
    if b < a { b } else { a }
}

fn higher(a: f64, b: f64) -> f64 {
    if b > a { b } else { a }
}

/// Plain code.
#[derive(Debug)]
pub struct Plain;

impl Masks for Plain {
    #[inline(always)]
    unsafe fn at_least(values: &[f64; WIDTH], level: f64) -> u32 {
        let mut mask = 0;
        for (bit, value) in values.iter().enumerate() {
            mask |= u32::from(*value >= level) << bit;
        }
        mask
    }

    #[inline(always)]
    unsafe fn at_most(values: &[f64; WIDTH], level: f64) -> u32 {
        let mut mask = 0;
        for (bit, value) in values.iter().enumerate() {
            mask |= u32::from(*value <= level) << bit;
        }
        mask
    }

    type Lanes = [[f64; 2]; 2];

    #[inline(always)]
    unsafe fn lanes() -> Self::Lanes {
        [[f64::INFINITY; 2], [f64::NEG_INFINITY; 2]]
    }

    #[inline(always)]
    unsafe fn spread(
        mut lanes: Self::Lanes,
        low: &[f64; WIDTH],
        high: &[f64; WIDTH],
        mask: u32,
    ) -> Self::Lanes {
        for k in 0..WIDTH {
            let inside = mask >> k & 1 == 1;
            let (l, h) = (lanes[0][k % 2], lanes[1][k % 2]);
            lanes[0][k % 2] = if inside { lower(l, low[k]) } else { l };
            lanes[1][k % 2] = if inside { higher(h, high[k]) } else { h };
        }
        lanes
    }

    #[inline(always)]
    unsafe fn ends(lanes: Self::Lanes) -> (f64, f64) {
        (lower(lanes[0][0], lanes[0][1]), higher(lanes[1][0], lanes[1][1]))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256d, __m512d, _CMP_GE_OQ, _CMP_LE_OQ, _mm256_and_si256, _mm256_blendv_pd,
        _mm256_castsi256_pd, _mm256_cmp_pd, _mm256_cmpeq_epi64, _mm256_loadu_pd, _mm256_max_pd,
        _mm256_min_pd, _mm256_movemask_pd, _mm256_set1_epi64x, _mm256_set1_pd, _mm256_setr_epi64x,
        _mm256_storeu_pd, _mm512_cmp_pd_mask, _mm512_loadu_pd, _mm512_mask_max_pd,
        _mm512_mask_min_pd, _mm512_set1_pd, _mm512_storeu_pd,
    };

    use super::{Masks, WIDTH, higher, lower};

    /// Four vectors of four.
    #[derive(Debug)]
    pub struct Quads;

    impl Quads {
        #[inline(always)]
        unsafe fn compare<const HOW: i32>(values: &[f64; WIDTH], level: f64) -> u32 {
            // SAFETY: the caller has AVX; the loads stay within the sixteen values.
            unsafe {
                let level = _mm256_set1_pd(level);
                let mut mask = 0;
                for part in 0..4 {
                    let part_values = _mm256_loadu_pd(values.as_ptr().add(4 * part));
                    let hit = _mm256_movemask_pd(_mm256_cmp_pd::<HOW>(part_values, level));
                    mask |= hit.cast_unsigned() << (4 * part);
                }
                mask
            }
        }
    }

    impl Masks for Quads {
        #[inline(always)]
        unsafe fn at_least(values: &[f64; WIDTH], level: f64) -> u32 {
            // SAFETY: as the caller's.
            unsafe { Self::compare::<_CMP_GE_OQ>(values, level) }
        }

        #[inline(always)]
        unsafe fn at_most(values: &[f64; WIDTH], level: f64) -> u32 {
            // SAFETY: as the caller's.
            unsafe { Self::compare::<_CMP_LE_OQ>(values, level) }
        }

        type Lanes = (__m256d, __m256d);

        #[inline(always)]
        unsafe fn lanes() -> Self::Lanes {
            // SAFETY: as the caller's.
            unsafe { (_mm256_set1_pd(f64::INFINITY), _mm256_set1_pd(f64::NEG_INFINITY)) }
        }

        #[inline(always)]
        unsafe fn spread(
            (mut lowest, mut highest): Self::Lanes,
            low: &[f64; WIDTH],
            high: &[f64; WIDTH],
            mask: u32,
        ) -> Self::Lanes {
            // SAFETY: as the caller's; the loads stay within the sixteen values.
            unsafe {
                let bits = _mm256_setr_epi64x(1, 2, 4, 8);
                for part in 0..4 {
                    let chosen = _mm256_set1_epi64x(i64::from(mask >> (4 * part)));
                    let chosen = _mm256_cmpeq_epi64(_mm256_and_si256(chosen, bits), bits);
                    let chosen = _mm256_castsi256_pd(chosen);
                    let lows = _mm256_loadu_pd(low.as_ptr().add(4 * part));
                    let highs = _mm256_loadu_pd(high.as_ptr().add(4 * part));
                    lowest = _mm256_blendv_pd(lowest, _mm256_min_pd(lows, lowest), chosen);
                    highest = _mm256_blendv_pd(highest, _mm256_max_pd(highs, highest), chosen);
                }
                (lowest, highest)
            }
        }

        #[inline(always)]
        unsafe fn ends((lowest, highest): Self::Lanes) -> (f64, f64) {
            let (mut low, mut high) = ([0.0; 4], [0.0; 4]);
            // SAFETY: as the caller's; four values are stored where four are.
            unsafe {
                _mm256_storeu_pd(low.as_mut_ptr(), lowest);
                _mm256_storeu_pd(high.as_mut_ptr(), highest);
            }
            (
                low.into_iter().fold(f64::INFINITY, lower),
                high.into_iter().fold(f64::NEG_INFINITY, higher),
            )
        }
    }

    /// Two vectors of eight.
    #[derive(Debug)]
    pub struct Octets;

    impl Octets {
        #[inline(always)]
        unsafe fn compare<const HOW: i32>(values: &[f64; WIDTH], level: f64) -> u32 {
            // SAFETY: the caller has AVX-512F; the loads stay within the sixteen values.
            unsafe {
                let level = _mm512_set1_pd(level);
                let low = _mm512_cmp_pd_mask::<HOW>(_mm512_loadu_pd(values.as_ptr()), level);
                let high =
                    _mm512_cmp_pd_mask::<HOW>(_mm512_loadu_pd(values.as_ptr().add(8)), level);
                u32::from(low) | u32::from(high) << 8
            }
        }
    }

    impl Masks for Octets {
        #[inline(always)]
        unsafe fn at_least(values: &[f64; WIDTH], level: f64) -> u32 {
            // SAFETY: as the caller's.
            unsafe { Self::compare::<_CMP_GE_OQ>(values, level) }
        }

        #[inline(always)]
        unsafe fn at_most(values: &[f64; WIDTH], level: f64) -> u32 {
            // SAFETY: as the caller's.
            unsafe { Self::compare::<_CMP_LE_OQ>(values, level) }
        }

        type Lanes = (__m512d, __m512d);

        #[inline(always)]
        unsafe fn lanes() -> Self::Lanes {
            // SAFETY: as the caller's.
            unsafe { (_mm512_set1_pd(f64::INFINITY), _mm512_set1_pd(f64::NEG_INFINITY)) }
        }

        #[inline(always)]
        #[allow(clippy::cast_possible_truncation)] // eight bits of the mask at a time
        unsafe fn spread(
            (mut lowest, mut highest): Self::Lanes,
            low: &[f64; WIDTH],
            high: &[f64; WIDTH],
            mask: u32,
        ) -> Self::Lanes {
            // SAFETY: as the caller's; the loads stay within the sixteen values.
            unsafe {
                for part in 0..2 {
                    let chosen = (mask >> (8 * part)) as u8;
                    let lows = _mm512_loadu_pd(low.as_ptr().add(8 * part));
                    let highs = _mm512_loadu_pd(high.as_ptr().add(8 * part));
                    lowest = _mm512_mask_min_pd(lowest, chosen, lows, lowest);
                    highest = _mm512_mask_max_pd(highest, chosen, highs, highest);
                }
                (lowest, highest)
            }
        }

        #[inline(always)]
        unsafe fn ends((lowest, highest): Self::Lanes) -> (f64, f64) {
            let (mut low, mut high) = ([0.0; 8], [0.0; 8]);
            // SAFETY: as the caller's; eight values are stored where eight are.
            unsafe {
                _mm512_storeu_pd(low.as_mut_ptr(), lowest);
                _mm512_storeu_pd(high.as_mut_ptr(), highest);
            }
            (
                low.into_iter().fold(f64::INFINITY, lower),
                high.into_iter().fold(f64::NEG_INFINITY, higher),
            )
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Octets, Quads};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_known_by_name() {
        for simd in Simd::available() {
            assert_eq!(Simd::named(simd.name()).unwrap(), simd);
        }
        assert_eq!(
            Simd::named("sse9").unwrap_err().to_string(),
            "`BARPROOF_SIMD` must be one of portable, avx2, avx512, was sse9"
        );
        assert_eq!(Simd::available()[0].path(), Path::Portable);
    }

    #[test]
    fn masks_tell_of_every_value_and_of_nan_nothing() {
        let nan = f64::NAN;
        let inf = f64::INFINITY;
        let values =
            [0.5, nan, 1.0, -1.0, 2.0, inf, -inf, 1.0, 0.0, 1.5, nan, 0.9, 1.1, -0.0, 3.0, 1.0];
        let bits = |hit: &dyn Fn(f64) -> bool| {
            values.iter().enumerate().map(|(k, v)| u32::from(hit(*v)) << k).sum::<u32>()
        };
        for level in [0.0, 1.0, -inf, inf, nan] {
            let (up, down) = (bits(&|v| v >= level), bits(&|v| v <= level));
            // SAFETY: each path is asked for only where the machine has it.
            unsafe {
                assert_eq!(
                    (Plain::at_least(&values, level), Plain::at_most(&values, level)),
                    (up, down)
                );
                #[cfg(target_arch = "x86_64")]
                {
                    if Path::Avx2.is_available() {
                        let found =
                            (Quads::at_least(&values, level), Quads::at_most(&values, level));
                        assert_eq!(found, (up, down));
                    }
                    if Path::Avx512.is_available() {
                        let found =
                            (Octets::at_least(&values, level), Octets::at_most(&values, level));
                        assert_eq!(found, (up, down));
                    }
                }
            }
        }
    }
}
