//! Lines that volume adds up to from the first bar on, and the mean price of the day.

use super::node::{Kernel, Memory, Visit, node};
use super::operators::{quotient, relative};
use super::parts::ROW;
use super::registry::{Function, Input};
use super::undefined::defined;
use crate::numeric::Sum;

/// Volume times return, added up.
#[derive(Clone)]
struct PriceVolumeTrend {
    before: f64,
    total: Sum,
}

impl Kernel<2, 1> for PriceVolumeTrend {
    fn step(&mut self, _at: i64, [close, volume]: [f64; 2]) -> [f64; 1] {
        if close.is_nan() || volume.is_nan() {
            return [f64::NAN];
        }
        let before = std::mem::replace(&mut self.before, close);
        let term = defined(volume * relative(close, before));
        if !term.is_nan() {
            self.total.add(term);
        }
        [defined(self.total.value())]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.float(&mut self.before);
        for part in self.total.parts() {
            state.float(part);
        }
    }
}

/// Growth of the price over bars whose volume rose, or fell.
#[derive(Clone)]
struct VolumeIndex {
    close: f64,
    volume: f64,
    index: f64,
    rising: bool,
}

impl VolumeIndex {
    fn new(rising: bool) -> Self {
        Self { close: f64::NAN, volume: f64::NAN, index: 1.0, rising }
    }
}

impl Kernel<2, 1> for VolumeIndex {
    fn step(&mut self, _at: i64, [close, volume]: [f64; 2]) -> [f64; 1] {
        if close.is_nan() || volume.is_nan() {
            return [f64::NAN];
        }
        let before = std::mem::replace(&mut self.close, close);
        let old = std::mem::replace(&mut self.volume, volume);
        let counts = if self.rising { volume > old } else { volume < old };
        let index = self.index * quotient(close, before);
        if counts && index.is_finite() {
            self.index = index;
        }
        [self.index]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.float(&mut self.close);
        state.float(&mut self.volume);
        state.float(&mut self.index);
    }
}

const DAY_MS: f64 = 86_400_000.0;

/// Volume-weighted mean price since midnight.
#[derive(Clone)]
struct DayVwap {
    day: f64,
    traded: Sum,
    volume: Sum,
}

impl Kernel<5, 1> for DayVwap {
    fn step(&mut self, _at: i64, x: [f64; 5]) -> [f64; 1] {
        if x.iter().any(|x| x.is_nan()) {
            return [f64::NAN];
        }
        let [time, high, low, close, volume] = x;
        let day = (time / DAY_MS).floor();
        if day != self.day {
            (self.day, self.traded, self.volume) = (day, Sum::default(), Sum::default());
        }
        self.traded.add((high + low + close) / 3.0 * volume);
        self.volume.add(volume);
        [defined(relative(close, quotient(self.traded.value(), self.volume.value())))]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.float(&mut self.day);
        for part in self.traded.parts().into_iter().chain(self.volume.parts()) {
            state.float(part);
        }
    }
}

const CLOSE_VOLUME: &[Input] = &[Input::Column("close"), Input::Column("volume")];

const ONE: Function = Function {
    family: "volume lines",
    inputs: CLOSE_VOLUME,
    memory: |_| Memory::Cumulative,
    ..ROW
};

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "price_volume_trend",
        known_as: &["volume_price_trend"],
        build: |_| node(PriceVolumeTrend { before: f64::NAN, total: Sum::default() }),
        summary: "Volume times return, added up",
        formula: "Sum of volume[t] (close[t] / close[t - 1] - 1) from the second bar on, 0 at the first; in base units. Its \
                  level depends on where it starts: use its changes.",
        source: "Definition in use; a refinement of J. Granville's on-balance volume.",
        ..ONE
    },
    Function {
        name: "nvi",
        known_as: &["negative_volume_index"],
        build: |_| node(VolumeIndex::new(false)),
        summary: "Growth of the close over bars whose volume fell",
        formula: "1 at the first bar, then times close[t] / close[t - 1] where volume[t] < volume[t - 1]; > 0. Its level \
                  depends on where it starts: use its ratios.",
        source: "P. Dysart, 1936; N. Fosback, Stock Market Logic, 1976, starts at 1000.",
        ..ONE
    },
    Function {
        name: "pvi",
        known_as: &["positive_volume_index"],
        build: |_| node(VolumeIndex::new(true)),
        summary: "Growth of the close over bars whose volume rose",
        formula: "1 at the first bar, then times close[t] / close[t - 1] where volume[t] > volume[t - 1]; > 0. Its level \
                  depends on where it starts: use its ratios.",
        source: "As nvi.",
        ..ONE
    },
    Function {
        name: "day_vwap_ratio",
        known_as: &["session_vwap", "anchored_vwap"],
        inputs: &[
            Input::Column("open_time"),
            Input::Column("high"),
            Input::Column("low"),
            Input::Column("close"),
            Input::Column("volume"),
        ],
        build: |_| node(DayVwap { day: f64::NAN, traded: Sum::default(), volume: Sum::default() }),
        summary: "How far the close lies above the volume-weighted mean price of its day",
        formula: "close / v - 1, v = sum(tp volume) / sum(volume) over the bars of the same day UTC so far, tp = (high + low + \
                  close) / 3; a fraction, NaN where nothing was traded yet. A start inside a day shows until the day ends.",
        source: "Definition.",
        ..ONE
    },
];

#[cfg(test)]
mod tests {
    use crate::features::contract::single;

    #[test]
    fn lines_by_hand() {
        let (close, volume) = ([2.0, 4.0, 1.0, 2.0], [1.0, 3.0, 2.0, 2.0]);
        let got = single("price_volume_trend", &[], &[&close, &volume]);
        assert_eq!(got, [0.0, 3.0, 1.5, 3.5]);
        assert_eq!(single("nvi", &[], &[&close, &volume]), [1.0, 1.0, 0.25, 0.25]);
        assert_eq!(single("pvi", &[], &[&close, &volume]), [1.0, 2.0, 2.0, 2.0]);
        let time = [0.0, 1.0, 86_400_000.0, 86_400_001.0];
        let got = single("day_vwap_ratio", &[], &[&time, &close, &close, &close, &volume]);
        for (got, want) in got.iter().zip([0.0, 1.0 / 7.0, 0.0, 1.0 / 3.0]) {
            assert!((got - want).abs() < 1e-15, "{got} {want}");
        }
    }
}
