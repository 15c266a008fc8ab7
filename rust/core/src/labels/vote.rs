//! k of n: a label where enough others agree.

use rayon::prelude::*;

use super::{SHARE, on_threads};
use crate::{Error, Result};

/// What `k` of the ballots say: 1 or -1 where at least `k` do, else 0; NaN where one of them is.
///
/// With both classes at `k` or more, which needs `2 k <= n`, nothing is decided and the label is 0.
pub fn vote(ballots: &[&[f64]], k: usize, threads: usize) -> Result<Vec<f64>> {
    let n = ballots.first().map_or(0, |first| first.len());
    if let Some((number, other)) = ballots.iter().enumerate().find(|(_, b)| b.len() != n) {
        return Err(Error::Length {
            name: format!("labels {number}"),
            len: other.len(),
            other: "the first labels",
            other_len: n,
        });
    }
    let mut out = vec![f64::NAN; n];
    on_threads(threads, || {
        out.par_chunks_mut(SHARE).enumerate().for_each(|(number, part)| {
            for (offset, slot) in part.iter_mut().enumerate() {
                let at = number * SHARE + offset;
                let said = |what: f64| ballots.iter().filter(|ballot| ballot[at] == what).count();
                if ballots.iter().any(|ballot| ballot[at].is_nan()) {
                    continue;
                }
                *slot = match (said(1.0) >= k, said(-1.0) >= k) {
                    (true, false) => 1.0,
                    (false, true) => -1.0,
                    _ => 0.0,
                };
            }
        });
        Ok(())
    })?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_agree_or_nobody_decides() {
        let nan = f64::NAN;
        let (a, b, c) = ([1.0, 1.0, -1.0, nan], [1.0, -1.0, -1.0, 1.0], [0.0, 0.0, -1.0, 1.0]);
        let two = vote(&[&a, &b, &c], 2, 1).unwrap();
        assert_eq!(two[..3], [1.0, 0.0, -1.0]);
        assert!(two[3].is_nan());
        assert_eq!(vote(&[&a, &b, &c], 1, 2).unwrap()[1], 0.0);
        assert!(vote(&[&a, &b[..2]], 1, 1).is_err());
    }
}
