//! Rows of the table for the patterns.

use super::super::node::{Memory, node};
use super::super::registry::{Function, Input, Kind, Parameter, consistent};
use super::one_two::{
    BeltHold, ClosingMarubozu, CounterAttack, DarkCloudCover, Doji, DojiStar, DragonflyDoji,
    Engulfing, GravestoneDoji, Hammer, HangingMan, Harami, HaramiCross, HighWave, HomingPigeon,
    InNeck, InvertedHammer, Kicking, KickingByLength, LongLeggedDoji, LongLine, Marubozu,
    MatchingLow, OnNeck, Piercing, RickshawMan, SeparatingLines, ShootingStar, ShortLine,
    SpinningTop, Takuri, Thrusting,
};
use super::several::{
    AbandonedBaby, AdvanceBlock, Breakaway, ConcealBabySwallow, EveningDojiStar, EveningStar,
    GapSideSideWhite, GapThreeMethods, Hikkake, HikkakeMod, IdenticalThreeCrows, LadderBottom,
    MatHold, MorningDojiStar, MorningStar, RiseFallThreeMethods, Stalled, StickSandwich, TasukiGap,
    ThreeBlackCrows, ThreeInside, ThreeLineStrike, ThreeOutside, ThreeStarsInSouth,
    ThreeWhiteSoldiers, TriStar, TwoCrows, UniqueThreeRiver, UpsideGapTwoCrows,
};
use super::{Pattern, Rule};

const BAR: &[Input] =
    &[Input::Column("open"), Input::Column("high"), Input::Column("low"), Input::Column("close")];

/// Share of a body that a later bar must come back into.
const fn penetration(default: f64) -> Parameter {
    Parameter { name: "penetration", kind: Kind::Within(0.0, 100.0), default: Some(default) }
}

const DEEP: &[Parameter] = &[penetration(0.5)];
const SHALLOW: &[Parameter] = &[penetration(0.3)];

const fn row<R: Rule>(
    name: &'static str,
    parameters: &'static [Parameter],
    [summary, formula, source]: [&'static str; 3],
) -> Function {
    Function {
        name,
        known_as: &[],
        family: "patterns",
        inputs: BAR,
        parameters,
        outputs: &[],
        memory: |_| Memory::Finite(R::BACK + 1),
        warmup: |_| R::BACK,
        delays: |_| [0, 0],
        check: consistent,
        build: |p| node(Pattern::<R>::new(p)),
        summary,
        formula,
        source,
    }
}

/// Rows as `rule, name, parameters, TA-Lib's name, summary, formula;`.
macro_rules! rows {
    ($($rule:ident, $name:literal, $parameters:expr, $peer:literal, $summary:literal, $formula:literal;)*) => {
        &[$(row::<$rule>(
            $name,
            $parameters,
            [$summary, $formula, concat!("As ", $peer, " of TA-Lib.")],
        )),*]
    };
}

/// Rows of this family.
pub const FUNCTIONS: &[Function] = rows! {
    TwoCrows, "cdl2crows", &[], "CDL2CROWS",
        "Two crows",
        "-100: a long white body, a black one wholly above it, and a black one that opens in the second and closes in the first.";
    ThreeBlackCrows, "cdl3blackcrows", &[], "CDL3BLACKCROWS",
        "Three black crows",
        "-100: after a white bar three black ones with hardly a lower shadow, each opening in the body before and closing lower, the first below the white bar's high.";
    ThreeInside, "cdl3inside", &[], "CDL3INSIDE",
        "Three inside up or down",
        "A long body, a short one inside of it, and a close beyond the first one's open: 100 after black, -100 after white.";
    ThreeLineStrike, "cdl3linestrike", &[], "CDL3LINESTRIKE",
        "Three-line strike",
        "Three bars of one colour, each closing further and opening in or near the body before, then one of the other colour that opens beyond the third and closes beyond the first one's open: 100 for white ones, -100 for black.";
    ThreeOutside, "cdl3outside", &[], "CDL3OUTSIDE",
        "Three outside up or down",
        "A body that engulfs the one before of the other colour, then a further close its way: 100 up, -100 down.";
    ThreeStarsInSouth, "cdl3starsinsouth", &[], "CDL3STARSINSOUTH",
        "Three stars in the south",
        "100: a long black body with a long lower shadow, a smaller black one that holds its low, and a short black one without shadows inside the range of the second.";
    ThreeWhiteSoldiers, "cdl3whitesoldiers", &[], "CDL3WHITESOLDIERS",
        "Three advancing white soldiers",
        "100: three white bars with hardly an upper shadow, each closing higher, opening in or near the body before, and not far shorter than it.";
    AbandonedBaby, "cdlabandonedbaby", SHALLOW, "CDLABANDONEDBABY",
        "Abandoned baby",
        "A long body, a doji with gaps to both sides, shadows included, and a body that closes at least penetration of the first back into it: 100 after black, -100 after white.";
    AdvanceBlock, "cdladvanceblock", &[], "CDLADVANCEBLOCK",
        "Advance block",
        "-100: three white bars as soldiers, but each weaker than the one before: bodies shrink, or upper shadows grow.";
    BeltHold, "cdlbelthold", &[], "CDLBELTHOLD",
        "Belt-hold",
        "A long body with hardly a shadow where it opened: 100 white, -100 black.";
    Breakaway, "cdlbreakaway", &[], "CDLBREAKAWAY",
        "Breakaway",
        "A long body, one of its colour beyond a gap, two that go further, and one of the other colour that closes in the gap: 100 up, -100 down.";
    ClosingMarubozu, "cdlclosingmarubozu", &[], "CDLCLOSINGMARUBOZU",
        "Closing marubozu",
        "A long body with hardly a shadow where it closed: 100 white, -100 black.";
    ConcealBabySwallow, "cdlconcealbabyswall", &[], "CDLCONCEALBABYSWALL",
        "Concealing baby swallow",
        "100: two black bars without shadows, a black one below a gap whose upper shadow reaches into the second, and a black one around it all.";
    CounterAttack, "cdlcounterattack", &[], "CDLCOUNTERATTACK",
        "Counterattack",
        "Two long bodies of different colours with about equal closes: 100 where the second is white, -100 black.";
    DarkCloudCover, "cdldarkcloudcover", DEEP, "CDLDARKCLOUDCOVER",
        "Dark cloud cover",
        "-100: a long white body, and a black one that opens above its high and closes more than penetration of it below its close, inside of it.";
    Doji, "cdldoji", &[], "CDLDOJI",
        "Doji",
        "100 where open and close are about equal; says nothing of direction.";
    DojiStar, "cdldojistar", &[], "CDLDOJISTAR",
        "Doji star",
        "A long body and a doji beyond it: -100 above white, 100 below black.";
    DragonflyDoji, "cdldragonflydoji", &[], "CDLDRAGONFLYDOJI",
        "Dragonfly doji",
        "100: a doji at the high of its bar, with a lower shadow.";
    Engulfing, "cdlengulfing", &[], "CDLENGULFING",
        "Engulfing",
        "A body around the one before, of the other colour: 100 white, -100 black; 80 and -80 where one end is the same.";
    EveningDojiStar, "cdleveningdojistar", SHALLOW, "CDLEVENINGDOJISTAR",
        "Evening doji star",
        "-100: a long white body, a doji above it, and a black one that closes at least penetration of the first back into it.";
    EveningStar, "cdleveningstar", SHALLOW, "CDLEVENINGSTAR",
        "Evening star",
        "-100: a long white body, a short one above it, and a black one that closes at least penetration of the first back into it.";
    GapSideSideWhite, "cdlgapsidesidewhite", &[], "CDLGAPSIDESIDEWHITE",
        "Side-by-side white lines beyond a gap",
        "Two white bodies of about equal size and open beyond a gap to the body before them: 100 above, -100 below.";
    GravestoneDoji, "cdlgravestonedoji", &[], "CDLGRAVESTONEDOJI",
        "Gravestone doji",
        "100: a doji at the low of its bar, with an upper shadow.";
    Hammer, "cdlhammer", &[], "CDLHAMMER",
        "Hammer",
        "100: a short body with a long lower shadow and hardly an upper one, at or below the low before.";
    HangingMan, "cdlhangingman", &[], "CDLHANGINGMAN",
        "Hanging man",
        "-100: a short body with a long lower shadow and hardly an upper one, at or above the high before.";
    Harami, "cdlharami", &[], "CDLHARAMI",
        "Harami",
        "A short body inside the long one before: 100 after black, -100 after white; 80 and -80 where one end is the same.";
    HaramiCross, "cdlharamicross", &[], "CDLHARAMICROSS",
        "Harami cross",
        "A doji inside the long body before: 100 after black, -100 after white; 80 and -80 where one end is the same.";
    HighWave, "cdlhighwave", &[], "CDLHIGHWAVE",
        "High-wave candle",
        "A short body with two very long shadows: 100 white, -100 black.";
    Hikkake, "cdlhikkake", &[], "CDLHIKKAKE",
        "Hikkake",
        "A bar inside the one before, then a bar lower at both ends (100) or higher (-100); 200 or -200 at the first of the next three closes that is beyond the inside bar the other way.";
    HikkakeMod, "cdlhikkakemod", &[], "CDLHIKKAKEMOD",
        "Modified hikkake",
        "As cdlhikkake after a second inside bar, where the bar around it closed near the end that is left: 100 or -100, and 200 or -200 when confirmed.";
    HomingPigeon, "cdlhomingpigeon", &[], "CDLHOMINGPIGEON",
        "Homing pigeon",
        "100: a short black body inside the long black one before.";
    IdenticalThreeCrows, "cdlidentical3crows", &[], "CDLIDENTICAL3CROWS",
        "Identical three crows",
        "-100: three black bars with hardly a lower shadow, each opening about where the one before closed.";
    InNeck, "cdlinneck", &[], "CDLINNECK",
        "In-neck",
        "-100: a long black body, and a white one that opens below its low and closes at its close or just above.";
    InvertedHammer, "cdlinvertedhammer", &[], "CDLINVERTEDHAMMER",
        "Inverted hammer",
        "100: a short body with a long upper shadow and hardly a lower one, below the body before.";
    Kicking, "cdlkicking", &[], "CDLKICKING",
        "Kicking",
        "Two long bodies without shadows, of different colours, with a gap between: 100 where the second is white and above, -100 black and below.";
    KickingByLength, "cdlkickingbylength", &[], "CDLKICKINGBYLENGTH",
        "Kicking, by the longer one",
        "As cdlkicking, but 100 or -100 with the sign of the longer of the two bodies.";
    LadderBottom, "cdlladderbottom", &[], "CDLLADDERBOTTOM",
        "Ladder bottom",
        "100: three black bars that open and close lower, a black one with an upper shadow, and a white one that opens above its open and closes above its high.";
    LongLeggedDoji, "cdllongleggeddoji", &[], "CDLLONGLEGGEDDOJI",
        "Long-legged doji",
        "100: a doji with a long shadow.";
    LongLine, "cdllongline", &[], "CDLLONGLINE",
        "Long line",
        "A long body with short shadows: 100 white, -100 black.";
    Marubozu, "cdlmarubozu", &[], "CDLMARUBOZU",
        "Marubozu",
        "A long body with hardly a shadow: 100 white, -100 black.";
    MatchingLow, "cdlmatchinglow", &[], "CDLMATCHINGLOW",
        "Matching low",
        "100: two black bodies with about equal closes.";
    MatHold, "cdlmathold", DEEP, "CDLMATHOLD",
        "Mat hold",
        "100: a long white body, a short black one above it, two short ones that fall but give back less than penetration of the first, and a white one that closes above them all.";
    MorningDojiStar, "cdlmorningdojistar", SHALLOW, "CDLMORNINGDOJISTAR",
        "Morning doji star",
        "100: a long black body, a doji below it, and a white one that closes at least penetration of the first back into it.";
    MorningStar, "cdlmorningstar", SHALLOW, "CDLMORNINGSTAR",
        "Morning star",
        "100: a long black body, a short one below it, and a white one that closes at least penetration of the first back into it.";
    OnNeck, "cdlonneck", &[], "CDLONNECK",
        "On-neck",
        "-100: a long black body, and a white one that opens below its low and closes about there.";
    Piercing, "cdlpiercing", &[], "CDLPIERCING",
        "Piercing",
        "100: a long black body, and a long white one that opens below its low and closes in its upper half.";
    RickshawMan, "cdlrickshawman", &[], "CDLRICKSHAWMAN",
        "Rickshaw man",
        "100: a doji in the middle of its range, with two long shadows.";
    RiseFallThreeMethods, "cdlrisefall3methods", &[], "CDLRISEFALL3METHODS",
        "Rising or falling three methods",
        "A long body, three short ones of the other colour that go back inside its range, and a long one of its own colour that closes beyond it: 100 rising, -100 falling.";
    SeparatingLines, "cdlseparatinglines", &[], "CDLSEPARATINGLINES",
        "Separating lines",
        "Two bodies of different colours with about equal opens, the second long with hardly a shadow there: 100 where it is white, -100 black.";
    ShootingStar, "cdlshootingstar", &[], "CDLSHOOTINGSTAR",
        "Shooting star",
        "-100: a short body with a long upper shadow and hardly a lower one, above the body before.";
    ShortLine, "cdlshortline", &[], "CDLSHORTLINE",
        "Short line",
        "A short body with short shadows: 100 white, -100 black.";
    SpinningTop, "cdlspinningtop", &[], "CDLSPINNINGTOP",
        "Spinning top",
        "A short body with both shadows longer than it: 100 white, -100 black.";
    Stalled, "cdlstalledpattern", &[], "CDLSTALLEDPATTERN",
        "Stalled pattern",
        "-100: two long white bars that close higher, the second with hardly an upper shadow, and a short white one at its top.";
    StickSandwich, "cdlsticksandwich", &[], "CDLSTICKSANDWICH",
        "Stick sandwich",
        "100: a black body, a white bar above its close, and a black one with about the first one's close.";
    Takuri, "cdltakuri", &[], "CDLTAKURI",
        "Takuri: dragonfly doji with a very long shadow",
        "100: a doji at the high of its bar, with a very long lower shadow.";
    TasukiGap, "cdltasukigap", &[], "CDLTASUKIGAP",
        "Tasuki gap",
        "A body beyond a gap, then one of the other colour and about its size that opens in it and closes in the gap: 100 above, -100 below.";
    Thrusting, "cdlthrusting", &[], "CDLTHRUSTING",
        "Thrusting",
        "-100: a long black body, and a white one that opens below its low and closes above its close, but in its lower half.";
    TriStar, "cdltristar", &[], "CDLTRISTAR",
        "Tristar",
        "Three doji, the second beyond the first and the third back: -100 where it was above, 100 below.";
    UniqueThreeRiver, "cdlunique3river", &[], "CDLUNIQUE3RIVER",
        "Unique three river bottom",
        "100: a long black body, a black one that opens no higher, closes higher and has a lower low, and a short white one above that low.";
    UpsideGapTwoCrows, "cdlupsidegap2crows", &[], "CDLUPSIDEGAP2CROWS",
        "Upside gap two crows",
        "-100: a long white body, a short black one above it, and a black one around the second that stays above the first.";
    GapThreeMethods, "cdlxsidegap3methods", &[], "CDLXSIDEGAP3METHODS",
        "Upside or downside gap three methods",
        "Two bodies of one colour with a gap between, and one of the other colour that opens in the second and closes in the first: 100 up, -100 down.";
};
