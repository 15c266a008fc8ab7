//! Metrics of a run, and pooled over windows. One table names them; frames, stubs, docs and reports derive from it.

use crate::backtest::market::{DAY_MS, YEAR_DAYS};
use crate::backtest::record::Reason;
use crate::backtest::tally::Tally;
use crate::numeric;

/// How a metric is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A fraction, shown in per cent.
    Fraction,
    /// A plain number.
    Number,
    /// A whole number.
    Count,
    /// An amount in quote.
    Quote,
}

impl Unit {
    /// Name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fraction => "fraction",
            Self::Number => "number",
            Self::Count => "count",
            Self::Quote => "quote",
        }
    }
}

/// One row of the table of metrics.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Name in frames and mappings.
    pub name: &'static str,
    /// How it is shown.
    pub unit: Unit,
    /// Label people know it by.
    pub label: &'static str,
    /// Whether more is better: +1, less: -1, neither: 0.
    pub better: i8,
    /// Definition.
    pub doc: &'static str,
}

macro_rules! metrics {
    ($($name:ident: $unit:ident, $better:literal, $label:literal, $doc:literal;)+) => {
        /// Metrics of one combination, as in EXECUTION.md, section 5; undefined is NaN.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct Metrics { $(#[doc = $doc] pub $name: f64),+ }

        impl Metrics {
            /// The table of the metrics.
            pub const TABLE: &'static [Metric] = &[$(Metric {
                name: stringify!($name),
                unit: Unit::$unit,
                label: $label,
                better: $better,
                doc: $doc,
            }),+];

            /// Values in the order of the table.
            pub fn values(&self) -> [f64; Self::TABLE.len()] {
                [$(self.$name),+]
            }

            /// Metrics from values in the order of the table.
            pub fn from_values(values: &[f64; Self::TABLE.len()]) -> Self {
                let [$($name),+] = *values;
                Self { $($name),+ }
            }
        }
    };
}

metrics! {
    total_return: Fraction, 1, "Return", "Final over initial equity, less 1.";
    cagr: Fraction, 1, "CAGR", "Compound growth a year of 365.25 days; NaN under 30 days.";
    volatility: Fraction, -1, "Volatility (Ann.)", "Standard deviation (ddof 1) of daily returns, annualised.";
    sharpe_daily: Number, 1, "Sharpe Ratio (daily)", "Mean over standard deviation (ddof 1) of daily returns; NaN under 2 days.";
    sharpe: Number, 1, "Sharpe Ratio", "`sharpe_daily` times the root of the periods a year.";
    sortino: Number, 1, "Sortino Ratio", "Mean over the root of the mean square of negative daily returns, annualised.";
    max_drawdown: Fraction, -1, "Max. Drawdown", "Largest fall of the equity at bar closes from its running peak, a positive number.";
    calmar: Number, 1, "Calmar Ratio", "`cagr` over `max_drawdown`.";
    trades: Count, 0, "# Trades", "Closed trades.";
    wins: Count, 1, "# Wins", "Trades with a gain after all costs.";
    win_rate: Fraction, 1, "Win Rate", "`wins` over `trades`.";
    mean_win: Fraction, 1, "Avg. Win", "Mean return of trades with a gain, on the equity at entry.";
    mean_loss: Fraction, 1, "Avg. Loss", "Mean return of trades with a loss, a negative number.";
    payoff: Number, 1, "Payoff Ratio", "`mean_win` over minus `mean_loss`.";
    profit_factor: Number, 1, "Profit Factor", "Sum of gains over sum of losses in quote; infinite without losers.";
    expectancy: Fraction, 1, "Expectancy", "Mean return of a trade.";
    break_even_win_rate: Fraction, -1, "Break-even Win Rate", "Win rate at which `mean_win` and `mean_loss` cancel.";
    exposure: Fraction, 0, "Exposure Time", "Bars held over bars of the window.";
    mean_bars_held: Number, 0, "Avg. Bars Held", "Mean holding time of a trade in bars.";
    trades_per_day: Number, 0, "Trades per Day", "Trades over days of the window.";
    longest_losing_run: Count, -1, "Longest Losing Run", "Most losing trades in a row.";
    n_signal: Count, 0, "# Exits: Signal", "Exits by the exit signal.";
    n_stop: Count, 0, "# Exits: Stop", "Exits by the stop.";
    n_take: Count, 0, "# Exits: Target", "Exits by the target.";
    n_trail: Count, 0, "# Exits: Trailing", "Exits by the trailing stop.";
    n_breakeven: Count, 0, "# Exits: Break-even", "Exits by the break-even stop.";
    n_time: Count, 0, "# Exits: Time", "Exits by the holding time.";
    n_liquidation: Count, -1, "# Liquidations", "Positions liquidated.";
    n_reverse: Count, 0, "# Exits: Reverse", "Exits by entering the other side.";
    n_end: Count, 0, "# Exits: End", "Positions closed because the window ended.";
    ambiguous_share: Fraction, -1, "Ambiguous Trades", "Share of trades in which stop and target lay in one bar, or a resting entry hides their order.";
    ambiguous_trail_share: Fraction, -1, "Ambiguous Trailing", "Share of trades in which a moved stop lay within its own bar.";
    fees: Quote, -1, "Fees", "Sum of the fees in quote.";
    funding: Quote, 1, "Funding", "Sum of the funding in quote; positive when received.";
    final_equity: Quote, 1, "Equity Final", "Equity at the last close.";
    buy_hold_return: Fraction, 0, "Buy & Hold Return", "Last close over first open, less 1.";
}

/// What one window, or several joined, measured.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Sums over trades.
    pub tally: Tally,
    /// Returns of UTC days, in time order.
    pub daily: Vec<f64>,
    /// Largest fall at bar closes.
    pub max_drawdown: f64,
    /// Equity before the first bar.
    pub initial_equity: f64,
    /// Equity after the last.
    pub final_equity: f64,
    /// Bars.
    pub bars: usize,
    /// From the first open to the last close, milliseconds.
    pub span_ms: i64,
    /// Last close over first open.
    pub growth: f64,
}

impl Measured {
    /// The metrics; `periods_per_year` annualises daily statistics.
    pub fn metrics(&self, periods_per_year: f64) -> Metrics {
        let tally = &self.tally;
        let trades = tally.trades as f64;
        let days = self.span_ms as f64 / DAY_MS;
        let years = days / YEAR_DAYS;
        let ratio = self.final_equity / self.initial_equity;
        let cagr = if self.span_ms < 30 * 86_400_000 {
            f64::NAN
        } else {
            numeric::pow(ratio, 1.0 / years) - 1.0
        };
        let annual = periods_per_year.sqrt();
        let enough = self.daily.len() >= 2;
        let mean = numeric::mean(&self.daily);
        let (deviation, downside) = self.spread(mean);
        let sharpe_daily = over(mean, deviation);
        let sortino = if enough { over(mean, downside) * annual } else { f64::NAN };
        let mean_win = over(tally.win_return, tally.wins as f64);
        let mean_loss = over(tally.loss_return, tally.losses as f64);
        let profit_factor = if tally.losses == 0 {
            if tally.wins > 0 { f64::INFINITY } else { f64::NAN }
        } else {
            tally.win_pnl / -tally.loss_pnl
        };
        let count = |reason: Reason| tally.reasons[reason as usize] as f64;
        Metrics {
            total_return: ratio - 1.0,
            cagr,
            volatility: deviation * annual,
            sharpe_daily,
            sharpe: sharpe_daily * annual,
            sortino,
            max_drawdown: self.max_drawdown,
            calmar: over(cagr, self.max_drawdown),
            trades,
            wins: tally.wins as f64,
            win_rate: over(tally.wins as f64, trades),
            mean_win,
            mean_loss,
            payoff: over(mean_win, -mean_loss),
            profit_factor,
            expectancy: over(tally.all_return, trades),
            break_even_win_rate: over(-mean_loss, mean_win - mean_loss),
            exposure: tally.bars_held as f64 / self.bars as f64,
            mean_bars_held: over(tally.bars_held as f64, trades),
            trades_per_day: trades / (years * YEAR_DAYS),
            longest_losing_run: tally.longest_losing_run() as f64,
            n_signal: count(Reason::Signal),
            n_stop: count(Reason::Stop),
            n_take: count(Reason::Take),
            n_trail: count(Reason::Trail),
            n_breakeven: count(Reason::BreakEven),
            n_time: count(Reason::Time),
            n_liquidation: count(Reason::Liquidation),
            n_reverse: count(Reason::Reverse),
            n_end: count(Reason::End),
            ambiguous_share: over(tally.ambiguous as f64, trades),
            ambiguous_trail_share: over(tally.ambiguous_trail as f64, trades),
            fees: tally.fees,
            funding: tally.funding,
            final_equity: self.final_equity,
            buy_hold_return: self.growth - 1.0,
        }
    }
}

impl Measured {
    /// Standard deviation (ddof 1) of the daily returns about their mean, and the root of the mean square of losses.
    ///
    /// In one pass: each of the sums waits for its last term, and two of them wait no longer than one.
    fn spread(&self, mean: f64) -> (f64, f64) {
        let (mut squares, mut losses) = (numeric::Sum::default(), numeric::Sum::default());
        for r in &self.daily {
            squares.add((r - mean) * (r - mean));
            losses.add(if *r < 0.0 { r * r } else { 0.0 });
        }
        let n = self.daily.len() as f64;
        let deviation = if n < 2.0 { f64::NAN } else { (squares.value() / (n - 1.0)).sqrt() };
        (deviation, (losses.value() / n).sqrt())
    }
}

/// Ratio, NaN over nothing.
fn over(a: f64, b: f64) -> f64 {
    if b == 0.0 { f64::NAN } else { a / b }
}

/// Means of each metric over windows where it is defined; for windows that overlap and cannot be chained.
pub fn mean_over_windows(windows: &[Metrics]) -> Metrics {
    let mut out = [f64::NAN; Metrics::TABLE.len()];
    for (i, slot) in out.iter_mut().enumerate() {
        let defined: Vec<f64> =
            windows.iter().map(|m| m.values()[i]).filter(|v| !v.is_nan()).collect();
        if !defined.is_empty() {
            *slot = numeric::mean(&defined);
        }
    }
    Metrics::from_values(&out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::tally::Counted;

    fn flat(daily: Vec<f64>) -> Measured {
        Measured {
            tally: Tally::default(),
            daily,
            max_drawdown: 0.0,
            initial_equity: 100.0,
            final_equity: 100.0,
            bars: 10,
            span_ms: 86_400_000,
            growth: 1.0,
        }
    }

    #[test]
    fn without_trades_ratios_are_undefined_and_counts_are_zero() {
        let m = flat(vec![0.0, 0.0]).metrics(365.0);
        for undefined in [
            m.cagr,
            m.sharpe,
            m.sortino,
            m.calmar,
            m.win_rate,
            m.mean_win,
            m.profit_factor,
            m.expectancy,
            m.ambiguous_share,
            m.mean_bars_held,
        ] {
            assert!(undefined.is_nan());
        }
        for zero in [
            m.total_return,
            m.volatility,
            m.trades,
            m.exposure,
            m.trades_per_day,
            m.fees,
            m.longest_losing_run,
        ] {
            assert_eq!(zero, 0.0);
        }
        assert!(flat(vec![0.1]).metrics(365.0).volatility.is_nan());
    }

    /// Eight trades in two years of 365.25 days, four days of returns, 64 periods a year.
    fn by_hand() -> Measured {
        let mut measured = flat(vec![0.5, -0.25, 0.25, -0.25]);
        for (unit_return, pnl) in [
            (0.5, 400.0),
            (-0.125, -100.0),
            (-0.125, -150.0),
            (0.25, 200.0),
            (0.0, 0.0),
            (0.125, 300.0),
            (0.125, 100.0),
            (0.0, 0.0),
        ] {
            measured.tally.count(&Counted {
                unit_return,
                pnl,
                bars_held: 2,
                reason: Reason::Stop,
                ambiguous: pnl == 0.0,
                ambiguous_trail: unit_return.abs() == 0.125,
                fees: 1.5,
                funding: -0.375,
            });
        }
        measured.tally.reasons = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        Measured {
            max_drawdown: 0.25,
            initial_equity: 1024.0,
            final_equity: 2304.0,
            bars: 64,
            span_ms: 2 * 31_557_600_000,
            growth: 1.5,
            ..measured
        }
    }

    #[test]
    fn metrics_by_hand() {
        // Days: mean 1/16, squares about it 0.421875, so a deviation of 3/8; squares of losses 1/8.
        let want = [
            ("total_return", 1.25),
            ("cagr", 0.5),
            ("volatility", 3.0),
            ("sharpe_daily", 1.0 / 6.0),
            ("sharpe", 8.0 / 6.0),
            ("sortino", 8.0 / 16.0 / (1.0_f64 / 32.0).sqrt()),
            ("max_drawdown", 0.25),
            ("calmar", 2.0),
            ("trades", 8.0),
            ("wins", 4.0),
            ("win_rate", 0.5),
            ("mean_win", 0.25),
            ("mean_loss", -0.125),
            ("payoff", 2.0),
            ("profit_factor", 4.0),
            ("expectancy", 0.75 / 8.0),
            ("break_even_win_rate", 1.0 / 3.0),
            ("exposure", 0.25),
            ("mean_bars_held", 2.0),
            ("trades_per_day", 8.0 / 730.5),
            ("longest_losing_run", 2.0),
            ("n_signal", 1.0),
            ("n_stop", 2.0),
            ("n_take", 3.0),
            ("n_trail", 4.0),
            ("n_breakeven", 5.0),
            ("n_time", 6.0),
            ("n_liquidation", 7.0),
            ("n_reverse", 8.0),
            ("n_end", 9.0),
            ("ambiguous_share", 0.25),
            ("ambiguous_trail_share", 0.5),
            ("fees", 12.0),
            ("funding", -3.0),
            ("final_equity", 2304.0),
            ("buy_hold_return", 0.5),
        ];
        let found = by_hand().metrics(64.0).values();
        assert_eq!(want.len(), Metrics::TABLE.len());
        for ((row, value), (name, wanted)) in Metrics::TABLE.iter().zip(found).zip(want) {
            assert_eq!(row.name, name);
            assert!((value - wanted).abs() <= 1e-14 * wanted.abs(), "{name}: {value} {wanted}");
        }
    }

    /// What is hardly spread about a large mean: differences from 0.3 are exact, and have the same deviation.
    #[test]
    fn volatility_does_not_go_by_the_level() {
        let daily: Vec<f64> = (0..9).map(|i| 0.3 + 1e-9 * f64::from(i * i % 7)).collect();
        let apart: Vec<f64> = daily.iter().map(|r| r - 0.3).collect();
        let want = numeric::standard_deviation(&apart);
        assert!((flat(daily).metrics(1.0).volatility / want - 1.0).abs() < 1e-12);
    }

    #[test]
    fn metrics_at_their_edges() {
        let month = 30 * 86_400_000_i64;
        for (span_ms, defined) in [(month, true), (month - 1, false)] {
            let cagr = Measured { span_ms, ..by_hand() }.metrics(64.0).cagr;
            assert_eq!(cagr.is_nan(), !defined, "{span_ms}");
        }
        let two = flat(vec![0.25, -0.5]).metrics(4.0);
        assert!((two.sortino + 2.0 * 0.125 / 0.125_f64.sqrt()).abs() < 1e-15);
        let mut winner = flat(vec![0.25]);
        winner.tally.wins = 1;
        let winner = winner.metrics(365.0);
        assert_eq!(winner.profit_factor, f64::INFINITY);
        assert!(winner.sortino.is_nan());
        let units = [Unit::Fraction, Unit::Number, Unit::Count, Unit::Quote];
        assert_eq!(units.map(Unit::name), ["fraction", "number", "count", "quote"]);
    }

    #[test]
    fn means_skip_what_is_undefined() {
        let a = flat(vec![0.01, 0.03]).metrics(1.0);
        let b = flat(vec![]).metrics(1.0);
        let mean = mean_over_windows(&[a, b]);
        assert_eq!(mean.sharpe_daily, a.sharpe_daily);
        assert_eq!(mean.final_equity, 100.0);
    }
}
