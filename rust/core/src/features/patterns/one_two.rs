//! Patterns of one bar and of two.

use super::{
    EQUAL, Figure, NEAR, Rule, SHADOW_LONG, SHADOW_SHORT, SHADOW_VERY_LONG, SHADOW_VERY_SHORT,
    certain,
};

/// Rules as `Name, bars back => |figure, penetration| value;`.
macro_rules! rules {
    ($($name:ident, $back:literal => |$figure:ident, $penetration:ident| $body:expr;)*) => {$(
        #[derive(Clone, Debug)]
        pub(super) struct $name;

        impl Rule for $name {
            const BACK: u64 = $back;

            fn read($figure: &Figure, $penetration: f64) -> f64 {
                $body
            }
        }
    )*};
}
pub(super) use rules;

rules! {
    Doji, 10 => |f, _p| certain(f.doji(0));
    DragonflyDoji, 10 => |f, _p| {
        let lower = f.back(0).lower() > f.size(SHADOW_VERY_SHORT, 0);
        certain(f.doji(0) && f.no_upper(0) && lower)
    };
    GravestoneDoji, 10 => |f, _p| {
        let upper = f.back(0).upper() > f.size(SHADOW_VERY_SHORT, 0);
        certain(f.doji(0) && f.no_lower(0) && upper)
    };
    LongLeggedDoji, 10 => |f, _p| {
        let (bar, long) = (f.back(0), f.size(SHADOW_LONG, 0));
        certain(f.doji(0) && (bar.lower() > long || bar.upper() > long))
    };
    RickshawMan, 10 => |f, _p| {
        let (bar, long) = (f.back(0), f.size(SHADOW_LONG, 0));
        if !(f.doji(0) && bar.lower() > long && bar.upper() > long) {
            return 0.0;
        }
        let (middle, near) = (bar.low + bar.range() / 2.0, f.size(NEAR, 0));
        certain(bar.bottom() <= middle + near && bar.top() >= middle - near)
    };
    Takuri, 10 => |f, _p| {
        certain(f.doji(0) && f.no_upper(0) && f.back(0).lower() > f.size(SHADOW_VERY_LONG, 0))
    };
    BeltHold, 10 => |f, _p| {
        let bar = f.back(0);
        let holds = f.long(0) && if bar.white() { f.no_lower(0) } else { f.no_upper(0) };
        bar.sign() * certain(holds)
    };
    ClosingMarubozu, 10 => |f, _p| {
        let bar = f.back(0);
        let holds = f.long(0) && if bar.white() { f.no_upper(0) } else { f.no_lower(0) };
        bar.sign() * certain(holds)
    };
    Marubozu, 10 => |f, _p| {
        f.back(0).sign() * certain(f.long(0) && f.no_upper(0) && f.no_lower(0))
    };
    LongLine, 10 => |f, _p| {
        let (bar, short) = (f.back(0), f.size(SHADOW_SHORT, 0));
        bar.sign() * certain(bar.upper() < short && bar.lower() < short && f.long(0))
    };
    ShortLine, 10 => |f, _p| {
        let (bar, short) = (f.back(0), f.size(SHADOW_SHORT, 0));
        bar.sign() * certain(bar.upper() < short && bar.lower() < short && f.short(0))
    };
    SpinningTop, 10 => |f, _p| {
        let bar = f.back(0);
        bar.sign() * certain(bar.upper() > bar.body() && bar.lower() > bar.body() && f.short(0))
    };
    HighWave, 10 => |f, _p| {
        let (bar, long) = (f.back(0), f.size(SHADOW_VERY_LONG, 0));
        bar.sign() * certain(bar.upper() > long && bar.lower() > long && f.short(0))
    };
    Hammer, 11 => |f, _p| {
        let bar = f.back(0);
        let shape = bar.lower() > f.size(SHADOW_LONG, 0) && f.short(0) && f.no_upper(0);
        certain(shape && bar.bottom() <= f.back(1).low + f.size(NEAR, 1))
    };
    HangingMan, 11 => |f, _p| {
        let bar = f.back(0);
        let shape = bar.lower() > f.size(SHADOW_LONG, 0) && f.short(0) && f.no_upper(0);
        -certain(shape && bar.bottom() >= f.back(1).high - f.size(NEAR, 1))
    };
    InvertedHammer, 11 => |f, _p| {
        let (bar, before) = (f.back(0), f.back(1));
        let shape = bar.upper() > f.size(SHADOW_LONG, 0) && bar.body_below(before);
        certain(shape && f.short(0) && f.no_lower(0))
    };
    ShootingStar, 11 => |f, _p| {
        let (bar, before) = (f.back(0), f.back(1));
        let shape = bar.upper() > f.size(SHADOW_LONG, 0) && bar.body_above(before);
        -certain(shape && f.short(0) && f.no_lower(0))
    };
    Engulfing, 2 => |f, _p| {
        let (bar, before) = (f.back(0), f.back(1));
        let around = bar.top() >= before.top() && bar.bottom() <= before.bottom();
        let wider = bar.top() > before.top() || bar.bottom() < before.bottom();
        if bar.sign() == before.sign() || !around || !wider {
            return 0.0;
        }
        // Less sure where one end of the bodies is the same.
        let both = bar.open != before.close && bar.close != before.open;
        bar.sign() * if both { 100.0 } else { 80.0 }
    };
    Harami, 11 => |f, _p| {
        if f.long(1) && f.not_long(0) { inside(f) } else { 0.0 }
    };
    HaramiCross, 11 => |f, _p| {
        if f.long(1) && f.doji(0) { inside(f) } else { 0.0 }
    };
    DojiStar, 11 => |f, _p| {
        let (bar, before) = (f.back(0), f.back(1));
        let apart = if before.white() { bar.body_above(before) } else { bar.body_below(before) };
        -before.sign() * certain(apart && f.long(1) && f.doji(0))
    };
    DarkCloudCover, 11 => |f, penetration| {
        let (bar, before) = (f.back(0), f.back(1));
        -certain(
            before.white()
                && bar.black()
                && bar.open > before.high
                && bar.close > before.open
                && bar.close < before.close - before.body() * penetration
                && f.long(1),
        )
    };
    Piercing, 11 => |f, _p| {
        let (bar, before) = (f.back(0), f.back(1));
        certain(
            before.black()
                && bar.white()
                && bar.open < before.low
                && bar.close < before.open
                && bar.close > before.close + before.body() * 0.5
                && f.long(1)
                && f.long(0),
        )
    };
    InNeck, 11 => |f, _p| {
        let (bar, before) = (f.back(0), f.back(1));
        let place = before.black() && bar.white() && bar.open < before.low;
        let held = place && bar.close >= before.close && f.long(1);
        -certain(held && bar.close <= before.close + f.size(EQUAL, 1))
    };
    OnNeck, 11 => |f, _p| {
        let (bar, before) = (f.back(0), f.back(1));
        let place = before.black() && bar.white() && bar.open < before.low;
        -certain(place && f.long(1) && f.equal(bar.close, before.low, 1))
    };
    Thrusting, 11 => |f, _p| {
        let (bar, before) = (f.back(0), f.back(1));
        let place = before.black() && bar.white() && bar.open < before.low;
        let held = place && bar.close <= before.close + before.body() * 0.5 && f.long(1);
        -certain(held && bar.close > before.close + f.size(EQUAL, 1))
    };
    CounterAttack, 11 => |f, _p| {
        let (bar, before) = (f.back(0), f.back(1));
        let turned = bar.sign() == -before.sign() && f.equal(bar.close, before.close, 1);
        bar.sign() * certain(turned && f.long(1) && f.long(0))
    };
    SeparatingLines, 11 => |f, _p| {
        let (bar, before) = (f.back(0), f.back(1));
        let turned = bar.sign() == -before.sign() && f.equal(bar.open, before.open, 1);
        let clear = turned && f.long(0) && if bar.white() { f.no_lower(0) } else { f.no_upper(0) };
        bar.sign() * certain(clear)
    };
    MatchingLow, 6 => |f, _p| {
        let (bar, before) = (f.back(0), f.back(1));
        let black = before.black() && bar.black();
        certain(black && f.equal(bar.close, before.close, 1))
    };
    HomingPigeon, 11 => |f, _p| {
        let (bar, before) = (f.back(0), f.back(1));
        let inside = bar.open < before.open && bar.close > before.close;
        certain(before.black() && bar.black() && inside && f.long(1) && f.not_long(0))
    };
    Kicking, 11 => |f, _p| f.back(0).sign() * kicked(f);
    KickingByLength, 11 => |f, _p| {
        let (bar, before) = (f.back(0), f.back(1));
        let longer = if bar.body() > before.body() { bar } else { before };
        longer.sign() * kicked(f)
    };
}

/// Against the bar before where the body lies inside of that one's, less sure where they share an end.
fn inside(f: &Figure) -> f64 {
    let (bar, before) = (f.back(0), f.back(1));
    let certainty = if bar.top() < before.top() && bar.bottom() > before.bottom() {
        100.0
    } else if bar.top() <= before.top() && bar.bottom() >= before.bottom() {
        80.0
    } else {
        return 0.0;
    };
    -before.sign() * certainty
}

/// Whether a long bar without shadows leaps away from one of the other colour.
fn kicked(f: &Figure) -> f64 {
    let (bar, before) = (f.back(0), f.back(1));
    let apart = if before.black() { bar.above(before) } else { bar.below(before) };
    let bare = |ago| f.long(ago) && f.no_upper(ago) && f.no_lower(ago);
    certain(bar.sign() == -before.sign() && apart && bare(1) && bare(0))
}
