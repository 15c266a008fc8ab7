//! What comes in from outside: numbers that are taken or refused, text that is read or refused. Nothing panics.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::Draw;
use super::engines::bits;
use crate::backtest::costs::Costs;
use crate::backtest::finer::Finer;
use crate::backtest::market::Market;
use crate::backtest::rules::Rules;
use crate::backtest::run::{Engine, Schedule, run};
use crate::backtest::table::Value;
use crate::bars::{Bars, Columns, Funding};
use crate::features::batch::compute;
use crate::features::grammar::{Expr, parse};
use crate::features::graph::Graph;
use crate::instrument::{Instrument, Kind};
use crate::signals::{SignalKind, Signals};
use crate::window::Window;

/// Numbers at which code goes wrong.
const ODD: [f64; 16] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    2.0,
    100.0,
    1e-3,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::MIN_POSITIVE,
    f64::MAX,
    f64::EPSILON,
    9_007_199_254_740_993.0,
    1e-320,
];

/// An odd number, any bits, or one in [0, 1) or around 100.
fn number(draw: &mut Draw<'_>) -> f64 {
    match draw.below(8) {
        0 => draw.of(&ODD),
        1 => f64::from_bits(draw.whole()),
        2..5 => draw.unit(),
        _ => draw.between(99.0, 101.0),
    }
}

/// A price: mostly one of a market.
fn price(draw: &mut Draw<'_>, odd: f64) -> f64 {
    if odd > 0.0 && draw.chance(odd) { number(draw) } else { draw.between(98.0, 102.0) }
}

fn bars(draw: &mut Draw<'_>, n: usize, interval: i64, from: i64) -> Option<Bars> {
    let mut columns = Columns::default();
    let mut time = from;
    let (torn, odd) = (draw.chance(0.1), draw.of(&[0.0, 0.0, 0.02]));
    for _ in 0..n {
        columns.open_time.push(time);
        let leaps = odd > 0.0 && draw.chance(0.02);
        time = time.wrapping_add(if leaps { draw.whole().cast_signed() } else { interval });
        let mut prices = [(); 4].map(|()| price(draw, odd));
        if !torn {
            // Low, open, close, high, but for NaN.
            prices.sort_by(f64::total_cmp);
        }
        columns.low.push(prices[0]);
        columns.open.push(prices[1]);
        columns.close.push(prices[2]);
        columns.high.push(prices[3]);
        columns.volume.push(if odd > 0.0 && draw.chance(0.02) { number(draw) } else { 1.0 });
    }
    let funding = if draw.chance(0.5) {
        let mut at = from;
        let odd = draw.chance(0.05);
        let times: Vec<i64> = (0..draw.below(5))
            .map(|_| {
                let step = draw.of(&[1_000, interval, 5 * 60_000, 700]);
                at = at.wrapping_add(if odd { draw.whole().cast_signed() } else { step });
                at
            })
            .collect();
        let rates = times.iter().map(|_| draw.between(-0.01, 0.01)).collect();
        Funding::new(&times, rates).ok()
    } else {
        None
    };
    Bars::new(columns, interval, funding, vec![]).ok()
}

fn signals(draw: &mut Draw<'_>, n: usize) -> Option<Signals> {
    let kind = draw.of(&[SignalKind::Probability, SignalKind::Score]);
    let mut arrays: [Option<Vec<f64>>; 7] = Default::default();
    for slot in &mut arrays {
        if draw.chance(0.8) {
            let odd = draw.of(&[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.05]);
            let value = |_| if draw.chance(odd) { number(draw) } else { draw.between(0.01, 1.0) };
            *slot = Some((0..n).map(value).collect());
        }
    }
    Signals::new(kind, arrays).ok()
}

/// Fields set one by one, each to what fits it or to what does not.
fn rules(draw: &mut Draw<'_>) -> Option<Rules> {
    let mut made = Rules { entry_long: Some(0.5), ..Rules::default() };
    for field in Rules::fields() {
        if !draw.chance(0.15) {
            continue;
        }
        let value = match draw.below(8) {
            0 => Value::None,
            1 => Value::Bool(draw.chance(0.5)),
            2 => Value::Int(draw.of(&[0, 1, 2, 3, 10, -1, i64::MAX, i64::MIN])),
            3 => Value::Float(number(draw)),
            _ if field.choices.is_empty() => Value::Float(draw.unit()),
            _ => Value::Text(draw.of(field.choices).to_owned()),
        };
        // A field that was refused stays as it was.
        let before = made.clone();
        if made.set(field.name, &value).is_err() {
            assert_eq!(made, before, "{} was refused and yet changed", field.name);
        }
    }
    made.check().is_ok().then_some(made)
}

/// Any numbers as candles, funding, signals, rules, costs, instrument, window and finer candles: what is refused is
/// refused with an error, and on what is taken the engines agree. False where something was refused.
///
/// # Panics
///
/// Where something panics, or a bit differs.
pub fn numbers_at_the_door(draw: &mut Draw<'_>) -> bool {
    taken(draw).is_some()
}

fn taken(draw: &mut Draw<'_>) -> Option<()> {
    let n = draw.below(40);
    let interval = draw.of(&[60_000, 60_000, 3_600_000, 1_000, 86_400_000, 2, 0, i64::MAX]);
    let ordinary = draw.chance(0.95);
    let from = if ordinary { 1_700_000_040_000 } else { draw.whole().cast_signed() };
    let rules = rules(draw)?;
    let kind = draw.of(&[Kind::Spot, Kind::Perpetual, Kind::Equity, Kind::Fx]);
    let maintenance = if draw.chance(0.95) { 0.005 } else { number(draw) };
    let lot = if draw.chance(0.9) { 0.0 } else { number(draw) };
    let least = if draw.chance(0.9) { 0.0 } else { number(draw) };
    let instrument = Instrument::new(kind, maintenance, lot, least).ok()?;
    let rates = [(); 3].map(|()| if draw.chance(0.95) { 0.001 } else { number(draw) });
    let costs = Costs::new(rates[0], rates[1], rates[2]).ok()?;
    let (start, length) = (draw.below(n + 1), draw.below(n + 1));
    let window = Window::new(start, (start + length).min(n + draw.below(2)), n).ok()?;
    let equity = draw.of(&[1e4, 1.0, 1e-3, 1e12]);
    let bars = bars(draw, n, interval, from)?;
    let signals = signals(draw, n)?;
    let market = Market::new(&bars, &signals, costs, instrument).ok()?;
    let fine = self::bars(draw, 2 * n, interval / 2, from)?;
    let finer = Finer::new(&bars, &fine);
    let schedule = Schedule::constant(&market, &rules).ok()?;
    let go = |engine| run(&market, &schedule, window, equity, true, vec![], engine);
    assert_eq!(bits(&go(Engine::Indexed)), bits(&go(Engine::Replay)));
    if let Ok(finer) = finer {
        let market = market.with_finer(&finer).ok()?;
        let schedule = Schedule::constant(&market, &rules).ok()?;
        let outcome = run(&market, &schedule, window, equity, true, vec![], Engine::Indexed);
        assert_eq!(outcome.marks.len(), window.bars());
    }
    Some(())
}

/// Longest warm-up whose values are computed; what is longer is only compiled.
const WARM: u64 = 2_000;

/// Any text as a feature: refused with an error, or brought into a form that reads back to itself, whose values are the
/// same however many bars follow.
///
/// # Panics
///
/// Where something panics, or one of this does not hold.
pub fn feature_text(text: &str) {
    let own = ["mine".to_owned()];
    let Ok(features) = parse(text, &own) else { return };
    for feature in &features {
        let canonical = feature.text();
        // The canonical form writes every parameter, and so may be longer than what is read.
        if canonical.len() > 4_096 {
            return;
        }
        let again = parse(&canonical, &own);
        let again = again.unwrap_or_else(|e| panic!("{canonical:?} of {text:?}: {e}"));
        let read: Vec<String> = again.iter().map(Expr::text).collect();
        assert_eq!(read, [canonical.as_str()], "of {text:?}");
    }
    let Ok(graph) = Graph::new(features, &own) else { return };
    let interval = 60_000;
    let Some(facts) = graph.facts(Some(interval), &[]) else { return };
    if facts.iter().any(|f| f.warmup > WARM) || graph.check_interval(interval).is_err() {
        return;
    }
    let go = AtomicBool::new(false);
    let values = |n: usize| {
        let bars = walk(n);
        let mine: Vec<f64> = bars.close().iter().map(|c| c - 100.0).collect();
        let own: Vec<&[f64]> = graph.own.iter().map(|_| &mine[..]).collect();
        let mut columns = vec![vec![0.0; n]; graph.features.len()];
        let mut out: Vec<&mut [f64]> = columns.iter_mut().map(|column| &mut column[..]).collect();
        let done = compute(&graph, &[("A", &bars)], &own, &mut out, 1, &go);
        (done == Ok(true)).then_some(columns)
    };
    let (Some(short), Some(long)) = (values(150), values(260)) else { return };
    for (short, long) in short.iter().zip(&long) {
        let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<u64>>();
        assert_eq!(bits(short), bits(&long[..short.len()]), "{text:?} sees ahead");
    }
}

/// Bars of one minute, the same for any number of them.
fn walk(n: usize) -> Arc<Bars> {
    let mut draw = Draw::seeded(5);
    let mut columns = Columns::default();
    let mut price = 100.0;
    for time in (1_700_000_040_000..).step_by(60_000).take(n) {
        let close = price * draw.between(0.99, 1.01);
        columns.open_time.push(time);
        columns.open.push(price);
        columns.high.push(price.max(close) * draw.between(1.0, 1.002));
        columns.low.push(price.min(close) / draw.between(1.0, 1.002));
        columns.close.push(close);
        columns.volume.push(draw.between(0.0, 3.0));
        price = close;
    }
    Arc::new(Bars::new(columns, 60_000, None, vec![]).expect("prices are positive, times increase"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_numbers_are_taken_or_refused() {
        let taken = (0..20_000).filter(|seed| numbers_at_the_door(&mut Draw::seeded(*seed)));
        let taken = taken.count();
        assert!(taken > 2_000, "{taken} were taken");
    }

    #[test]
    fn features_read_back_to_themselves() {
        for text in ["rsi(close, 14)", "macd(close)", "sma(mine, 3) @ 5m", "ema(rsi(close, 3), 2)"]
        {
            assert!(parse(text, &["mine".to_owned()]).is_ok(), "{text}");
            feature_text(text);
        }
        feature_text("sma(close, ");
    }
}
