//! What a backtest runs on: candles, signals, costs and instrument, held together and checked once.

use std::sync::Arc;

use crate::backtest::costs::Costs;
use crate::backtest::finer::Finer;
use crate::backtest::replay::SignalRow;
use crate::backtest::rules::Rules;
use crate::backtest::run::Schedule;
use crate::bars::{Bars, SeriesKey};
use crate::features::volatility;
use crate::instrument::{Instrument, Kind};
use crate::signals::Signals;
use crate::simd::Simd;
use crate::{Error, Result};

/// Milliseconds of a day.
pub const DAY_MS: f64 = 86_400_000.0;

/// Days of a year wherever spans of time become years.
pub const YEAR_DAYS: f64 = 365.25;

/// Candles, signals, costs and instrument that fit together.
#[derive(Clone, Copy, Debug)]
pub struct Market<'a> {
    /// Candles.
    pub bars: &'a Bars,
    /// Signals, one row a bar.
    pub signals: &'a Signals,
    /// Costs.
    pub costs: Costs,
    /// Instrument.
    pub instrument: Instrument,
    /// Finer bars that show the order of events inside the candles.
    pub finer: Option<&'a Finer<'a>>,
    /// Instructions that searches use.
    pub simd: Simd,
}

impl<'a> Market<'a> {
    /// Checks that signals and candles have one length and that a perpetual carries funding (an empty list is a
    /// decision to run without).
    pub fn new(
        bars: &'a Bars,
        signals: &'a Signals,
        costs: Costs,
        instrument: Instrument,
    ) -> Result<Self> {
        if signals.len() != bars.len() {
            return Err(Error::Length {
                name: "signals".to_owned(),
                len: signals.len(),
                other: "the candles",
                other_len: bars.len(),
            });
        }
        if instrument.kind == Kind::Perpetual && bars.funding().is_none() {
            return Err(Error::FundingMissing);
        }
        Ok(Self { bars, signals, costs, instrument, finer: None, simd: Simd::chosen()? })
    }

    /// The same market with finer bars, which only the bar-by-bar engine runs on.
    pub fn with_finer(self, finer: &'a Finer<'a>) -> Result<Self> {
        if finer.len() != self.bars.len() {
            return Err(Error::Length {
                name: "finer".to_owned(),
                len: finer.len(),
                other: "the candles",
                other_len: self.bars.len(),
            });
        }
        Ok(Self { finer: Some(finer), ..self })
    }

    /// Builds what searches need, on the threads of the pool it is called in.
    pub fn index(&self, schedules: &[Schedule<'_>]) {
        let needed = |array: usize| {
            self.signals.has(array) && schedules.iter().any(|schedule| schedule.uses(array))
        };
        rayon::scope(|scope| {
            scope.spawn(|_| {
                self.bars.index_in_parallel();
            });
            for array in (0..4).filter(|array| needed(*array)) {
                scope.spawn(move |_| {
                    self.signals.index_in_parallel(array);
                });
            }
        });
    }

    /// Why only the bar-by-bar engine gives the results, if so: finer bars, or a bar whose high and low do not hold its
    /// open, which blocks of extremes would pass over.
    pub fn needs_every_bar(&self) -> Option<&'static str> {
        if self.finer.is_some() {
            return Some("finer candles");
        }
        (!self.bars.is_whole()).then_some("bars whose range does not hold their open and close")
    }

    /// Checks rules against this market and gathers the indicators they need.
    pub fn prepare<'r>(&self, rules: &'r Rules) -> Result<Prepared<'r>> {
        rules.check()?;
        rules.check_against(self.signals, &self.instrument)?;
        let atr = rules.needs_atr().then(|| {
            self.bars.series(SeriesKey::Atr(rules.atr_period), || {
                volatility::atr((0..self.bars.len()).map(|i| self.bars.bar(i)), rules.atr_period)
            })
        });
        let volatility = rules.needs_volatility().then(|| {
            let realised = self.bars.series(SeriesKey::Volatility(rules.vol_window), || {
                volatility::realised(self.bars, rules.vol_window)
            });
            (realised, self.bars_per_year().sqrt())
        });
        Ok(Prepared { rules, atr, volatility })
    }

    /// Bars a year: by the clock where the market never closes, else as counted over the whole candles.
    fn bars_per_year(&self) -> f64 {
        let bars = self.bars;
        if self.instrument.kind.around_the_clock() {
            return 365.0 * DAY_MS / bars.interval_ms() as f64;
        }
        bars.len() as f64 / years(bars, 0, bars.len())
    }

    /// Settlements of the instrument: none unless it is a perpetual.
    pub fn funding(&self) -> (&'a [i64], &'a [f64]) {
        match self.bars.funding() {
            Some(funding) if self.instrument.kind == Kind::Perpetual => {
                (&funding.time, &funding.rate)
            }
            _ => (&[], &[]),
        }
    }
}

/// Years from the open of the first bar to the close of the last of `start..stop`.
pub fn years(bars: &Bars, start: usize, stop: usize) -> f64 {
    let span = bars.close_time(stop - 1) - bars.open_time()[start];
    span as f64 / DAY_MS / YEAR_DAYS
}

/// Rules with the indicators they need.
#[derive(Clone, Debug)]
pub struct Prepared<'r> {
    /// The rules.
    pub rules: &'r Rules,
    atr: Option<Arc<[f64]>>,
    volatility: Option<(Arc<[f64]>, f64)>,
}

impl Prepared<'_> {
    /// Signals and indicators known at the close of bar `i` of the candles.
    pub fn row(&self, signals: &Signals, i: usize) -> SignalRow {
        let at = |index: usize| signals.at(index, i);
        SignalRow { exit_long: at(2), exit_short: at(3), ..self.entry_row(signals, i) }
    }

    /// The same without the signals for leaving, which decide no entry.
    pub fn entry_row(&self, signals: &Signals, i: usize) -> SignalRow {
        let at = |index: usize| signals.at(index, i);
        SignalRow {
            long: at(0),
            short: at(1),
            exit_long: f64::NAN,
            exit_short: f64::NAN,
            stop: at(4),
            target: at(5),
            size: at(6),
            atr: self.atr.as_ref().map_or(f64::NAN, |values| values[i]),
            volatility: self
                .volatility
                .as_ref()
                .map_or(f64::NAN, |(values, annualise)| values[i] * annualise),
        }
    }
}
