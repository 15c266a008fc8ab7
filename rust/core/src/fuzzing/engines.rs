//! Markets, signals and rules by which `indexed` is held to `replay`.

use crate::backtest::costs::Costs;
use crate::backtest::market::Market;
use crate::backtest::metrics::Metrics;
use crate::backtest::rules::{DistanceKind, Entry, Fill, Intrabar, Rules, Sizing, TargetOrder};
use crate::backtest::run::{Boundary, Engine, Outcome, Schedule, run};
use crate::backtest::sweep::{Combination, Progress, Settings, sweep};
use crate::bars::{Bars, Columns, Funding};
use crate::fuzzing::Draw;
use crate::instrument::{Instrument, Kind};
use crate::signals::{SignalKind, Signals};
use crate::simd::Simd;
use crate::window::Window;

/// Lengths of bars.
pub(super) const INTERVALS: [i64; 4] = [60_000, 300_000, 3_600_000, 86_400_000];

/// Walks with gaps, flat runs, wicks, holes in time; prices on a grid at times, so that levels are met exactly; bars
/// whose high and low do not hold the others, which a reader lets pass with a warning.
fn bars(draw: &mut Draw<'_>, n: usize) -> Bars {
    bars_on(draw, n, None)
}

/// The same on a clock: an interval, and the time of the first bar.
pub(super) fn bars_on(draw: &mut Draw<'_>, n: usize, clock: Option<(i64, i64)>) -> Bars {
    let mut columns = Columns::default();
    let grid = draw.chance(0.4);
    let step = 0.25;
    // Far beyond any market, and far enough from the ends of the numbers.
    let (least, most) = (1e-60, 1e60);
    let round = |price: f64| {
        let on = if grid { ((price / step).round() * step).max(step) } else { price };
        on.clamp(least, most)
    };
    let wild = draw.of(&[0.0, 1e-5, 0.001, 0.004, 0.03, 0.3]);
    let spikes = draw.of(&[0.0, 0.0, 0.0, 0.002, 0.05]);
    let torn = draw.of(&[0.0, 0.0, 0.0, 0.0, 0.0, 0.01, 0.3]);
    let (interval, mut time) = clock.unwrap_or_else(|| {
        let interval = draw.of(&INTERVALS);
        (interval, 1_700_000_000_000 / interval * interval)
    });
    let mut price = draw.of(&[100.0, 1e-6, 3e7, 4.0, 1e-30, 1e30]);
    for _ in 0..n {
        let flat = draw.chance(0.15);
        let mut step = |scale: f64| if flat { 1.0 } else { 1.0 + scale * draw.between(-1.0, 1.0) };
        let open = round(if step(1.0) > 1.5 { price } else { price * step(wild * 0.3) });
        let close = round(open * step(wild));
        let (mut above, mut below) = (step(wild * 1.5).max(1.0), step(wild * 1.5).max(1.0));
        if spikes > 0.0 && draw.chance(spikes) {
            above *= draw.of(&[1.0, 1.5, 20.0]);
            below *= draw.of(&[1.0, 1.5, 20.0]);
        }
        let mut high = round(open.max(close) * above).max(open).max(close);
        let mut low = round(open.min(close) / below).min(open).min(close);
        if torn > 0.0 && draw.chance(torn) {
            (high, low) = draw.of(&[(low, high), (high, high), (low, low), (close, close)]);
        }
        columns.open_time.push(time);
        columns.open.push(open);
        columns.high.push(high);
        columns.low.push(low);
        columns.close.push(close);
        columns.volume.push(1.0);
        price = if draw.chance(0.002) { close * draw.of(&[0.6, 1.5]) } else { close };
        time += interval * if draw.chance(0.01) { draw.of(&[2, 30, 1000]) } else { 1 };
    }
    let settled = draw.chance(0.6);
    let funding =
        if settled { funding(draw, columns.open_time[0], time, interval, n) } else { None };
    let funding = funding.or_else(|| Funding::new(&[], vec![]).ok());
    Bars::new(columns, interval, funding, vec![]).expect("prices are positive, times increase")
}

/// Settlements between two times: few or many, ordinary rates and ruinous ones.
fn funding(draw: &mut Draw<'_>, from: i64, to: i64, interval: i64, n: usize) -> Option<Funding> {
    let count = draw.of(&[0, 3, 60, 2_000]).min(n);
    let mut times: Vec<i64> = (0..count)
        .map(|_| {
            #[allow(clippy::cast_possible_truncation)] // within the span
            let at = from + (draw.unit() * (to - from) as f64) as i64;
            let grid = if draw.chance(0.5) { interval } else { 1_000 };
            at / grid * grid
        })
        .collect();
    times.sort_unstable();
    times.dedup();
    let rates =
        times
            .iter()
            .map(|_| {
                if draw.chance(0.06) { draw.between(-6.0, 6.0) } else { draw.between(-2e-3, 2e-3) }
            })
            .collect();
    Funding::new(&times, rates).ok()
}

/// Dense and rare signals, in runs and one by one, some that never say anything; on a grid that thresholds share.
pub(super) fn signals(draw: &mut Draw<'_>, exits: [bool; 2], n: usize) -> Signals {
    let kind = draw.of(&[SignalKind::Probability, SignalKind::Score]);
    let rare = draw.of(&[0.0, 0.0, 0.5, 0.5, 0.97, 0.97, 1.0]);
    let run = draw.of(&[1, 1, 1, 40]);
    let mut arrays: [Option<Vec<f64>>; 7] = Default::default();
    for (index, slot) in arrays.iter_mut().enumerate() {
        if index > 1 && index < 4 && !exits[index - 2] {
            continue;
        }
        let mut silent = false;
        let values = (0..n).map(|i| {
            if i % run == 0 {
                silent = draw.chance(rare);
            }
            if silent {
                return f64::NAN;
            }
            match index {
                0..4 if kind == SignalKind::Score => draw.between(-0.2, 1.2),
                0..4 => (draw.unit() * 20.0).round() / 20.0,
                4 | 5 => draw.between(0.001, 0.05),
                _ => draw.between(0.05, 1.0),
            }
        });
        *slot = Some(values.collect());
    }
    Signals::new(kind, arrays).expect("every array has one value a bar")
}

/// Rules of any kind, exits where there are signals for them; some contradict themselves or the signals.
pub(super) fn rules(draw: &mut Draw<'_>, exits: [bool; 2], fill: Fill) -> Rules {
    let high = draw.of(&[0.5, 0.8, 0.95]);
    let kinds =
        [DistanceKind::Price, DistanceKind::Equity, DistanceKind::Atr, DistanceKind::Signal];
    let distance = |draw: &mut Draw<'_>, kind| match kind {
        DistanceKind::Atr | DistanceKind::Signal => draw.between(0.3, 4.0),
        _ => {
            let most = draw.of(&[0.08, 1.5]);
            draw.between(0.0001, most)
        }
    };
    // Half of the thresholds lie on the grid of the probabilities: what is reached exactly, counts.
    let threshold = |draw: &mut Draw<'_>, low: f64, high: f64| {
        let t = draw.between(low, high);
        if draw.chance(0.5) { (t * 20.0).round() / 20.0 } else { t }
    };
    let (stop_kind, take_kind) = (draw.of(&kinds), draw.of(&kinds));
    let mut some = |p: f64, low: f64, high: f64| draw.chance(p).then(|| threshold(draw, low, high));
    let entries = [some(0.8, high - 0.2, high + 0.05), some(0.8, high - 0.2, high + 0.05)];
    let exits = exits.map(|there| some(if there { 0.5 } else { 0.0 }, 0.6, 1.0));
    let mut made = Rules {
        entry_long: entries[0],
        entry_short: entries[1],
        exit_long: exits[0],
        exit_short: exits[1],
        short_gate: draw.maybe(0.15, -0.5, 0.5),
        reverse: draw.chance(0.3),
        stop_loss: draw.chance(0.6).then(|| distance(draw, stop_kind)),
        take_profit: draw.chance(0.6).then(|| distance(draw, take_kind)),
        stop_loss_kind: stop_kind,
        take_profit_kind: take_kind,
        take_profit_order: draw.of(&[TargetOrder::Limit, TargetOrder::Market]),
        trailing: draw.maybe(0.2, 0.001, 0.03),
        break_even: draw.maybe(0.15, 0.001, 0.02),
        break_even_offset: draw.between(-0.02, 0.001),
        fill,
        intrabar: draw.of(&[Intrabar::Pessimistic, Intrabar::Optimistic, Intrabar::NearestOpen]),
        leverage: draw.of(&[1.0, 1.0, 0.3, 3.0, 20.0, 100.0, 190.0]),
        fraction: draw.of(&[1.0, 0.5, 0.1]),
        sizing: draw.of(&[
            Sizing::Fraction,
            Sizing::Fraction,
            Sizing::Notional,
            Sizing::Confidence,
            Sizing::Risk,
            Sizing::Volatility,
            Sizing::Signal,
        ]),
        size_min: 0.05,
        notional: Some(7_000.0),
        risk: Some(0.01),
        vol_target: Some(0.3),
        vol_window: 10,
        atr_period: 5,
        ..Rules::default()
    };
    if draw.chance(0.4) {
        made.max_hold = Some(draw.of(&[1, 1, 2, 7, 40, 400, 5_000, u32::MAX]));
    }
    if draw.chance(0.3) {
        made.cooldown = draw.of(&[1, 2, 5, 60, 4_000, u32::MAX]);
    }
    if fill == Fill::NextOpen && draw.chance(0.25) {
        made.entry = Entry::Limit;
        made.limit_offset = draw.between(0.0, 0.01);
        made.limit_bars = draw.of(&[1, 3, 20]);
    }
    made
}

/// Combinations that enter as `base` does and leave differently, with some that share nothing.
pub(super) fn product(draw: &mut Draw<'_>, base: &Rules, exits: [bool; 2]) -> Vec<Rules> {
    let mut made = vec![];
    let count = draw.of(&[2, 8, 20]);
    let leaves = |draw: &mut Draw<'_>, there: bool| {
        let set = there && draw.chance(0.6);
        set.then(|| draw.of(&[0.5, 0.7, 0.9]))
    };
    for _ in 0..count {
        let scale = draw.of(&[0.5, 1.0, 2.0]);
        let other = draw.of(&[0.25, 1.0, 3.0]);
        let own_entry = draw.chance(0.1);
        made.push(Rules {
            entry_long: base.entry_long.map(|t| if own_entry { t * 0.9 } else { t }),
            exit_long: leaves(draw, exits[0]),
            exit_short: leaves(draw, exits[1]),
            stop_loss: base.stop_loss.filter(|_| draw.chance(0.8)).map(|s| s * scale),
            take_profit: base.take_profit.filter(|_| draw.chance(0.8)).map(|t| t * other),
            max_hold: draw.of(&[None, Some(1), Some(3), Some(50)]),
            trailing: base.trailing.filter(|_| draw.chance(0.8)),
            break_even: base.break_even.filter(|_| draw.chance(0.8)),
            reverse: base.reverse && draw.chance(0.3),
            ..base.clone()
        });
    }
    made
}

/// Rules whose entries can be shared by those who leave differently.
pub(super) fn plain(rules: &Rules) -> Rules {
    Rules {
        reverse: false,
        entry: Entry::Market,
        fill: Fill::NextOpen,
        sizing: match rules.sizing {
            Sizing::Risk | Sizing::Notional => Sizing::Fraction,
            other => other,
        },
        ..rules.clone()
    }
}

/// Everything by which two engines are compared once.
#[derive(Debug)]
pub struct Case {
    pub(super) bars: Bars,
    pub(super) signals: Signals,
    pub(super) costs: Costs,
    /// Instrument.
    pub instrument: Instrument,
    window: Window,
    pub(super) segments: Vec<(usize, Rules)>,
    pub(super) boundary: Boundary,
    windows: Vec<Window>,
    pub(super) threads: usize,
    pub(super) equity: f64,
    /// Combinations of the sweep.
    pub combinations: Vec<Rules>,
}

impl Case {
    /// A case whose number of bars is one of `lengths`.
    ///
    /// # Panics
    ///
    /// Never: what is drawn is valid.
    pub fn new(draw: &mut Draw<'_>, lengths: &[usize]) -> Self {
        let sharing = draw.chance(0.5);
        let n = draw.of(lengths);
        let kind = draw.of(&[Kind::Perpetual, Kind::Spot]);
        let (lot, least) = (draw.of(&[0.0, 0.0, 0.5]), draw.of(&[0.0, 50.0]));
        let (lot, least) = if sharing { (0.0, 0.0) } else { (lot, least) };
        let instrument = Instrument::new(kind, draw.of(&[0.0, 0.005, 0.005]), lot, least)
            .expect("within its bounds");
        let rate = draw.of(&[0.0, 0.0005, 0.02]);
        let costs = Costs::new(rate, draw.of(&[rate, -0.0001, -0.01]), draw.of(&[0.0, 0.0002]))
            .expect("within their bounds");
        let (threads, equity) = (draw.of(&[1, 2, 3]), draw.of(&[1e4, 1e-3, 3.7, 1e9]));
        let fill = draw.of(&[Fill::NextOpen, Fill::NextOpen, Fill::NextOpen, Fill::Close]);
        // The market comes last: it takes most of an input.
        let exits = [draw.chance(0.7), draw.chance(0.7)];
        let mut segments = vec![(0, rules(draw, exits, fill))];
        if sharing {
            segments[0].1 = plain(&segments[0].1);
        }
        if draw.chance(0.3) {
            for _ in 0..draw.below(9) {
                let most = draw.of(&[1, 2, 5, n]).min(n);
                let next = segments[segments.len() - 1].0 + 1 + draw.below(most);
                segments.push((next, rules(draw, exits, fill)));
            }
        }
        let boundary = draw.of(&[Boundary::Carry, Boundary::Close]);
        let start = draw.below(n);
        let window = Window { start, stop: start + 1 + draw.below(n - start) };
        let windows = windows(draw, n);
        let combinations = product(draw, &segments[0].1, exits);
        let bars = bars(draw, n);
        let signals = signals(draw, exits, n);
        Self {
            bars,
            signals,
            costs,
            instrument,
            window,
            segments,
            boundary,
            windows,
            threads,
            equity,
            combinations,
        }
    }

    /// Compares the engines, one run and a sweep, on every path of instructions that the machine has; false where the
    /// rules contradict each other.
    ///
    /// # Panics
    ///
    /// Where a bit differs.
    pub fn agrees(&self, name: &str) -> bool {
        let market = Market::new(&self.bars, &self.signals, self.costs, self.instrument)
            .expect("one signal a bar, funding attached");
        let Ok(schedule) = Schedule::new(&market, &self.segments, self.boundary) else {
            return false;
        };
        let go = |market: &Market<'_>, engine| {
            run(market, &schedule, self.window, 1e4, true, vec![], engine)
        };
        // Windows of a sweep keep no marks and follow the compounded drawdown.
        let pooled = |market: &Market<'_>, engine, threads| {
            let settings =
                Settings { initial_equity: self.equity, periods_per_year: 365.0, threads, engine };
            let progress = Progress::default();
            sweep(market, &self.combinations, &self.windows, &settings, true, &progress)
        };
        let (slow, slow_sweep) =
            (bits(&go(&market, Engine::Replay)), pooled(&market, Engine::Replay, 1));
        for simd in Simd::available() {
            let (market, name) = (Market { simd, ..market }, format!("{name}, {}", simd.name()));
            assert_eq!(bits(&go(&market, Engine::Indexed)), slow, "{name}: one run");
            match (pooled(&market, Engine::Indexed, self.threads), &slow_sweep) {
                (Ok(fast), Ok(slow)) => {
                    for (i, (fast, slow)) in fast.iter().zip(slow).enumerate() {
                        let (Some(fast), Some(slow)) = (fast, slow) else {
                            panic!("{name}: combination {i} was left out");
                        };
                        let equal = numbers(fast).eq(numbers(slow));
                        assert!(equal, "{name}: combination {i}\n{fast:?}\n{slow:?}");
                    }
                }
                (fast, slow) => {
                    assert_eq!(fast.err(), slow.as_ref().err().cloned(), "{name}: a sweep");
                }
            }
        }
        true
    }
}

/// Every number of a combination by its bits; any NaN is one.
pub(super) fn numbers(found: &Combination) -> impl Iterator<Item = u64> {
    let metrics = found.windows.iter().chain([&found.pooled]).flat_map(Metrics::values);
    let bits = |x: f64| if x.is_nan() { u64::MAX } else { x.to_bits() };
    metrics.chain(found.daily.iter().copied()).map(bits)
}

/// Consecutive windows that cover the bars, now and then with one that overlaps them.
fn windows(draw: &mut Draw<'_>, n: usize) -> Vec<Window> {
    let mut cuts: Vec<usize> =
        (0..draw.of(&[0, 1, 4, 30])).map(|_| draw.below(n + 1)).chain([0, n]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let mut made: Vec<Window> =
        cuts.windows(2).map(|c| Window { start: c[0], stop: c[1] }).collect();
    if draw.chance(0.2) {
        // Overlapping: pooled as means.
        made.push(Window { start: 0, stop: n });
    }
    made
}

/// What a run left, as text in which floats stand by their bits or so that they read back to them.
pub(crate) fn bits(outcome: &Outcome) -> (Vec<u64>, String) {
    let marks = outcome.marks.iter().map(|m| m.to_bits()).collect();
    let (trades, days) = (&outcome.trades, &outcome.days);
    (marks, format!("{trades:?} {days:?} {:?}", outcome.measured))
}
