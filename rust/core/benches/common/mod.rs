//! The market of the benches: a walk, the same on every machine, and a signal without knowledge.

use barproof_core::bars::{Bars, Columns, Funding};
use barproof_core::signals::{SignalKind, Signals};

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Minutes with steps of about a tenth of a per cent, funding every eight hours.
pub fn columns(n: usize) -> Columns {
    let mut random = Random(7);
    let mut columns = Columns::default();
    let mut price = 100.0;
    for time in (1_700_006_400_000_i64..).step_by(60_000).take(n) {
        let mut step = |scale: f64| 1.0 + scale * (random.unit() - 0.5);
        let close = price * step(0.003);
        columns.open_time.push(time);
        columns.open.push(price);
        columns.high.push(price.max(close) * step(0.001).max(1.0));
        columns.low.push(price.min(close) * step(0.001).min(1.0));
        columns.close.push(close);
        columns.volume.push(1.0);
        price = close;
    }
    columns
}

/// Bars of the columns.
pub fn bars(columns: &Columns) -> Bars {
    let times: Vec<i64> =
        columns.open_time.iter().copied().filter(|t| t % 28_800_000 == 0).collect();
    let rates = vec![1e-4; times.len()];
    let funding = Funding::new(&times, rates).expect("times increase");
    Bars::new(columns.clone(), 60_000, Some(funding), vec![]).expect("a walk of positive prices")
}

/// Uniform probabilities for both sides.
pub fn probabilities(n: usize) -> [Vec<f64>; 2] {
    let mut random = Random(11);
    [(); 2].map(|()| (0..n).map(|_| random.unit()).collect())
}

/// Signals of the probabilities.
pub fn signals([long, short]: [Vec<f64>; 2]) -> Signals {
    let mut arrays: [Option<Vec<f64>>; 7] = Default::default();
    arrays[0] = Some(long);
    arrays[1] = Some(short);
    Signals::new(SignalKind::Probability, arrays).expect("in [0, 1]")
}
