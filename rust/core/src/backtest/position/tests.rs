//! Sizes, levels, closes and marks of positions.

use super::*;
use crate::backtest::rules::Sizing;
use crate::instrument::Kind;

fn order(rules: &Rules, side: Side) -> Order<'_> {
    Order {
        rules,
        side,
        signal_bar: 0,
        p: 0.75,
        threshold: 0.5,
        atr: 2.0,
        volatility: 0.5,
        stop: 0.01,
        target: 0.02,
        size: 0.5,
    }
}

fn at(price: f64, fee_rate: f64) -> EntryFill {
    EntryFill { price, fee_rate, bar: 1, time: 0, inside: false }
}

fn spot(lot: f64, min_notional: f64) -> Instrument {
    Instrument::new(Kind::Spot, 0.005, lot, min_notional).unwrap()
}

#[test]
fn margin_and_fee_fit_the_share() {
    let rules = Rules { leverage: 10.0, fraction: 0.5, ..Rules::default() };
    let held =
        Position::open(&order(&rules, Side::Long), at(100.0, 0.001), 1e4, &spot(0.0, 0.0)).unwrap();
    assert!((held.margin + held.entry_fee - 0.5).abs() < 1e-15);
    let rebate =
        Position::open(&order(&rules, Side::Long), at(100.0, -0.001), 1e4, &spot(0.0, 0.0))
            .unwrap();
    assert_eq!(rebate.margin, 0.5);
}

#[test]
fn sizes_follow_their_formulas() {
    let share = |rules: &Rules| order(rules, Side::Long).share(100.0);
    let base = Rules { fraction: 0.8, ..Rules::default() };
    assert_eq!(
        share(&Rules { sizing: Sizing::Confidence, size_min: 0.2, ..base.clone() }),
        0.2 + 0.6 * 0.5
    );
    assert_eq!(share(&Rules { sizing: Sizing::Signal, ..base.clone() }), 0.4);
    let risk = Rules {
        sizing: Sizing::Risk,
        risk: Some(0.01),
        stop_loss: Some(0.05),
        leverage: 2.0,
        ..base.clone()
    };
    assert_eq!(share(&risk), 0.01 / (2.0 * 0.05));
    assert_eq!(share(&Rules { risk: Some(0.5), ..risk }), 0.8);
    let volatility = Rules { sizing: Sizing::Volatility, vol_target: Some(0.2), ..base };
    assert_eq!(share(&volatility), 0.2 / 0.5);
}

#[test]
fn lots_and_minimal_notional_void_an_order() {
    let rules = Rules::default();
    let open = |lot, least| {
        Position::open(&order(&rules, Side::Long), at(100.0, 0.0), 1e4, &spot(lot, least))
    };
    assert_eq!(open(0.0, 0.0).unwrap().quantity * 1e4, 100.0);
    assert!((open(3.0, 0.0).unwrap().quantity * 1e4 - 99.0).abs() < 1e-12);
    assert!(open(101.0, 0.0).is_none());
    assert!(open(0.0, 10_000.0).is_some() && open(0.0, 10_001.0).is_none());
}

#[test]
fn liquidation_level_leaves_the_maintenance_margin() {
    let rules = Rules { leverage: 10.0, ..Rules::default() };
    for side in [Side::Long, Side::Short] {
        let held =
            Position::open(&order(&rules, side), at(100.0, 0.0), 1e4, &spot(0.0, 0.0)).unwrap();
        let left = held.margin + side.sign() * held.quantity * (held.liquidation - 100.0);
        assert!((left - 0.005 * held.quantity * held.liquidation).abs() < 1e-12);
    }
    let plain = Rules::default();
    let unlevered =
        Position::open(&order(&plain, Side::Long), at(100.0, 0.0), 1e4, &spot(0.0, 0.0)).unwrap();
    assert!(unlevered.liquidation.is_nan());
}

#[test]
fn equal_levels_take_the_first_reason() {
    let rules = Rules { stop_loss: Some(0.1), ..Rules::default() };
    let mut held =
        Position::open(&order(&rules, Side::Long), at(100.0, 0.0), 1e4, &spot(0.0, 0.0)).unwrap();
    assert_eq!(held.stop_in_force(), (90.0, Reason::Stop));
    held.trail = 90.0;
    assert_eq!(held.stop_in_force().1, Reason::Stop);
    (held.stop, held.break_even) = (f64::NAN, 90.0);
    assert_eq!(held.stop_in_force().1, Reason::BreakEven);
    held.trail = 91.0;
    assert_eq!(held.stop_in_force(), (91.0, Reason::Trail));
}
