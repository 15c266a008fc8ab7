//! Statistics where the interpreter is too slow: resampling, CSCV, tests of the best of many.
//!
//! Results have the same bits for any number of threads: every task writes its own slots, and what is added up over
//! tasks are counts.

/// Compiles a body once for each set of instructions, and sends calls to that of the machine.
///
/// Bodies add and multiply lane by lane in one order, and nothing is fused: every path gives the same bits.
macro_rules! on_every_path {
    ($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? = $body:ident) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments)] // those of the body
        fn $name(simd: crate::simd::Simd, $($argument: $type),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            #[allow(clippy::too_many_arguments)] // as above
            #[target_feature(enable = "avx2,bmi1,bmi2")]
            fn avx2($($argument: $type),*) $(-> $result)? {
                $body($($argument),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[allow(clippy::too_many_arguments)] // as above
            #[target_feature(enable = "avx2,bmi1,bmi2,avx512f,avx512vl")]
            fn avx512($($argument: $type),*) $(-> $result)? {
                $body($($argument),*)
            }
            match simd.path() {
                crate::simd::Path::Portable => $body($($argument),*),
                // SAFETY: a `Simd` is made only of what this machine has.
                #[cfg(target_arch = "x86_64")]
                crate::simd::Path::Avx2 => unsafe { avx2($($argument),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                crate::simd::Path::Avx512 => unsafe { avx512($($argument),*) },
                #[cfg(not(target_arch = "x86_64"))]
                _ => $body($($argument),*),
            }
        }
    };
}

pub mod bootstrap;
pub mod cscv;
pub mod superior;

pub use crate::progress::Progress;
use crate::{Error, Result};

/// Returns of several trials over the same periods, one trial after the other.
#[derive(Clone, Copy, Debug)]
pub struct Panel<'a> {
    values: &'a [f64],
    periods: usize,
}

impl<'a> Panel<'a> {
    /// Checks that the values fill whole trials and are finite.
    pub fn new(values: &'a [f64], periods: usize) -> Result<Self> {
        if periods == 0 || values.is_empty() || !values.len().is_multiple_of(periods) {
            return Err(Error::parameter("periods", periods, "a divisor of the number of returns"));
        }
        if let Some(at) = values.iter().position(|x| !x.is_finite()) {
            let name = format!("return {} of trial {}", at % periods, at / periods);
            return Err(Error::parameter(name, values[at], "finite"));
        }
        Ok(Self { values, periods })
    }

    /// Number of trials.
    pub fn trials(&self) -> usize {
        self.values.len() / self.periods
    }

    /// Returns of one trial.
    pub fn trial(&self, number: usize) -> &'a [f64] {
        &self.values[number * self.periods..][..self.periods]
    }
}

fn pool(threads: usize) -> Result<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|e| Error::parameter("threads", threads, format!("startable ({e})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_are_whole_and_finite() {
        assert!(Panel::new(&[1.0, 2.0, 3.0], 2).is_err());
        assert!(Panel::new(&[], 2).is_err());
        let error = Panel::new(&[1.0, 2.0, 3.0, f64::NAN], 2).unwrap_err();
        assert_eq!(error.to_string(), "`return 1 of trial 1` must be finite, was NaN");
        let error = Panel::new(&[1.0, 2.0, 3.0, 1.0, 2.0, f64::INFINITY], 3).unwrap_err();
        assert_eq!(error.to_string(), "`return 2 of trial 1` must be finite, was inf");
        assert!(Panel::new(&[1.0], 0).is_err());
        let values = [1.0, 2.0, 3.0, 4.0];
        let panel = Panel::new(&values, 2).unwrap();
        assert_eq!((panel.trials(), panel.trial(1)), (2, &values[2..]));
    }
}
