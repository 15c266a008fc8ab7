//! Patterns of three bars and more.

use super::one_two::rules;
use super::{BODY_DOJI, BODY_SHORT};
use super::{
    Candle, FAR, Figure, NEAR, Rule, SHADOW_LONG, SHADOW_SHORT, SHADOW_VERY_SHORT, certain,
};

/// The last three bars, the newest first.
fn three(f: &Figure) -> [Candle; 3] {
    [f.back(0), f.back(1), f.back(2)]
}

rules! {
    TwoCrows, 12 => |f, _p| {
        let [c, b, a] = three(f);
        let colours = a.white() && b.black() && c.black();
        let place = c.open < b.open && c.open > b.close && c.close > a.open && c.close < a.close;
        -certain(colours && place && b.body_above(a) && f.long(2))
    };
    UpsideGapTwoCrows, 12 => |f, _p| {
        let [c, b, a] = three(f);
        let colours = a.white() && b.black() && c.black();
        let place = c.open > b.open && c.close < b.close && c.close > a.close;
        -certain(colours && place && b.body_above(a) && f.long(2) && f.not_long(1))
    };
    ThreeBlackCrows, 13 => |f, _p| {
        let [c, b, a] = three(f);
        let first = f.back(3);
        let colours = first.white() && a.black() && b.black() && c.black();
        let place = b.open < a.open
            && b.open > a.close
            && c.open < b.open
            && c.open > b.close
            && first.high > a.close
            && a.close > b.close
            && b.close > c.close;
        -certain(colours && place && (0..3).all(|ago| f.no_lower(ago)))
    };
    IdenticalThreeCrows, 12 => |f, _p| {
        let [c, b, a] = three(f);
        let colours = a.black() && b.black() && c.black();
        let falls = a.close > b.close && b.close > c.close;
        let bare = colours && falls && (0..3).all(|ago| f.no_lower(ago));
        -certain(bare && f.equal(b.open, a.close, 2) && f.equal(c.open, b.close, 1))
    };
    ThreeInside, 12 => |f, _p| {
        let [c, b, a] = three(f);
        let inside = b.top() < a.top() && b.bottom() > a.bottom();
        let beyond = if a.white() { c.black() && c.close < a.open } else { c.white() && c.close > a.open };
        -a.sign() * certain(inside && beyond && f.long(2) && f.not_long(1))
    };
    ThreeOutside, 3 => |f, _p| {
        let [c, b, a] = three(f);
        let up = b.white() && a.black() && b.close > a.open && b.open < a.close && c.close > b.close;
        let down = b.black() && a.white() && b.open > a.close && b.close < a.open && c.close < b.close;
        b.sign() * certain(up || down)
    };
    ThreeLineStrike, 8 => |f, _p| {
        let [c, b, a] = three(f);
        let first = f.back(3);
        let sign = b.sign();
        if first.sign() != sign || a.sign() != sign || c.sign() == sign {
            return 0.0;
        }
        let strikes = if sign > 0.0 {
            b.close > a.close && a.close > first.close && c.open > b.close && c.close < first.open
        } else {
            b.close < a.close && a.close < first.close && c.open < b.close && c.close > first.open
        };
        let about = |bar: Candle, before: Candle, ago| {
            let near = f.size(NEAR, ago);
            bar.open >= before.bottom() - near && bar.open <= before.top() + near
        };
        sign * certain(strikes && about(a, first, 3) && about(b, a, 2))
    };
    ThreeStarsInSouth, 12 => |f, _p| {
        let [c, b, a] = three(f);
        let place = a.black()
            && b.black()
            && c.black()
            && b.body() < a.body()
            && b.open > a.close
            && b.open <= a.high
            && b.low < a.close
            && b.low >= a.low
            && c.low > b.low
            && c.high < b.high;
        certain(
            place
                && a.lower() > f.size(SHADOW_LONG, 2)
                && b.lower() > f.size(SHADOW_VERY_SHORT, 1)
                && f.long(2)
                && f.short(0)
                && f.no_lower(0)
                && f.no_upper(0),
        )
    };
    ThreeWhiteSoldiers, 12 => |f, _p| {
        let [c, b, a] = three(f);
        certain(
            rising(f)
                && (0..3).all(|ago| f.no_upper(ago))
                && b.body() > a.body() - f.size(FAR, 2)
                && c.body() > b.body() - f.size(FAR, 1)
                && c.body() > f.size(BODY_SHORT, 0),
        )
    };
    AdvanceBlock, 12 => |f, _p| {
        let [c, b, a] = three(f);
        if !(rising(f) && f.long(2) && a.upper() < f.size(SHADOW_SHORT, 2)) {
            return 0.0;
        }
        let shadow = |ago| f.back(ago).upper() > f.size(SHADOW_SHORT, ago);
        let weaker = c.body() < b.body();
        -certain(
            (b.body() < a.body() - f.size(FAR, 2) && c.body() < b.body() + f.size(NEAR, 1))
                || c.body() < b.body() - f.size(FAR, 1)
                || (weaker && b.body() < a.body() && (shadow(0) || shadow(1)))
                || (weaker && c.upper() > f.size(SHADOW_LONG, 0)),
        )
    };
    Stalled, 12 => |f, _p| {
        let [c, b, a] = three(f);
        let white = a.white() && b.white() && c.white();
        let rises = white && c.close > b.close && b.close > a.close && b.open > a.open;
        -certain(
            rises
                && f.long(2)
                && f.long(1)
                && f.no_upper(1)
                && b.open <= a.close + f.size(NEAR, 2)
                && f.short(0)
                && c.open >= b.close - c.body() - f.size(NEAR, 1),
        )
    };
    AbandonedBaby, 12 => |f, penetration| {
        let [c, b, a] = three(f);
        let apart = if a.white() { b.above(a) && c.below(b) } else { b.below(a) && c.above(b) };
        let turns = c.sign() == -a.sign() && apart && pierced(c, a, penetration);
        let still = turns && f.long(2) && f.doji(1);
        c.sign() * certain(still && c.body() > f.size(BODY_SHORT, 0))
    };
    EveningStar, 12 => |f, penetration| -star(f, true, Figure::not_long, penetration);
    EveningDojiStar, 12 => |f, penetration| -star(f, true, Figure::doji, penetration);
    MorningStar, 12 => |f, penetration| star(f, false, Figure::not_long, penetration);
    MorningDojiStar, 12 => |f, penetration| star(f, false, Figure::doji, penetration);
    TriStar, 12 => |f, _p| {
        let [c, b, a] = three(f);
        // All three by the mean before the first.
        let most = f.size(BODY_DOJI, 2);
        if a.body() > most || b.body() > most || c.body() > most {
            return 0.0;
        }
        if b.body_above(a) && c.top() < b.top() {
            -100.0
        } else {
            certain(b.body_below(a) && c.bottom() > b.bottom())
        }
    };
    UniqueThreeRiver, 12 => |f, _p| {
        let [c, b, a] = three(f);
        let colours = a.black() && b.black() && c.white();
        let place = b.close > a.close && b.open <= a.open && b.low < a.low && c.open > b.low;
        certain(colours && place && f.long(2) && f.short(0))
    };
    StickSandwich, 7 => |f, _p| {
        let [c, b, a] = three(f);
        let colours = a.black() && b.white() && c.black();
        certain(colours && b.low > a.close && f.equal(c.close, a.close, 2))
    };
    TasukiGap, 7 => |f, _p| {
        let [c, b, a] = three(f);
        let colours = c.sign() == -b.sign();
        let up = b.white() && b.body_above(a) && c.close < b.open && c.close > a.top();
        let down = b.black() && b.body_below(a) && c.close > b.open && c.close < a.bottom();
        let place = colours && c.opens_in(b) && (up || down);
        b.sign() * certain(place && (b.body() - c.body()).abs() < f.size(NEAR, 1))
    };
    GapSideSideWhite, 7 => |f, _p| {
        let [c, b, a] = three(f);
        let up = b.body_above(a) && c.body_above(a);
        let down = b.body_below(a) && c.body_below(a);
        if !((up || down) && b.white() && c.white()) {
            return 0.0;
        }
        let near = f.size(NEAR, 1);
        let alike = c.body() >= b.body() - near && c.body() <= b.body() + near;
        let sign = if up { 1.0 } else { -1.0 };
        sign * certain(alike && f.equal(c.open, b.open, 1))
    };
    GapThreeMethods, 2 => |f, _p| {
        let [c, b, a] = three(f);
        let colours = a.sign() == b.sign() && c.sign() == -b.sign();
        let apart = if a.white() { b.body_above(a) } else { b.body_below(a) };
        let into = c.close < a.top() && c.close > a.bottom();
        a.sign() * certain(colours && apart && c.opens_in(b) && into)
    };
    ConcealBabySwallow, 13 => |f, _p| {
        let [d, c, b] = three(f);
        let a = f.back(3);
        let black = a.black() && b.black() && c.black() && d.black();
        let place = c.body_below(b) && c.high > b.close && d.high > c.high && d.low < c.low;
        certain(
            black
                && place
                && c.upper() > f.size(SHADOW_VERY_SHORT, 1)
                && [3, 2].into_iter().all(|ago| f.no_lower(ago) && f.no_upper(ago)),
        )
    };
    LadderBottom, 14 => |f, _p| {
        let [e, d, c] = three(f);
        let (b, a) = (f.back(3), f.back(4));
        let colours = a.black() && b.black() && c.black() && d.black() && e.white();
        let falls = a.open > b.open && b.open > c.open && a.close > b.close && b.close > c.close;
        let turn = e.open > d.open && e.close > d.high;
        certain(colours && falls && turn && d.upper() > f.size(SHADOW_VERY_SHORT, 1))
    };
    Breakaway, 14 => |f, _p| {
        let [e, d, c] = three(f);
        let (b, a) = (f.back(3), f.back(4));
        if a.sign() != b.sign() || b.sign() != d.sign() || d.sign() == e.sign() {
            return 0.0;
        }
        let holds = if a.black() {
            b.body_below(a)
                && c.high < b.high
                && c.low < b.low
                && d.high < c.high
                && d.low < c.low
                && e.close > b.open
                && e.close < a.close
        } else {
            b.body_above(a)
                && c.high > b.high
                && c.low > b.low
                && d.high > c.high
                && d.low > c.low
                && e.close < b.open
                && e.close > a.close
        };
        e.sign() * certain(holds && f.long(4))
    };
    MatHold, 14 => |f, penetration| {
        let [e, d, c] = three(f);
        let (b, a) = (f.back(3), f.back(4));
        let least = a.close - a.body() * penetration;
        let inside = |bar: Candle| bar.bottom() < a.close && bar.bottom() > least;
        certain(
            a.white()
                && b.black()
                && e.white()
                && b.body_above(a)
                && inside(c)
                && inside(d)
                && c.top() < b.open
                && d.top() < c.top()
                && e.open > d.close
                && e.close > b.high.max(c.high).max(d.high)
                && f.long(4)
                && (1..4).all(|ago| f.short(ago)),
        )
    };
    RiseFallThreeMethods, 14 => |f, _p| {
        let [e, d, c] = three(f);
        let (b, a) = (f.back(3), f.back(4));
        let sign = a.sign();
        let colours = [b, c, d].iter().all(|bar| bar.sign() == -sign) && e.sign() == sign;
        let held = [b, c, d].iter().all(|bar| bar.bottom() < a.high && bar.top() > a.low);
        let beyond = |x: f64, y: f64| x * sign > y * sign;
        let steps = beyond(b.close, c.close) && beyond(c.close, d.close);
        let turn = beyond(e.open, d.close) && beyond(e.close, a.close);
        let place = colours && held && steps && turn;
        sign * certain(place && f.long(4) && (1..4).all(|ago| f.short(ago)) && f.long(0))
    };
    Hikkake, 5 => |f, _p| confirmed(f, trapped);
    HikkakeMod, 10 => |f, _p| confirmed(f, trapped_late);
}

/// Three white bars, each closing higher and opening in or near the body before.
fn rising(f: &Figure) -> bool {
    let [c, b, a] = three(f);
    let white = a.white() && b.white() && c.white();
    let rises = c.close > b.close && b.close > a.close && b.open > a.open && c.open > b.open;
    white && rises && b.open <= a.close + f.size(NEAR, 2) && c.open <= b.close + f.size(NEAR, 1)
}

/// Whether a bar closed that share of the body of `first` back into it.
fn pierced(bar: Candle, first: Candle, penetration: f64) -> bool {
    let way = first.body() * penetration;
    if first.white() { bar.close < first.close - way } else { bar.close > first.close + way }
}

/// A long bar, a small body beyond it, and a bar back into the first.
fn star(f: &Figure, evening: bool, small: fn(&Figure, usize) -> bool, penetration: f64) -> f64 {
    let [c, b, a] = three(f);
    let apart = if evening { b.body_above(a) } else { b.body_below(a) };
    let turns = a.white() == evening && c.white() != evening && apart;
    let back = turns && pierced(c, a, penetration);
    certain(back && f.long(2) && small(f, 1) && c.body() > f.size(BODY_SHORT, 0))
}

/// A bar inside the one before, and one that leaves both ends the same way; 100 up, -100 down, told as a trap.
fn trapped(f: &Figure, ago: usize) -> f64 {
    let [c, b, a] = [f.back(ago), f.back(ago + 1), f.back(ago + 2)];
    if !(b.high < a.high && b.low > a.low) {
        return 0.0;
    }
    if c.high < b.high && c.low < b.low {
        100.0
    } else {
        -certain(c.high > b.high && c.low > b.low)
    }
}

/// As [`trapped`], after a second inside bar whose mother closed near the end that is left.
fn trapped_late(f: &Figure, ago: usize) -> f64 {
    let [c, b, a] = [f.back(ago + 1), f.back(ago + 2), f.back(ago + 3)];
    let inside = b.high < a.high && b.low > a.low && c.high < b.high && c.low > b.low;
    if !inside {
        return 0.0;
    }
    let d = f.back(ago);
    if d.high < c.high && d.low < c.low && b.close <= b.low + f.size(NEAR, ago + 2) {
        100.0
    } else if d.high > c.high && d.low > c.low && b.close >= b.high - f.size(NEAR, ago + 2) {
        -100.0
    } else {
        0.0
    }
}

/// The trap itself, or twice its value where one of the last three bars set it and this is the first to close beyond the
/// inside bar.
fn confirmed(f: &Figure, trap: fn(&Figure, usize) -> f64) -> f64 {
    let now = trap(f, 0);
    if now != 0.0 {
        return now;
    }
    // The latest trap counts, once.
    for ago in 1..=3 {
        let set = trap(f, ago);
        if set != 0.0 {
            let inside = f.back(ago + 1);
            let beyond = |bar: Candle| {
                if set > 0.0 { bar.close > inside.high } else { bar.close < inside.low }
            };
            let first = (1..ago).all(|later| !beyond(f.back(later)));
            return if first && beyond(f.back(0)) { 2.0 * set } else { 0.0 };
        }
    }
    0.0
}
