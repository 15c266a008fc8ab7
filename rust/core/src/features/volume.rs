//! Volume: how much was traded, at what price, and by whom.

use super::node::{Kernel, Memory, Visit, node};
use super::operators::{quotient, relative};
use super::registry::{Function, Input, Parameter, consistent, count};
use super::rolling::ZScore;
use super::wide;
use super::window::{Total, Window, Windowed, bars};
use crate::numeric::Sum;

/// Granville's on-balance volume.
#[derive(Clone, Debug)]
pub struct Obv {
    /// NaN before the first bar.
    previous: f64,
    total: Sum,
}

impl Kernel<2, 1> for Obv {
    fn step(&mut self, _at: i64, [close, volume]: [f64; 2]) -> [f64; 1] {
        if close.is_nan() || volume.is_nan() {
            return [f64::NAN];
        }
        let before = std::mem::replace(&mut self.previous, close);
        if before.is_nan() || close > before {
            self.total.add(volume);
        } else if close < before {
            self.total.add(-volume);
        }
        [self.total.value()]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        state.float(&mut self.previous);
        for part in self.total.parts() {
            state.float(part);
        }
    }
}

/// Money flow index.
#[derive(Clone, Debug)]
pub struct Mfi {
    up: Window<Total>,
    down: Window<Total>,
    /// Typical price of the bar before; NaN before the first.
    previous: f64,
}

impl Kernel<4, 1> for Mfi {
    fn step(&mut self, at: i64, [high, low, close, volume]: [f64; 4]) -> [f64; 1] {
        let typical = (high + low + close) / 3.0;
        let before = std::mem::replace(&mut self.previous, typical);
        let flow = typical * volume;
        let up = self.up.push(at, signed(typical, before, flow));
        [match (up, self.down.push(at, signed(before, typical, flow))) {
            (Some(up), Some(down)) => balance(up.value(), down.value()),
            _ => f64::NAN,
        }]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.up.visit(state);
        self.down.visit(state);
        state.float(&mut self.previous);
    }

    fn block(&mut self, at: &[i64], [high, low, close, volume]: [&[f64]; 4], [y]: [&mut [f64]; 1]) {
        let n = y.len();
        wide::scratch(|scratch| {
            let [typical, up, down, flow] = scratch.columns(n + 1);
            typical[0] = self.previous;
            wide::each([high, low, close], &mut typical[1..=n], |[high, low, close]| {
                (high + low + close) / 3.0
            });
            self.previous = typical[n];
            let (before, typical) = (&typical[..n], &typical[1..=n]);
            let (up, down, flow) = (&mut up[..n], &mut down[..n], &mut flow[..n]);
            wide::each([typical, volume], flow, |[typical, volume]| typical * volume);
            wide::each([typical, before, flow], up, |[a, b, flow]| signed(a, b, flow));
            wide::each([before, typical, flow], down, |[a, b, flow]| signed(a, b, flow));
            self.up.fill(at, up, [&mut *flow], |fold, _| [fold.value()]);
            self.down.fill(at, down, [&mut *y], |fold, _| [fold.value()]);
            up.copy_from_slice(y);
            wide::each([&*flow, &*up], y, |[up, down]| balance(up, down));
        });
    }
}

/// The flow where `x` lies above `y`; NaN where any is.
#[inline]
fn signed(x: f64, y: f64, flow: f64) -> f64 {
    if x.is_nan() || y.is_nan() || flow.is_nan() {
        f64::NAN
    } else if x > y {
        flow
    } else {
        0.0
    }
}

#[inline]
fn balance(up: f64, down: f64) -> f64 {
    let all = up + down;
    if all == 0.0 { 50.0 } else { 100.0 * (up / all) }
}

/// How far the close lies above the volume-weighted mean price of a window.
#[derive(Clone, Debug)]
pub struct VwapRatio {
    traded: Window<Total>,
    volume: Window<Total>,
}

impl Kernel<4, 1> for VwapRatio {
    fn step(&mut self, at: i64, [high, low, close, volume]: [f64; 4]) -> [f64; 1] {
        let typical = (high + low + close) / 3.0;
        // Both see the same NaN, so that both windows are full together.
        let traded = typical * volume;
        let volume = if traded.is_nan() { f64::NAN } else { volume };
        [match (self.traded.push(at, traded), self.volume.push(at, volume)) {
            (Some(traded), Some(volume)) => {
                relative(close, quotient(traded.value(), volume.value()))
            }
            _ => f64::NAN,
        }]
    }

    fn visit(&mut self, state: &mut dyn Visit) {
        self.traded.visit(state);
        self.volume.visit(state);
    }

    fn block(&mut self, at: &[i64], [high, low, close, volume]: [&[f64]; 4], [y]: [&mut [f64]; 1]) {
        let n = y.len();
        wide::scratch(|scratch| {
            let [traded, known, paid, total] = scratch.columns(n);
            let (traded, known) = (&mut traded[..n], &mut known[..n]);
            wide::each([high, low, close, volume], traded, |[high, low, close, volume]| {
                (high + low + close) / 3.0 * volume
            });
            wide::each(
                [traded, volume],
                known,
                |[traded, volume]| {
                    if traded.is_nan() { f64::NAN } else { volume }
                },
            );
            self.traded.fill(at, traded, [&mut paid[..n]], |fold, _| [fold.value()]);
            self.volume.fill(at, known, [&mut total[..n]], |fold, _| [fold.value()]);
            wide::each([close, paid, total], y, |[close, paid, total]| {
                relative(close, quotient(paid, total))
            });
        });
    }
}

/// Share of volume bought by takers less the share sold by them.
#[derive(Clone, Debug)]
pub struct TakerImbalance;

impl Kernel<2, 1> for TakerImbalance {
    #[inline]
    fn step(&mut self, _at: i64, [bought, volume]: [f64; 2]) -> [f64; 1] {
        [if volume == 0.0 && !bought.is_nan() { 0.0 } else { 2.0 * bought / volume - 1.0 }]
    }

    fn visit(&mut self, _state: &mut dyn Visit) {}
}

const BAR_AND_VOLUME: &[Input] =
    &[Input::Column("high"), Input::Column("low"), Input::Column("close"), Input::Column("volume")];

/// Rows of this family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "obv",
        known_as: &["on_balance_volume"],
        family: "volume",
        inputs: &[Input::Column("close"), Input::Column("volume")],
        parameters: &[],
        outputs: &[],
        memory: |_| Memory::Cumulative,
        warmup: |_| 0,
        delays: |_| [0, 0],
        check: consistent,
        build: |_| node(Obv { previous: f64::NAN, total: Sum::default() }),
        summary: "On-balance volume",
        formula: "Starts at the first volume; adds the volume of bars that close higher than the bar before, subtracts \
                  that of bars that close lower. Its level depends on where it starts: use its changes.",
        source: "J. Granville, 1963; as OBV of TA-Lib.",
    },
    Function {
        name: "mfi",
        known_as: &["money_flow_index", "money_flow"],
        family: "volume",
        inputs: BAR_AND_VOLUME,
        parameters: &[Parameter::window("period", 2, Some(14.0))],
        outputs: &[],
        memory: |p| Memory::Finite(bars(p[0]) + 1),
        warmup: |p| bars(p[0]),
        delays: |_| [0, 0],
        check: consistent,
        build: |p| {
            node(Mfi {
                up: Window::new(count(p[0])),
                down: Window::new(count(p[0])),
                previous: f64::NAN,
            })
        },
        summary: "Money flow index",
        formula: "100 * up / (up + down) over period bars, up and down the sums of tp * volume of bars whose typical \
                  price tp = (high + low + close) / 3 rose or fell; in [0, 100], 50 where there was no flow.",
        source: "G. Quong and A. Soudack, 1989; as MFI of TA-Lib, which gives 0 where the flow is below 1.",
    },
    Function {
        name: "volume_zscore",
        known_as: &["volz", "volume_z", "zscore_volume"],
        family: "volume",
        inputs: &[Input::Column("volume")],
        parameters: &[Parameter::window("period", 2, None)],
        outputs: &[],
        memory: |p| Memory::Finite(bars(p[0])),
        warmup: |p| bars(p[0]) - 1,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Windowed::<ZScore>::new(count(p[0]))),
        summary: "Distance of the volume from its mean in standard deviations",
        formula: "(volume - mean) / sd over period bars, sd with ddof 0; NaN where they are all equal.",
        source: "Definition.",
    },
    Function {
        name: "vwap_ratio",
        known_as: &["close_to_vwap", "vwap_distance"],
        family: "volume",
        inputs: BAR_AND_VOLUME,
        parameters: &[Parameter::window("period", 1, None)],
        outputs: &[],
        memory: |p| Memory::Finite(bars(p[0])),
        warmup: |p| bars(p[0]) - 1,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| {
            node(VwapRatio { traded: Window::new(count(p[0])), volume: Window::new(count(p[0])) })
        },
        summary: "How far the close lies above the rolling volume-weighted mean price",
        formula: "close / vwap - 1, vwap = sum(tp * volume) / sum(volume) over period bars with tp = (high + low + \
                  close) / 3; NaN where nothing was traded.",
        source: "Definition.",
    },
    Function {
        name: "taker_imbalance",
        known_as: &["taker_ratio", "order_flow_imbalance", "buy_sell_ratio"],
        family: "volume",
        inputs: &[Input::Column("taker_buy_volume"), Input::Column("volume")],
        parameters: &[],
        outputs: &[],
        memory: |_| Memory::Finite(1),
        warmup: |_| 0,
        delays: |_| [0, 0],
        check: consistent,
        build: |_| node(TakerImbalance),
        summary: "Taker buying less taker selling, as a share of volume",
        formula: "2 * taker_buy_volume / volume - 1; in [-1, 1], 0 where nothing was traded. Needs the further column \
                  `taker_buy_volume`.",
        source: "Definition.",
    },
];

#[cfg(test)]
mod tests {
    use crate::features::contract::single;

    #[test]
    fn on_balance_volume_by_hand() {
        let close = [5.0, 6.0, 6.0, f64::NAN, 4.0];
        let got = single("obv", &[], &[&close, &[10.0, 3.0, 7.0, 100.0, 1.0]]);
        assert_eq!(got[..3], [10.0, 13.0, 13.0]);
        assert!(got[3].is_nan());
        assert_eq!(got[4], 12.0);
    }

    #[test]
    fn money_flow_by_hand() {
        let x: &[f64] = &[2.0, 3.0, 2.0, 2.0];
        let got = single("mfi", &[2.0], &[x, x, x, &[9.0, 2.0, 1.0, 5.0]]);
        // Flows +6, -2, and none.
        assert!(got[..2].iter().all(|v| v.is_nan()));
        assert_eq!(got[2..], [75.0, 0.0]);
    }

    #[test]
    fn vwap_and_imbalance_by_hand() {
        let x: &[f64] = &[1.0, 4.0, 4.0];
        let got = single("vwap_ratio", &[2.0], &[x, x, x, &[2.0, 1.0, 0.0]]);
        assert_eq!(got[1..], [1.0, 0.0]);
        let bought = [3.0, 0.0, 0.0, f64::NAN, f64::NAN];
        let got = single("taker_imbalance", &[], &[&bought, &[4.0, 4.0, 0.0, 0.0, 1.0]]);
        assert_eq!(got[..3], [0.5, -1.0, 0.0]);
        assert!(got[3].is_nan() && got[4].is_nan());
    }
}
