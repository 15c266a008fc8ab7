//! Which way each combination of a sweep takes, decided in one place.

use std::collections::BTreeMap;

#[cfg(feature = "indexed")]
use crate::backtest::indexed::group::{shared_part, why_alone};
use crate::backtest::market::Market;
use crate::backtest::rules::Rules;
use crate::backtest::run::Engine;
use crate::backtest::sweep::{Settings, disjoint};
use crate::instrument::Instrument;
use crate::window::Window;

/// The way that a combination takes; results are the same, to the bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    /// From event to event, each entry looked at once for all that enter alike.
    Shared,
    /// From event to event, by itself.
    Walk,
    /// Bar by bar.
    Replay,
}

impl Path {
    /// Name of the path.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Walk => "walk",
            Self::Replay => "replay",
        }
    }
}

/// What decides which way combinations take: what [`sweep`](super::sweep::sweep) follows is what
/// [`paths`] tells.
pub struct Routes {
    instrument: Instrument,
    /// Why every bar must be stepped, if it must.
    every_bar: Option<&'static str>,
    /// Windows run in parallel, as there are few combinations.
    pub split_windows: bool,
    /// Combinations go through the windows side by side.
    pub side_by_side: bool,
}

impl Routes {
    /// For so many combinations over these windows.
    pub fn new(
        market: &Market<'_>,
        combinations: usize,
        windows: &[Window],
        settings: &Settings,
    ) -> Self {
        let every_bar = match settings.engine {
            Engine::Replay => Some("asked for"),
            Engine::Indexed if cfg!(not(feature = "indexed")) => Some("built without `indexed`"),
            Engine::Indexed => market.needs_every_bar(),
        };
        let split_windows = combinations < 4 * settings.threads && windows.len() > 1;
        let side_by_side = every_bar.is_none() && !split_windows && disjoint(windows);
        Self { instrument: market.instrument, every_bar, split_windows, side_by_side }
    }

    /// The way of a combination, and what keeps it from a shorter one.
    fn path(&self, rules: &Rules) -> (Path, Option<&'static str>) {
        if self.every_bar.is_some() {
            return (Path::Replay, self.every_bar);
        }
        if let Some(reason) = why_alone(rules, &self.instrument) {
            return (Path::Walk, Some(reason));
        }
        if self.split_windows {
            return (Path::Walk, Some("few combinations, so that windows run in parallel"));
        }
        if !self.side_by_side {
            return (Path::Walk, Some("windows overlap or run backwards"));
        }
        (Path::Shared, None)
    }
}

/// Combinations that take one way for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The way.
    pub path: Path,
    /// What keeps them from a shorter one.
    pub reason: Option<&'static str>,
    /// How many they are.
    pub combinations: usize,
    /// How many groups enter alike, where entries are shared.
    pub groups: usize,
}

/// Which ways [`sweep`](super::sweep::sweep) would take, in the order of [`Path`] and then of the reasons.
pub fn paths(
    market: &Market<'_>,
    combinations: &[Rules],
    windows: &[Window],
    settings: &Settings,
) -> Vec<Route> {
    let routes = Routes::new(market, combinations.len(), windows, settings);
    let mut counts: BTreeMap<(Path, Option<&'static str>), usize> = BTreeMap::new();
    for rules in combinations {
        *counts.entry(routes.path(rules)).or_default() += 1;
    }
    let (groups, _) = grouped(&routes, combinations.iter());
    counts
        .into_iter()
        .map(|((path, reason), combinations)| {
            let groups = if path == Path::Shared { groups.len() } else { 0 };
            Route { path, reason, combinations, groups }
        })
        .collect()
}

/// Numbers of the combinations that enter alike, in groups, and of those that go by themselves.
pub fn grouped<'r>(
    routes: &Routes,
    combinations: impl Iterator<Item = &'r Rules>,
) -> (Vec<Vec<usize>>, Vec<usize>) {
    let mut groups: Vec<(Rules, Vec<usize>)> = vec![];
    let mut alone = vec![];
    // Groups by their thresholds, so that ten thousand different ones are not compared with each other.
    let mut by_threshold: BTreeMap<[u64; 2], Vec<usize>> = BTreeMap::new();
    for (number, rules) in combinations.enumerate() {
        let part = match routes.path(rules) {
            (Path::Shared, _) => shared_part(rules, &routes.instrument),
            _ => None,
        };
        let Some(part) = part else {
            alone.push(number);
            continue;
        };
        let bits = |threshold: Option<f64>| threshold.unwrap_or(f64::NAN).to_bits();
        let near = by_threshold.entry([bits(rules.entry_long), bits(rules.entry_short)]);
        let near = near.or_default();
        if let Some(group) = near.iter().find(|group| groups[**group].0 == part) {
            groups[*group].1.push(number);
        } else {
            near.push(groups.len());
            groups.push((part, vec![number]));
        }
    }
    (groups.into_iter().map(|(_, members)| members).collect(), alone)
}

/// Nobody asks where every bar is stepped.
#[cfg(not(feature = "indexed"))]
fn why_alone(_: &Rules, _: &Instrument) -> Option<&'static str> {
    None
}

#[cfg(not(feature = "indexed"))]
fn shared_part(_: &Rules, _: &Instrument) -> Option<Rules> {
    None
}

#[cfg(all(test, feature = "indexed"))]
mod tests {
    use super::*;
    use crate::backtest::costs::Costs;
    use crate::backtest::rules::Entry;
    use crate::bars::{Bars, Columns};
    use crate::instrument::Kind;
    use crate::signals::{SignalKind, Signals};

    fn world() -> (Bars, Signals) {
        let prices = vec![100.0; 50];
        let columns = Columns {
            open_time: (0..).step_by(60_000).take(50).collect(),
            open: prices.clone(),
            high: prices.clone(),
            low: prices.clone(),
            close: prices.clone(),
            volume: prices,
            ..Columns::default()
        };
        let mut arrays: [Option<Vec<f64>>; 7] = Default::default();
        arrays[0] = Some(vec![0.5; 50]);
        let signals = Signals::new(SignalKind::Probability, arrays).unwrap();
        (Bars::new(columns, 60_000, None, vec![]).unwrap(), signals)
    }

    #[test]
    fn paths_name_what_a_sweep_does_and_why() {
        let (bars, signals) = world();
        let spot = |lot| Instrument::new(Kind::Spot, 0.005, lot, 0.0).unwrap();
        let costs = Costs::new(0.0, 0.0, 0.0).unwrap();
        let told = |lot, combinations: &[Rules], cuts: &[[usize; 2]], threads, engine| {
            let market = Market::new(&bars, &signals, costs, spot(lot)).unwrap();
            let windows: Vec<Window> =
                cuts.iter().map(|c| Window { start: c[0], stop: c[1] }).collect();
            let settings =
                Settings { initial_equity: 1e4, periods_per_year: 365.0, threads, engine };
            paths(&market, combinations, &windows, &settings)
                .into_iter()
                .map(|r| (r.path.name(), r.reason.unwrap_or(""), r.combinations, r.groups))
                .collect::<Vec<_>>()
        };
        let stopped =
            |stop| Rules { entry_long: Some(0.5), stop_loss: Some(stop), ..Rules::default() };
        let mut mixed = [0.01, 0.02, 0.05].map(stopped).to_vec();
        mixed.push(Rules { entry_long: Some(0.6), ..mixed[0].clone() });
        mixed.push(Rules { entry: Entry::Limit, ..mixed[0].clone() });
        mixed.push(Rules { reverse: true, ..mixed[0].clone() });
        let whole = [[0, 50]];
        assert_eq!(
            told(0.0, &mixed, &whole, 1, Engine::Indexed),
            [("shared", "", 4, 2), ("walk", "limit entries", 1, 0), ("walk", "reversing", 1, 0)]
        );
        let cuts = [[0, 20], [20, 50]];
        assert_eq!(told(0.0, &mixed[..4], &cuts, 1, Engine::Indexed), [("shared", "", 4, 2)]);
        assert_eq!(
            told(0.0, &mixed[..4], &cuts, 2, Engine::Indexed),
            [("walk", "few combinations, so that windows run in parallel", 4, 0)]
        );
        assert_eq!(
            told(0.0, &mixed[..4], &[[0, 20], [10, 50]], 1, Engine::Indexed),
            [("walk", "windows overlap or run backwards", 4, 0)]
        );
        assert_eq!(told(0.5, &mixed[..4], &whole, 1, Engine::Indexed), [("walk", "lots", 4, 0)]);
        assert_eq!(told(0.0, &mixed, &whole, 1, Engine::Replay), [("replay", "asked for", 6, 0)]);
    }
}
