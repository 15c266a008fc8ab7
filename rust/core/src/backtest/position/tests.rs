//! Sizes, levels, closes and marks of positions.

use super::*;
use crate::backtest::record::Trade;
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

/// Round numbers: 1,024 of equity, of it 33/64 at leverage 2 and a fee of 1/64 make a notional of 1,024, 16 units at
/// 64, 512 of margin and 16 of fee.
fn round() -> Rules {
    Rules {
        leverage: 2.0,
        fraction: 33.0 / 64.0,
        stop_loss: Some(0.0625),
        take_profit: Some(0.125),
        ..Rules::default()
    }
}

const EQUITY: f64 = 1024.0;

fn held(rules: &Rules, side: Side) -> Position<'_> {
    let fill = EntryFill { bar: 3, time: 180_000, ..at(64.0, 1.0 / 64.0) };
    Position::open(&order(rules, side), fill, EQUITY, &spot(0.0, 0.0)).unwrap()
}

#[test]
fn a_round_trip_by_hand() {
    let rules = round();
    // Funding: 16 units at 96 times 1/128 are 12. To 72: 128 of profit for a long, fee of 1/32 on 1,152.
    for (side, funding, marked, pnl, worst, best) in [
        (Side::Long, -12.0, 1124.0, 128.0 - 36.0 - 16.0 - 12.0, -0.0625, 0.125),
        (Side::Short, 12.0, 892.0, -128.0 - 36.0 - 16.0 + 12.0, -0.125, 0.0625),
    ] {
        let mut held = held(&rules, side);
        held.charge_funding(1.0 / 128.0, 96.0);
        assert_eq!((held.mark(72.0), held.unit_mark(72.0)), (marked, marked / EQUITY));
        held.see_bar(&Bar { open_time: 0, open: 64.0, high: 72.0, low: 60.0, close: 70.0 });
        held.see_price(66.0);
        assert_eq!(held.seen(), if side == Side::Long { (60.0, 72.0) } else { (72.0, 60.0) });
        (held.ambiguous, held.ambiguous_trail) = (true, side == Side::Long);
        let exit = Exit::Fill { price: 72.0, fee_rate: 1.0 / 32.0 };
        let point = ExitPoint { bar: 7, time: 420_000, at_open: false, reason: Reason::Take };
        let (trade, after) = held.close(exit, &point, EQUITY);
        assert_eq!(after, EQUITY + pnl);
        let want = Trade {
            side,
            signal_bar: 0,
            entry_bar: 3,
            entry_time: 180_000,
            entry_price: 64.0,
            exit_bar: 7,
            exit_time: 420_000,
            exit_price: 72.0,
            quantity: 16.0,
            notional: 1024.0,
            margin: 512.0,
            fraction: 33.0 / 64.0,
            p_entry: 0.75,
            reason: Reason::Take,
            bars_held: 5,
            fees: 52.0,
            funding,
            pnl,
            unit_return: pnl / EQUITY,
            ambiguous: true,
            ambiguous_trail: side == Side::Long,
            mae: worst,
            mfe: best,
        };
        assert_eq!(trade, want);
        let early = held.close(exit, &ExitPoint { at_open: true, ..point }, EQUITY).0;
        assert_eq!((early.bars_held, held.bars_held(7)), (4, 5));
    }
}

#[test]
fn losses_end_at_the_margin_and_funding_at_the_account() {
    let rules = round();
    let mut held = held(&rules, Side::Long);
    held.charge_funding(1.0 / 128.0, 96.0);
    let change = |exit: Exit| held.unit_change(exit).change * EQUITY;
    let fill = |price| Exit::Fill { price, fee_rate: 1.0 / 32.0 };
    // The margin of 512 covers price and fee of the exit; fee of the entry and funding come on top.
    assert_eq!(change(fill(16.0)), -540.0);
    assert_eq!(change(fill(48.0)), -256.0 - 24.0 - 28.0);
    assert_eq!(change(Exit::Liquidation { price: 33.0 }), -540.0);
    assert_eq!(held.unit_change(Exit::Liquidation { price: 33.0 }).fees * EQUITY, 16.0);
    let lost = held.unit_close(Exit::Bankruptcy { price: 40.0 });
    assert_eq!((lost.change, lost.fees * EQUITY, lost.funding * EQUITY), (-1.0, 16.0, -12.0));
    let point = ExitPoint { bar: 4, time: 0, at_open: true, reason: Reason::Liquidation };
    let (trade, after) = held.close(Exit::Bankruptcy { price: 40.0 }, &point, EQUITY);
    assert_eq!((trade.pnl, trade.exit_price, after), (-EQUITY, 40.0, 0.0));
    // Another 484 of 1,024 are gone: with the entry's 28 and the margin, all of it.
    held.charge_funding(484.0 / 1024.0, 64.0);
    assert!(held.is_bankrupt(16.0) && held.is_bankrupt(32.0) && !held.is_bankrupt(33.0));
    assert_eq!(held.mark(16.0), 0.0);
    let mut alive = self::held(&rules, Side::Long);
    alive.charge_funding(495.0 / 1024.0, 64.0);
    assert!(!alive.is_bankrupt(16.0));
}

#[test]
fn less_than_the_bound_of_ruin_is_lost_too() {
    let settle = |change, equity, initial| {
        UnitClose { change, fees: 0.0, funding: 0.0 }.settle(equity, initial)
    };
    assert_eq!(settle(0.25, 1024.0, 1.0), (0.25, 1280.0));
    assert_eq!(settle(0.0, RUIN, 1.0), (0.0, RUIN));
    assert_eq!(settle(-0.5, RUIN, 1.0), (-1.0, 0.0));
    assert_eq!(settle(0.0, RUIN, 2.0), (-1.0, 0.0));
    assert_eq!(marked(1024.0, 0.25), 256.0);
    assert_eq!(marked(1024.0, -0.25), 0.0);
}

#[test]
fn targets_and_market_orders_by_hand() {
    let costs = Costs { taker: 0.5, maker: 0.25, slippage: 0.125 };
    let parts = |exit| match exit {
        Exit::Fill { price, fee_rate } => (price, fee_rate),
        other => panic!("{other:?}"),
    };
    for (side, target, past, before, slipped) in
        [(Side::Long, 72.0, 73.0, 71.0, 63.0), (Side::Short, 56.0, 55.0, 57.0, 63.0)]
    {
        for kind in [TargetOrder::Limit, TargetOrder::Market] {
            let rules = Rules { take_profit_order: kind, ..round() };
            let mut held = held(&rules, side);
            assert_eq!(held.target, target);
            let touched = kind == TargetOrder::Market;
            assert_eq!([past, target, before].map(|p| held.target_hit(p)), [true, touched, false]);
            assert!(held.target_hit_at(64.0, target) && !held.target_hit_at(past, target));
            let want = if touched { (slipped, 0.5) } else { (target, 0.25) };
            assert_eq!(parts(held.target_exit(&costs)), want);
            assert_eq!(parts(held.target_exit_at(target, &costs)), want);
            // Ahead of both the fill and the open, and beyond them.
            assert!(held.target_ahead_of(before) && !held.target_ahead_of(target));
            held.target = 64.0;
            assert!(!held.target_ahead_of(if side == Side::Long { 60.0 } else { 68.0 }));
        }
    }
    let rules = round();
    let (long, short) = (held(&rules, Side::Long), held(&rules, Side::Short));
    assert_eq!(parts(long.taker_exit(64.0, &costs)), (56.0, 0.5));
    assert_eq!(parts(short.taker_exit(64.0, &costs)), (72.0, 0.5));
    let asked = order(&rules, Side::Long);
    assert_eq!(long.levels_of(&asked, Some(0.125), Some(0.25)), (56.0, 80.0));
    let shown = long.shown();
    assert_eq!((shown.quantity, shown.price, shown.stop), (16.0, 64.0, 60.0));
    assert_eq!((shown.target, shown.fraction, shown.leverage), (72.0, 33.0 / 64.0, 2.0));
    let outline = Position::outline(
        &asked,
        EntryFill { bar: 3, time: 180_000, ..at(64.0, 1.0 / 64.0) },
        &spot(0.0, 0.0),
    );
    assert_eq!((outline.target, outline.stop_in_force().0), (72.0, 60.0));
    assert_eq!(outline.liquidation, long.liquidation);
}

#[test]
fn stops_that_move_by_hand() {
    let bar = |high, low, close| Bar { open_time: 0, open: 64.0, high, low, close };
    let moving =
        |trailing, break_even| Rules { trailing, break_even, break_even_offset: 0.0625, ..round() };
    let only = moving(Some(0.125), None);
    let mut long = held(&only, Side::Long);
    long.trail(&bar(80.0, 71.0, 75.0), 4, true);
    assert_eq!((long.stop_in_force(), long.ambiguous_trail), ((70.0, Reason::Trail), false));
    // A lower high moves nothing; a low at the level makes it ambiguous, if that is asked.
    long.trail(&bar(79.0, 70.0, 75.0), 5, false);
    assert_eq!((long.stop_in_force().0, long.ambiguous_trail), (70.0, false));
    long.trail(&bar(79.0, 70.0, 75.0), 6, true);
    assert!(long.ambiguous_trail);
    let mut short = held(&only, Side::Short);
    short.trail(&bar(53.0, 48.0, 50.0), 4, true);
    assert_eq!((short.stop_in_force(), short.ambiguous_trail), ((54.0, Reason::Trail), false));

    // Filled inside its bar, of that bar only the close is known to come after.
    let mut inside = held(&only, Side::Long);
    inside.filled_inside = true;
    inside.trail(&bar(96.0, 8.0, 80.0), 3, true);
    assert_eq!((inside.stop_in_force().0, inside.ambiguous_trail), (70.0, false));
    inside.trail(&bar(96.0, 85.0, 90.0), 4, true);
    assert_eq!((inside.stop_in_force().0, inside.ambiguous_trail), (84.0, false));

    let both = moving(None, Some(0.125));
    for (side, trigger, level, reached, short_of) in [
        (Side::Long, 72.0, 68.0, bar(72.0, 69.0, 70.0), bar(71.0, 69.0, 70.0)),
        (Side::Short, 56.0, 60.0, bar(59.0, 56.0, 57.0), bar(59.0, 57.0, 58.0)),
    ] {
        let mut held = held(&both, side);
        assert_eq!((held.break_even_trigger(), held.break_even_level()), (trigger, level));
        held.trail(&short_of, 4, true);
        assert_eq!(held.stop_in_force().1, Reason::Stop);
        held.trail(&reached, 5, true);
        assert_eq!(
            (held.stop_in_force(), held.ambiguous_trail),
            ((level, Reason::BreakEven), false)
        );
    }
    let neither = held(&round(), Side::Long).trail_level(80.0);
    assert!(neither.is_nan() && held(&round(), Side::Long).break_even_trigger().is_nan());
    // A level at zero is never reached.
    assert!(held(&moving(Some(1.0), None), Side::Long).trail_level(80.0).is_nan());
}

#[test]
fn room_and_caps_bound_the_notional() {
    let rules = Rules { sizing: Sizing::Notional, notional: Some(512.0), ..round() };
    let order = order(&rules, Side::Long);
    let fill = at(64.0, 1.0 / 64.0);
    assert_eq!((order.wanted(&fill, 1024.0), order.wanted(&fill, 256.0)), (0.5, 1.0));
    let amounts = |room| Amounts::of(&order, &fill, 1024.0, &spot(0.0, 0.0), room);
    let half = amounts(f64::INFINITY).unwrap();
    assert_eq!((half.share, half.quantity, half.notional), (33.0 / 64.0, 1.0 / 128.0, 0.5));
    assert_eq!((half.margin, half.entry_fee), (0.25, 1.0 / 128.0));
    assert_eq!(amounts(0.25).unwrap().notional, 0.25);
    assert!(amounts(0.0).is_none());
    let held = Position::open_within(&order, fill, 1024.0, &spot(0.0, 0.0), 0.25).unwrap();
    assert_eq!(held.notional, 0.25);
    // A least notional is missed beyond the slack of rounding, not at it.
    let least = 0.25 * (1.0 - NOTIONAL_SLACK);
    let with_least = |room| Amounts::of(&order, &fill, 1.0, &spot(0.0, 0.25), room);
    assert!(with_least(least).is_some() && with_least(least.next_down()).is_none());
}

#[test]
fn distances_follow_their_kinds() {
    use crate::backtest::rules::DistanceKind::{Atr, Equity, Price, Signal};
    // At 64: a quarter of the price; of the equity at a share of 1/4 and leverage 2; 8 of range; the signals.
    for (kind, stop, target) in [
        (Price, 48.0, 80.0),
        (Equity, 32.0, 96.0),
        (Atr, 62.0, 66.0),
        (Signal, 64.0 * (1.0 - 0.25 * 0.5), 64.0 * (1.0 + 0.25 * 0.25)),
    ] {
        let rules = Rules { stop_loss_kind: kind, take_profit_kind: kind, ..round() };
        let order = Order { atr: 8.0, stop: 0.5, target: 0.25, ..order(&rules, Side::Long) };
        assert_eq!(order.stop_level(Some(0.25), 64.0, 0.25), stop, "{kind:?}");
        assert_eq!(order.target_level(Some(0.25), 64.0, 0.25), target, "{kind:?}");
        assert!(order.stop_level(None, 64.0, 0.5).is_nan());
    }
    let rules = Rules { limit_offset: 0.125, ..round() };
    assert_eq!(order(&rules, Side::Long).limit_level(64.0), 56.0);
    assert_eq!(order(&rules, Side::Short).limit_level(64.0), 72.0);
    assert_eq!(order(&rules, Side::Short).excess(), 0.25);
    assert_eq!(order(&rules, Side::Short).stop_level(Some(0.25), 64.0, 0.5), 80.0);
    assert!(order(&rules, Side::Long).stop_level(Some(1.0), 64.0, 0.5).is_nan());
}

#[test]
fn sizes_at_their_edges() {
    let base = Rules { fraction: 0.75, leverage: 2.0, ..Rules::default() };
    let confident = Rules { sizing: Sizing::Confidence, size_min: 0.25, ..base.clone() };
    let at_one = Order { threshold: 1.0, ..order(&confident, Side::Long) };
    assert_eq!(at_one.share(64.0), 0.75);
    assert_eq!(order(&confident, Side::Long).share(64.0), 0.5);
    let calm = Rules { sizing: Sizing::Volatility, vol_target: Some(0.25), ..base.clone() };
    assert_eq!(order(&calm, Side::Long).share(64.0), 0.25);
    assert_eq!(Order { volatility: 0.0, ..order(&calm, Side::Long) }.share(64.0), 0.75);
    let risk = Rules {
        sizing: Sizing::Risk,
        risk: Some(0.125),
        stop_loss: Some(0.5),
        stop_loss_kind: crate::backtest::rules::DistanceKind::Signal,
        ..base
    };
    assert_eq!(Order { stop: 0.25, ..order(&risk, Side::Long) }.share(64.0), 0.5);
    assert_eq!(Order { stop: 0.0, ..order(&risk, Side::Long) }.share(64.0), 0.75);
}

#[test]
fn an_order_is_complete_with_all_that_its_rules_need() {
    use crate::backtest::rules::DistanceKind::{Atr, Signal};
    fn no_atr(order: Order<'_>) -> Order<'_> {
        Order { atr: f64::NAN, ..order }
    }
    fn no_target(order: Order<'_>) -> Order<'_> {
        Order { target: 0.0, ..order }
    }
    fn no_volatility(order: Order<'_>) -> Order<'_> {
        Order { volatility: f64::NAN, ..order }
    }
    let complete = |rules: &Rules, changed: fn(Order<'_>) -> Order<'_>| {
        changed(order(rules, Side::Long)).is_complete(64.0)
    };
    let atr = Rules { stop_loss_kind: Atr, ..round() };
    let signal = Rules { take_profit_kind: Signal, ..round() };
    let calm = Rules { sizing: Sizing::Volatility, vol_target: Some(0.25), ..round() };
    let sized = Rules { sizing: Sizing::Signal, ..round() };
    for rules in [&atr, &signal, &calm, &sized] {
        assert!(complete(rules, |order| order));
    }
    assert!(!complete(&atr, no_atr) && complete(&Rules { stop_loss: None, ..atr.clone() }, no_atr));
    assert!(complete(&signal, no_atr) && complete(&signal, no_volatility));
    assert!(!complete(&signal, no_target) && complete(&atr, no_target));
    assert!(complete(&Rules { take_profit: None, ..signal.clone() }, no_target));
    assert!(!complete(&calm, no_volatility));
    assert!(!complete(&sized, |order| Order { size: 0.0, ..order }));
}
