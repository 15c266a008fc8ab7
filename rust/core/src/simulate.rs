//! A simulated market, the same bits on every machine, whose edge is known because it was planted.
//!
//! # Model
//!
//! Bar `t` of symbol `k` has the volatility (standard deviation of its log return)
//!
//! ```text
//! s = annual_volatility * sqrt(interval / year) * regime * exp(slow) * sqrt(season)
//! ```
//!
//! with three factors of mean square 1: `regime` is a Markov chain calm / normal / turbulent shared by all symbols
//! (Hamilton, *Econometrica* 57, 1989); `slow` an AR(1), mostly shared (log stochastic volatility: Taylor, *Modelling
//! Financial Time Series*, 1986); `season` a wave over the UTC day, least at 03:00 and most at 15:00, averaged over
//! the bar. The log return from open to close is
//!
//! ```text
//! r = drift + s * (edge * planted[t - 1] + sqrt(1 - edge^2) * (sqrt(c) * F + sqrt(1 - c) * E))
//! ```
//!
//! `F` (shared) and `E` (own) are sums of 8 normal steps and a rare symmetric jump, scaled to variance 1 (Merton,
//! *J. Financial Economics* 3, 1976), so `c = correlation` is that of returns in units of volatility. `planted` is
//! an AR(1) of variance 1 with a half-life of 24 bars, known at the close of its bar; so `edge` is its correlation with
//! the next bar's `r / s`. It leaves a noisy trace in `taker_buy_volume`, with or without an edge. Opens jump off the last close now and then; the edge is in `r`, which a trade at the next
//! open still gets.
//!
//! The drift makes the market a fair game: before rounding, `E[exp(r)] = 1` whatever the volatility, exactly, by the
//! moment generating functions of its parts (with an edge: on average over `planted`). Log prices therefore sink by
//! `s^2 / 2` a bar.
//!
//! # How a bar gets its wicks
//!
//! Eight steps alone would understate the range of a continuous path by a quarter. Between the ends `a`, `b` of a step
//! of variance `v`, a Brownian bridge has the maximum `(a + b + sqrt((b - a)^2 + 2 v X)) / 2`, `X` exponential: one
//! logarithm makes the extremes those of the continuous path.
//!
//! # Reproducibility
//!
//! Integers, IEEE operations and [`crate::numeric`] only. Every symbol and purpose has its own stream, and streams are
//! walked bar by bar: more symbols or bars change nothing of what was there, and another edge changes only what it moves.
//! Half-lives count bars, so that every interval shows the same clustering.

use std::collections::BTreeMap;

use crate::bars::{Columns, Funding};
use crate::numeric::{cos, exp, ln};
use crate::{Error, Result};

use exchange::{Decimal, Flow, Rates};
use random::{Ar1, Purpose, Random, SLOW_PERSISTENCE};

mod exchange;
mod random;

const HOUR_MS: i64 = 3_600_000;
const YEAR_MS: f64 = 365.0 * 86_400_000.0;
/// First milliseconds of the years 1 and 10000: what calendars and Python can write.
const TIMES: (i64, i64) = (-62_135_596_800_000, 253_402_300_800_000);
/// Bars over all symbols; 72 bytes each.
const MAX_BARS: usize = 200_000_000;

/// Steps of a bar's path.
const STEPS: usize = 8;
/// Volatility of the regimes and their share of the bars.
const REGIMES: [(f64, f64); 3] = [(0.6, 0.40), (1.0, 0.45), (2.2, 0.15)];
/// Chances a bar to move a regime down and up; `share * chance` balances between neighbours.
const MOVES: [(f64, f64); 3] = [(0.0, 1.0 / 360.0), (1.0 / 405.0, 1.0 / 360.0), (1.0 / 120.0, 0.0)];
/// Standard deviations of log volatility: shared and own part.
const SLOW: (f64, f64) = (0.28, 0.2);
/// AR(1) coefficient of a half-life of 24 bars, `2^(-1/24)`.
const PLANTED_PERSISTENCE: f64 = 0.971_531_941_153_606;
/// Amplitude of the daily wave in variance, and the hour (UTC) of its crest.
const SEASON: (f64, f64) = (0.6, 15.0);
/// Chance of a jump a bar, and its standard deviation in bar volatilities.
const JUMP: (f64, f64) = (0.0005, 8.0);
/// Chance that a bar opens off the last close, and the size in bar volatilities.
const GAP: (f64, f64) = (0.2, 0.05);
/// Log prices are kept where decimal ticks are exact, whatever the volatility: about 1e-17 to 1e21.
const LEVELS: (f64, f64) = (-39.0, 50.0);

/// What to simulate.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Seed of everything.
    pub seed: u64,
    /// Bars a symbol, at least 1.
    pub bars: usize,
    /// Bar length, milliseconds.
    pub interval_ms: i64,
    /// Opening time of the first bar, milliseconds UTC.
    pub start_ms: i64,
    /// Correlation of `planted` with the next bar's return in units of volatility, in [0, 1).
    pub edge: f64,
    /// Number of symbols.
    pub symbols: usize,
    /// First price, quote units.
    pub price: f64,
    /// Standard deviation of the log return of 365 days, as a fraction.
    pub annual_volatility: f64,
    /// Correlation of two symbols' returns in units of volatility, in [0, 1).
    pub correlation: f64,
}

impl Default for Settings {
    /// One symbol of 100,000 five-minute bars from 2022-01-01, without edge.
    fn default() -> Self {
        Self {
            seed: 0,
            bars: 100_000,
            interval_ms: 300_000,
            start_ms: 1_640_995_200_000,
            edge: 0.0,
            symbols: 1,
            price: 100.0,
            annual_volatility: 0.6,
            correlation: 0.6,
        }
    }
}

impl Settings {
    /// Checks every bound.
    pub fn check(&self) -> Result<()> {
        let refuse = |name: &str, value: &dyn std::fmt::Display, bound: &str| {
            Err(Error::parameter(name, value, bound))
        };
        if self.symbols == 0 || self.symbols > MAX_BARS {
            return refuse("symbols", &self.symbols, "at least 1 and at most 200000000");
        }
        if self.bars == 0 || self.bars > MAX_BARS / self.symbols {
            return refuse("bars", &self.bars, "at least 1 and at most 200000000 over all symbols");
        }
        if self.interval_ms <= 0 {
            return refuse("interval_ms", &self.interval_ms, "> 0");
        }
        let end = i128::from(self.start_ms) + self.bars as i128 * i128::from(self.interval_ms);
        if self.start_ms < TIMES.0 || end > i128::from(TIMES.1) {
            return refuse("start_ms", &self.start_ms, "such that all bars lie in years 1 to 9999");
        }
        for (name, value) in [("edge", self.edge), ("correlation", self.correlation)] {
            if !(0.0..1.0).contains(&value) {
                return refuse(name, &value, "in [0, 1)");
            }
        }
        if !(1e-12..=1e12).contains(&self.price) {
            return refuse("price", &self.price, "in [1e-12, 1e12]");
        }
        if !(self.annual_volatility > 0.0 && self.annual_volatility <= 10.0) {
            return refuse("annual_volatility", &self.annual_volatility, "in (0, 10]");
        }
        Ok(())
    }
}

/// One simulated symbol.
#[derive(Clone, Debug)]
pub struct Market {
    /// Its bars, with `taker_buy_volume` as further column.
    pub columns: Columns,
    /// Settlements at 00, 08 and 16 UTC from the first open to before the last close.
    pub funding: Funding,
    /// Hidden score, known at the close of each bar, that moves the mean of the next one.
    pub planted: Vec<f64>,
    /// Hidden volatility of each bar: standard deviation of its log return, a fraction.
    pub volatility: Vec<f64>,
}

/// Simulates `settings.symbols` markets.
pub fn simulate(settings: &Settings) -> Result<Vec<Market>> {
    settings.check()?;
    Ok((0..settings.symbols as u64).map(|k| simulate_symbol(settings, k)).collect())
}

fn simulate_symbol(settings: &Settings, symbol: u64) -> Market {
    let Settings { seed, bars, interval_ms, .. } = *settings;
    let column = || Vec::with_capacity(bars);
    let mut columns = Columns {
        open_time: Vec::with_capacity(bars),
        open: column(),
        high: column(),
        low: column(),
        close: column(),
        volume: column(),
        extra: BTreeMap::new(),
    };
    let (mut taker_buy, mut planted, mut volatility) = (column(), column(), column());

    let mut path = Path::new(settings, symbol);
    let mut flow = Flow::new(settings, symbol);
    let mut rates = Rates::new(settings, symbol);
    let mut random = Random::new(seed, symbol, Purpose::Planted);
    let mut score = Ar1::new(PLANTED_PERSISTENCE, &mut random);
    let mut tick = Decimal::new(settings.price, 1e5);

    let mut open_time = settings.start_ms;
    for _ in 0..bars {
        rates.settle_until(open_time + interval_ms, path.level);
        let step = path.step(open_time, score.value);
        score.step(&mut random);

        // The exchange refines its tick when it has grown to 1e-4 of the price.
        tick.refine(exp(step.open), 1e4);
        let open = tick.round(exp(step.open));
        let close = tick.round(exp(step.close));
        let high = tick.round(exp(step.high)).max(open).max(close);
        let low = tick.round(exp(step.low)).min(open).min(close);
        let (volume, bought) = flow.step(step.close - step.open, step.volatility, score.value);

        columns.open_time.push(open_time);
        columns.open.push(open);
        columns.high.push(high);
        columns.low.push(low);
        columns.close.push(close);
        columns.volume.push(volume);
        taker_buy.push(bought);
        planted.push(score.value);
        volatility.push(step.volatility);
        open_time += interval_ms;
    }
    columns.extra.insert("taker_buy_volume".to_owned(), taker_buy);
    Market { columns, funding: rates.funding, planted, volatility }
}

/// One bar in log prices, with the volatility it was drawn at.
struct Step {
    open: f64,
    high: f64,
    low: f64,
    close: f64,
    volatility: f64,
}

/// The log price of one symbol.
struct Path {
    level: f64,
    common: Common,
    random: Random,
    slow: Ar1,
    first: bool,
    /// Volatility of a bar where every factor is 1.
    base: f64,
    edge: f64,
    correlation: f64,
    interval_hours: f64,
    /// Average of a cosine of period one day over a bar, relative to the middle of the bar.
    smoothing: f64,
}

impl Path {
    fn new(settings: &Settings, symbol: u64) -> Self {
        use std::f64::consts::{FRAC_PI_2, PI};
        let mut random = Random::new(settings.seed, symbol, Purpose::Path);
        let interval_hours = settings.interval_ms as f64 / HOUR_MS as f64;
        let half_arc = PI * interval_hours / 24.0;
        Self {
            level: ln(settings.price),
            common: Common::new(settings.seed),
            slow: Ar1::new(SLOW_PERSISTENCE, &mut random),
            random,
            first: true,
            base: base_volatility(settings),
            edge: settings.edge,
            correlation: settings.correlation,
            interval_hours,
            smoothing: cos(half_arc - FRAC_PI_2) / half_arc,
        }
    }

    fn step(&mut self, open_time: i64, score: f64) -> Step {
        let (shared, shared_shocks) = self.common.step();
        self.slow.step(&mut self.random);
        let season = self.season(open_time);
        let own = SLOW.1 * self.slow.value - SLOW.1 * SLOW.1;
        let volatility = self.base * shared * exp(own) * season.sqrt();

        if !self.first && self.random.uniform() < GAP.0 {
            let size = GAP.1 * volatility;
            self.level += size * self.random.normal() - 0.5 * size * size;
        }
        self.first = false;

        let noise = volatility * (1.0 - self.edge * self.edge).sqrt();
        let pull = self.edge * volatility;
        let drift = pull * score - 0.5 * pull * pull - log_mean_exp(noise, self.correlation);
        let own_shocks = shocks(&mut self.random);
        let loads = (self.correlation.sqrt() * noise, (1.0 - self.correlation).sqrt() * noise);
        let step_variance = noise * noise * diffusive() / STEPS as f64;

        let open = self.level.clamp(LEVELS.0, LEVELS.1);
        let (mut high, mut low, mut a) = (open, open, open);
        for (f, e) in shared_shocks.into_iter().zip(own_shocks) {
            let moved = a + (drift / STEPS as f64 + (loads.0 * f + loads.1 * e));
            let b = moved.clamp(LEVELS.0, LEVELS.1);
            let mut reach =
                || ((b - a) * (b - a) + 2.0 * step_variance * self.random.exponential()).sqrt();
            high = high.max(0.5 * (a + b + reach()));
            low = low.min(0.5 * (a + b - reach()));
            a = b;
        }
        self.level = a;
        Step { open, high, low, close: a, volatility }
    }

    /// Variance by the time of day; its mean over a day is 1.
    fn season(&self, open_time: i64) -> f64 {
        let hour = open_time.rem_euclid(24 * HOUR_MS) as f64 / HOUR_MS as f64;
        let arc = std::f64::consts::TAU / 24.0 * (hour + 0.5 * self.interval_hours - SEASON.1);
        1.0 + SEASON.0 * self.smoothing * cos(arc)
    }
}

/// What all symbols share: regime, most of log volatility, and the factor's shocks. Every symbol walks its own copy.
struct Common {
    random: Random,
    regime: usize,
    slow: Ar1,
    scale: f64,
}

impl Common {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, u64::MAX, Purpose::Path);
        let draw = random.uniform();
        let regime =
            usize::from(draw >= REGIMES[0].1) + usize::from(draw >= REGIMES[0].1 + REGIMES[1].1);
        let square: f64 = REGIMES.iter().map(|(level, share)| share * level * level).sum();
        let slow = Ar1::new(SLOW_PERSISTENCE, &mut random);
        Self { random, regime, slow, scale: 1.0 / square.sqrt() }
    }

    fn step(&mut self) -> (f64, [f64; STEPS]) {
        let (down, up) = MOVES[self.regime];
        let draw = self.random.uniform();
        if draw < down {
            self.regime -= 1;
        } else if draw < down + up {
            self.regime += 1;
        }
        self.slow.step(&mut self.random);
        let slow = SLOW.0 * self.slow.value - SLOW.0 * SLOW.0;
        (self.scale * REGIMES[self.regime].0 * exp(slow), shocks(&mut self.random))
    }
}

/// Steps of one bar whose sum has variance 1: normals, and rarely a jump in one of them.
fn shocks(random: &mut Random) -> [f64; STEPS] {
    let size = (diffusive() / STEPS as f64).sqrt();
    let mut steps = [0.0; STEPS];
    for step in &mut steps {
        *step = size * random.normal();
    }
    if random.uniform() < JUMP.0 {
        steps[(random.next() >> 61) as usize] += JUMP.1 * random.normal();
    }
    steps
}

/// Part of the variance of shocks that is not jumps.
fn diffusive() -> f64 {
    1.0 - JUMP.0 * JUMP.1 * JUMP.1
}

/// `ln E[exp(noise * (sqrt(c) F + sqrt(1 - c) E))]`, by which the drift falls.
fn log_mean_exp(noise: f64, correlation: f64) -> f64 {
    let variance = noise * noise;
    let jumps = |load: f64| ln(1.0 + JUMP.0 * (exp(0.5 * JUMP.1 * JUMP.1 * variance * load) - 1.0));
    0.5 * variance * diffusive() + jumps(correlation) + jumps(1.0 - correlation)
}

fn base_volatility(settings: &Settings) -> f64 {
    settings.annual_volatility * (settings.interval_ms as f64 / YEAR_MS).sqrt()
}

#[cfg(test)]
mod tests {
    use super::exchange::{FUNDING_LIMIT, FUNDING_MEAN, FUNDING_MS};
    use super::*;
    use crate::bars::Bars;
    use crate::digest::Digest;
    use crate::numeric::{mean, standard_deviation};

    const BARS: usize = 200_000;

    fn one(settings: &Settings) -> Market {
        simulate(settings).unwrap().remove(0)
    }

    fn digest(markets: &[Market]) -> String {
        let mut digest = Digest::new("simulated");
        for m in markets {
            let c = &m.columns;
            digest.ints(&c.open_time);
            for values in [&c.open, &c.high, &c.low, &c.close, &c.volume] {
                digest.floats(values);
            }
            digest.floats(&c.extra["taker_buy_volume"]);
            digest.ints(&m.funding.time);
            digest.floats(&m.funding.rate);
            digest.floats(&m.planted);
        }
        digest.hex()
    }

    fn correlation(x: &[f64], y: &[f64]) -> f64 {
        let (a, b) = (mean(x), mean(y));
        let products: Vec<f64> = x.iter().zip(y).map(|(x, y)| (x - a) * (y - b)).collect();
        let scale = standard_deviation(x) * standard_deviation(y);
        mean(&products) / scale * x.len() as f64 / (x.len() - 1) as f64
    }

    fn log_returns(m: &Market) -> Vec<f64> {
        m.columns.open.iter().zip(&m.columns.close).map(|(o, c)| ln(c / o)).collect()
    }

    /// The digest was recorded from this code on x86-64 Linux when the model was fixed. It guards the bits across
    /// machines and releases; that the numbers make sense is for the other tests.
    #[test]
    fn bits_are_pinned() {
        let settings =
            Settings { seed: 7, bars: 500, symbols: 2, edge: 0.1, ..Settings::default() };
        let markets = simulate(&settings).unwrap();
        assert_eq!(digest(&markets), digest(&simulate(&settings).unwrap()));
        assert_eq!(
            digest(&markets),
            "e18a839b0b4e5be5652a4664961537840a64777724d521edf3082732e2eef96b"
        );
        assert_ne!(digest(&markets), digest(&simulate(&Settings { seed: 8, ..settings }).unwrap()));
    }

    #[test]
    fn bounds_are_named() {
        let base = Settings::default();
        for (settings, message) in [
            (Settings { edge: 1.0, ..base.clone() }, "`edge` must be in [0, 1), was 1"),
            (
                Settings { correlation: f64::NAN, ..base.clone() },
                "`correlation` must be in [0, 1), was NaN",
            ),
            (Settings { price: 0.0, ..base.clone() }, "`price` must be in [1e-12, 1e12], was 0"),
            (Settings { interval_ms: 0, ..base.clone() }, "`interval_ms` must be > 0, was 0"),
            (
                Settings { annual_volatility: 0.0, ..base.clone() },
                "`annual_volatility` must be in (0, 10], was 0",
            ),
            (
                Settings { symbols: 0, ..base.clone() },
                "`symbols` must be at least 1 and at most 200000000, was 0",
            ),
            (
                Settings { bars: 0, ..base.clone() },
                "`bars` must be at least 1 and at most 200000000 over all symbols, was 0",
            ),
            (
                Settings { start_ms: i64::MAX, ..base },
                "`start_ms` must be such that all bars lie in years 1 to 9999, was 9223372036854775807",
            ),
        ] {
            assert_eq!(simulate(&settings).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn more_symbols_or_bars_change_nothing_of_what_was_there() {
        let small = Settings { bars: 700, symbols: 2, ..Settings::default() };
        let few = simulate(&small).unwrap();
        let many = simulate(&Settings { symbols: 5, ..small.clone() }).unwrap();
        assert_eq!(digest(&few), digest(&many[..2]));
        assert_ne!(digest(&many[..1]), digest(&many[1..2]));
        let long = one(&Settings { bars: 900, ..small.clone() });
        assert_eq!(few[0].columns.close, long.columns.close[..700]);
        assert_eq!(few[0].planted, one(&Settings { edge: 0.5, ..small }).planted);
    }

    #[test]
    fn bars_are_valid_at_every_extreme() {
        let base = Settings { bars: 2_000, ..Settings::default() };
        let day = 24 * HOUR_MS;
        for settings in [
            base.clone(),
            Settings { bars: 1, ..base.clone() },
            Settings { interval_ms: 1, ..base.clone() },
            Settings { annual_volatility: 10.0, interval_ms: 7 * day, ..base.clone() },
            Settings {
                annual_volatility: 10.0,
                interval_ms: 100_000 * day,
                bars: 20,
                ..base.clone()
            },
            Settings { annual_volatility: 1e-6, edge: 0.999, ..base.clone() },
            Settings { price: 1e-12, correlation: 0.999, ..base.clone() },
            Settings { price: 1e12, correlation: 0.0, start_ms: -1, ..base.clone() },
        ] {
            let Market { columns: c, funding, planted, .. } = one(&settings);
            let taker = &c.extra["taker_buy_volume"];
            for (i, bought) in taker.iter().enumerate() {
                assert!(c.low[i] <= c.open[i].min(c.close[i]), "{settings:?} {i}");
                assert!(c.high[i] >= c.open[i].max(c.close[i]), "{settings:?} {i}");
                assert!((0.0..=c.volume[i]).contains(bought), "{settings:?} {i}");
            }
            assert!(planted.iter().all(|p| p.is_finite()));
            assert!(funding.rate.iter().all(|r| r.abs() <= FUNDING_LIMIT));
            let end = c.open_time.last().unwrap() + settings.interval_ms;
            let settlements = settings.start_ms.div_euclid(FUNDING_MS)..=end.div_euclid(FUNDING_MS);
            let due = settlements.map(|k| k * FUNDING_MS);
            let due = due.filter(|t| (settings.start_ms..end).contains(t));
            assert_eq!(funding.time, due.collect::<Vec<_>>());
            let funding = Funding::new(&funding.time, funding.rate).unwrap();
            assert_eq!(c.open[0], Decimal::new(settings.price, 1e5).round(settings.price));
            Bars::new(c, settings.interval_ms, Some(funding), vec![]).unwrap();
        }
    }

    #[test]
    fn prices_lie_on_decimal_ticks() {
        let c = one(&Settings { price: 30_000.0, bars: 300, ..Settings::default() }).columns;
        assert!(
            c.close.iter().all(|p| p.to_string().split('.').nth(1).is_none_or(|d| d.len() == 1))
        );
        let gaps = (1..300).filter(|&i| c.open[i] != c.close[i - 1]).count();
        assert!((20..150).contains(&gaps), "{gaps}");
    }

    #[test]
    fn the_planted_edge_has_its_size() {
        for edge in [0.0, 0.1] {
            let m = one(&Settings { seed: 3, bars: BARS, edge, ..Settings::default() });
            let z: Vec<f64> =
                log_returns(&m).iter().zip(&m.volatility).map(|(r, s)| r / s).collect();
            let found = correlation(&m.planted[..BARS - 1], &z[1..]);
            // Four standard errors of 1 / sqrt(n).
            assert!((found - edge).abs() < 0.009, "{edge} {found}");
            assert!((standard_deviation(&z) - 1.0).abs() < 0.02, "{}", standard_deviation(&z));
            let lagged = correlation(&m.planted[24..], &m.planted[..BARS - 24]);
            assert!((lagged - 0.5).abs() < 0.05, "{lagged}");
        }
    }

    #[test]
    fn the_game_is_fair() {
        let mut all = Vec::new();
        for seed in 0..4 {
            let m = one(&Settings {
                seed,
                bars: BARS / 2,
                interval_ms: HOUR_MS,
                ..Settings::default()
            });
            let simple = m.columns.close.windows(2).map(|w| w[1] / w[0] - 1.0);
            all.extend(simple.zip(&m.volatility[1..]).map(|(r, s)| r / s));
        }
        let bound = 3.0 * standard_deviation(&all) / (all.len() as f64).sqrt();
        assert!(mean(&all).abs() < bound);
    }

    #[test]
    fn returns_look_like_returns() {
        let markets =
            simulate(&Settings { seed: 1, bars: BARS, symbols: 2, ..Settings::default() }).unwrap();
        let returns: Vec<Vec<f64>> = markets.iter().map(log_returns).collect();
        let r = &returns[0];
        let deviation = standard_deviation(r);
        let fourth: Vec<f64> =
            r.iter().map(|r| (r / deviation) * (r / deviation)).map(|s| s * s).collect();
        let kurtosis = mean(&fourth);
        let size: Vec<f64> = r.iter().map(|r| r.abs()).collect();
        let clustering = correlation(&size[1..], &size[..BARS - 1]);
        let far = correlation(&size[100..], &size[..BARS - 100]);
        let own = correlation(&r[1..], &r[..BARS - 1]);
        let cross = correlation(r, &returns[1]);
        let annual = deviation * 105_120.0_f64.sqrt();
        let c = &markets[0].columns;
        let volume = correlation(&size, &c.volume);
        let share: Vec<f64> =
            c.volume.iter().zip(&c.extra["taker_buy_volume"]).map(|(v, b)| b / v).collect();
        let lean = correlation(r, &share);
        let range: Vec<f64> = c.high.iter().zip(&c.low).map(|(h, l)| ln(h / l)).collect();
        let wick = mean(&range) / mean(&size);
        let rate = mean(&markets[0].funding.rate);
        assert!((5.0..60.0).contains(&kurtosis), "{kurtosis}");
        assert!(clustering > 0.1 && far > 0.1, "{clustering} {far}");
        assert!(own.abs() < 0.02, "{own}");
        assert!((cross - 0.6).abs() < 0.06, "{cross}");
        assert!((annual / 0.6 - 1.0).abs() < 0.25, "{annual}");
        assert!(volume > 0.3 && (0.1..0.7).contains(&lean), "{volume} {lean}");
        // A continuous random walk has a range of twice its mean absolute move (Feller 1951).
        assert!((1.8..2.3).contains(&wick), "{wick}");
        assert!((rate - FUNDING_MEAN).abs() < 0.000_05, "{rate}");
    }
}
