//! Labels of trades are held to the engine that steps every bar, and cells of a sweep to the labels one by one.

use super::engines::Case;
use crate::backtest::market::Market;
use crate::backtest::record::Side;
use crate::backtest::rules::Rules;
use crate::backtest::run::{Engine, Schedule, run};
use crate::backtest::sweep::Progress;
use crate::labels::sweep::{Cell, TradeGrid};
use crate::labels::trial::{CLOSED, Table, label_rules, trials};
use crate::numeric::Sum;
use crate::signals::Signals;
use crate::window::Window;

/// Holding times that end within a short market.
const HOLDS: [u32; 5] = [1, 2, 7, 40, 400];

impl Case {
    /// Compares labels of every bar; false where no rules of the case can make labels.
    ///
    /// # Panics
    ///
    /// Where a bit differs, or a cell's sums beyond rounding.
    pub fn labels_agree(&self, name: &str) -> bool {
        let market = Market::new(&self.bars, &self.signals, self.costs, self.instrument)
            .expect("one signal a bar, funding attached");
        let held: Vec<Rules> = self
            .combinations
            .iter()
            .enumerate()
            .map(|(number, rules)| Rules {
                max_hold: Some(HOLDS[number % HOLDS.len()]),
                ..rules.clone()
            })
            .filter(|rules| label_rules(rules).is_ok_and(|plain| market.prepare(&plain).is_ok()))
            .collect();
        if held.is_empty() {
            return false;
        }
        let volume: Vec<f64> = (0..self.bars.len()).map(|i| (i % 3) as f64).collect();
        let (least, progress) = ([0.0, 1.0, 3.0], Progress::default());
        for side in [Side::Long, Side::Short] {
            let sides = vec![if side == Side::Long { 1 } else { -1 }; self.bars.len()];
            let equity = self.equity;
            let threshold = 0.0;
            let grid = TradeGrid {
                market: &market,
                rules: &held,
                side,
                threshold,
                volume: &volume,
                least: &least,
                equity,
            };
            let cells = grid.cells(self.threads, &progress).expect("checked").expect("not stopped");
            let again = grid.cells(1, &progress).expect("checked").expect("not stopped");
            assert_eq!(cells, again, "{name}: threads");
            for (number, rules) in held.iter().enumerate() {
                let told = format!("{name}, {} of rules {number}", side.name());
                let go = |by_bar, threads| {
                    trials(&market, rules, &sides, equity, by_bar, threads, &progress)
                        .expect("checked")
                };
                let (slow, fast) = (go(true, 1), go(false, self.threads));
                assert_eq!(format!("{slow:?}"), format!("{fast:?}"), "{told}");
                for (k, least) in least.iter().enumerate() {
                    let kept = |i: usize| volume[i] >= *least;
                    let want = brute(&slow, kept);
                    hold(&cells[number * 3 + k], &want, &told);
                }
            }
            self.holds_to_runs(&market, &held[0], side, name);
        }
        true
    }

    /// A few labels against a run of the engine on signals that say yes once.
    fn holds_to_runs(&self, market: &Market<'_>, rules: &Rules, side: Side, name: &str) {
        let n = self.bars.len();
        let sides = vec![if side == Side::Long { 1 } else { -1 }; n];
        let progress = Progress::default();
        let table =
            trials(market, rules, &sides, self.equity, false, 1, &progress).expect("checked");
        for i in (0..n).step_by(1 + n / 5) {
            let mut arrays: [Option<Vec<f64>>; 7] =
                std::array::from_fn(|k| self.signals.array(k).map(<[f64]>::to_vec));
            let (on, off) = if side == Side::Long { (0, 1) } else { (1, 0) };
            let mut once = vec![f64::NAN; n];
            once[i] = 1.0;
            arrays[on] = Some(once);
            arrays[off] = None;
            let signals = Signals::new(self.signals.kind(), arrays).expect("as before");
            let market =
                Market::new(&self.bars, &signals, self.costs, self.instrument).expect("as before");
            let plain = label_rules(rules).expect("checked");
            let entered = match side {
                Side::Long => Rules { entry_long: Some(1.0), ..plain },
                Side::Short => Rules { entry_short: Some(1.0), ..plain },
            };
            let schedule = Schedule::constant(&market, &entered).expect("checked");
            let window = Window { start: 0, stop: n };
            let found = run(&market, &schedule, window, self.equity, true, vec![], Engine::Replay);
            let closed = table.state[i] == CLOSED;
            let Some(trade) = found.trades.first().filter(|t| t.reason.name() != "end") else {
                assert!(!closed, "{name}: a label of bar {i} without a trade");
                continue;
            };
            assert!(closed, "{name}: a trade of bar {i} without a label");
            assert_eq!(table.net[i].to_bits(), trade.unit_return.to_bits(), "{name}: bar {i}");
            let bars = |bar: usize| i64::try_from(bar).expect("a bar");
            assert_eq!(table.entry_bar[i], bars(trade.entry_bar), "{name}: bar {i}");
            assert_eq!(table.exit_bar[i], bars(trade.exit_bar), "{name}: bar {i}");
            assert_eq!(
                table.exit_price[i].to_bits(),
                trade.exit_price.to_bits(),
                "{name}: bar {i}"
            );
            assert_eq!(table.mae[i].to_bits(), trade.mae.to_bits(), "{name}: bar {i}");
            assert_eq!(table.mfe[i].to_bits(), trade.mfe.to_bits(), "{name}: bar {i}");
            assert_eq!(table.ambiguous[i], trade.ambiguous, "{name}: bar {i}");
        }
    }
}

/// Sums of a cell from labels one by one; uniqueness by counting at every bar who is alive.
fn brute(table: &Table, kept: impl Fn(usize) -> bool) -> Cell {
    let closed: Vec<usize> = (0..table.state.len()).filter(|i| table.state[*i] == CLOSED).collect();
    let chosen: Vec<usize> = closed.iter().copied().filter(|i| kept(*i)).collect();
    let up: Vec<usize> = chosen.iter().copied().filter(|i| table.net[*i] > 0.0).collect();
    let mut alive = vec![0_u32; table.state.len()];
    let span = |i: usize| i + 1..usize::try_from(table.exit_bar[i]).expect("closed") + 1;
    for i in &chosen {
        span(*i).for_each(|bar| alive[bar] += 1);
    }
    let unique = |i: &usize| {
        let shares: Sum = span(*i).map(|bar| 1.0 / f64::from(alive[bar])).collect();
        shares.value() / span(*i).len() as f64
    };
    let total = |rows: &[usize], of: &dyn Fn(usize) -> f64| {
        rows.iter().map(|i| of(*i)).collect::<Sum>().value()
    };
    let gross = |i: usize| table.net[i] + table.fees[i] - table.funding[i];
    Cell {
        defined: closed.len() as u64,
        labels: chosen.len() as u64,
        up: up.len() as u64,
        down: 0,
        moved: total(&up, &gross),
        fees: total(&up, &|i| table.fees[i]),
        net: total(&chosen, &|i| table.net[i]),
        effective: chosen.iter().map(unique).collect::<Sum>().value(),
    }
}

fn hold(got: &Cell, want: &Cell, told: &str) {
    let counts = |c: &Cell| (c.defined, c.labels, c.up, c.down);
    assert_eq!(counts(got), counts(want), "{told}");
    let near = |a: f64, b: f64| {
        (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs())) || a.to_bits() == b.to_bits()
    };
    let pairs = [
        (got.moved, want.moved),
        (got.fees, want.fees),
        (got.net, want.net),
        (got.effective, want.effective),
    ];
    for (number, (got, want)) in pairs.into_iter().enumerate() {
        assert!(near(got, want), "{told}: sum {number} is {got}, should be {want}");
    }
}
