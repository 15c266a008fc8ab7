//! What an exchange adds to a price: ticks, volume and funding.

use super::random::{Ar1, Purpose, Random, SLOW_PERSISTENCE};
use super::{HOUR_MS, Settings, base_volatility};
use crate::bars::Funding;
use crate::numeric::{exp, ln};

/// Mean turnover a day in quote units.
const TURNOVER: f64 = 1e8;
/// Time between settlements.
pub(super) const FUNDING_MS: i64 = 8 * HOUR_MS;
/// Rate of a settlement that funding returns to, and the most it can be either way.
pub(super) const FUNDING_MEAN: f64 = 0.0001;
pub(super) const FUNDING_LIMIT: f64 = 0.003;
/// AR(1) coefficient from one settlement to the next.
const FUNDING_PERSISTENCE: f64 = 0.8;
/// Standard deviation of a settlement's own noise.
const FUNDING_NOISE: f64 = 0.000_04;
/// Part of the log return since the last settlement that the rate takes on.
const FUNDING_PULL: f64 = 0.002;

/// How far the buyers' share leans with the bar's own move and with the planted score, both in standard deviations.
const LEAN_ON_MOVE: f64 = 0.03;
const LEAN_ON_SCORE: f64 = 0.03;

/// Lognormal volume that grows with volatility and the bar's own move, and the buyers' share, which leans with the move and the planted score.
pub(super) struct Flow {
    random: Random,
    slow: Ar1,
    mean: f64,
    base: f64,
    lot: Decimal,
}

impl Flow {
    pub(super) fn new(settings: &Settings, symbol: u64) -> Self {
        let mut random = Random::new(settings.seed, symbol, Purpose::Flow);
        let days = settings.interval_ms as f64 / (24 * HOUR_MS) as f64;
        let mean = TURNOVER * days / settings.price;
        Self {
            slow: Ar1::new(SLOW_PERSISTENCE, &mut random),
            random,
            mean,
            base: base_volatility(settings),
            lot: Decimal::new(mean, 1e4),
        }
    }

    /// Volume of a bar and what of it takers bought, in base units.
    ///
    /// `score` is the planted one at the bar's close: takers who know buy, so that what moves the next bar leaves a
    /// trace that a feature can find.
    pub(super) fn step(&mut self, log_return: f64, volatility: f64, score: f64) -> (f64, f64) {
        self.slow.step(&mut self.random);
        let z = log_return / volatility;
        // 0.8 is about the mean of |z|, so that the volume is not shifted.
        let log_volume = 1.2 * ln(volatility / self.base)
            + 0.4 * (z.abs() - 0.8)
            + 0.3 * self.slow.value
            + 0.3 * self.random.normal();
        let volume = self.lot.round(self.mean * exp(log_volume.clamp(-9.0, 9.0)));
        let lean = LEAN_ON_MOVE * z + LEAN_ON_SCORE * score;
        let share = (0.5 + lean + 0.06 * self.random.normal()).clamp(0.02, 0.98);
        (volume, self.lot.round(volume * share).min(volume))
    }
}

/// Funding rates: mean-reverting, following the return since the last settlement.
pub(super) struct Rates {
    random: Random,
    pub(super) funding: Funding,
    next: i64,
    rate: f64,
    last_level: f64,
}

impl Rates {
    pub(super) fn new(settings: &Settings, symbol: u64) -> Self {
        Self {
            random: Random::new(settings.seed, symbol, Purpose::Funding),
            funding: Funding { time: vec![], rate: vec![] },
            next: -(-settings.start_ms).div_euclid(FUNDING_MS) * FUNDING_MS,
            rate: FUNDING_MEAN,
            last_level: ln(settings.price),
        }
    }

    /// Settles all that is due before `end`, knowing the log price at the close before.
    pub(super) fn settle_until(&mut self, end: i64, level: f64) {
        while self.next < end {
            self.rate = FUNDING_MEAN
                + FUNDING_PERSISTENCE * (self.rate - FUNDING_MEAN)
                + FUNDING_PULL * (level - self.last_level)
                + FUNDING_NOISE * self.random.normal();
            self.rate = self.rate.clamp(-FUNDING_LIMIT, FUNDING_LIMIT);
            self.last_level = level;
            self.funding.time.push(self.next);
            // Exchanges quote eight decimals.
            self.funding.rate.push((self.rate * 1e8).round() / 1e8);
            self.next += FUNDING_MS;
        }
    }
}

/// A decimal grid `1 / unit`. Powers of ten up to 1e22 are exact, so rounded values print as they were meant.
pub(super) struct Decimal {
    unit: f64,
}

impl Decimal {
    /// The coarsest grid, at most 1, on which `value` has `digits` steps.
    pub(super) fn new(value: f64, digits: f64) -> Self {
        let mut grid = Self { unit: 1.0 };
        grid.refine(value, digits);
        grid
    }

    pub(super) fn refine(&mut self, value: f64, digits: f64) {
        while value * self.unit < digits && self.unit < 1e22 {
            self.unit *= 10.0;
        }
    }

    /// The nearest point of the grid that is not zero.
    pub(super) fn round(&self, value: f64) -> f64 {
        (value * self.unit).round().max(1.0) / self.unit
    }
}
