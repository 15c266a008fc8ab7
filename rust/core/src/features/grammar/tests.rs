//! Tests of `grammar`.

use super::*;

fn canonical(text: &str) -> Vec<String> {
    parse(text, &["mine".into()]).unwrap().iter().map(Expr::text).collect()
}

fn refusal(text: &str) -> String {
    parse(text, &[]).err().map_or_else(|| "accepted".into(), |e| e.to_string())
}

#[test]
fn equal_features_have_one_form_and_it_reads_as_itself() {
    for (text, want) in [
        ("rsi(14)", "rsi(14)"),
        (" rsi ( close ,14 ) ", "rsi(14)"),
        ("rsi()", "rsi(14)"),
        ("rsi(period=7)", "rsi(7)"),
        ("sma(high,20)", "sma(high, 20)"),
        ("zscore(rsi(14),100)", "zscore(rsi(14), 100)"),
        ("macd(12,26,9).hist", "macd(12, 26, 9).hist"),
        ("bbands(20, 2.50).width", "bbands(20, 2.5).width"),
        ("rsi(14)@60m", "rsi(14)@1h"),
        ("rsi(14)@BTCUSDT/1h", "rsi(14)@BTCUSDT/1h"),
        ("rsi(14)@\"BRK.B\"", "rsi(14)@\"BRK.B\""),
        ("rsi(14)@\"1h\"", "rsi(14)@\"1h\""),
        ("rsi(14)@1000PEPE", "rsi(14)@1000PEPE"),
        ("rsi(14)@1INCH/30m", "rsi(14)@1INCH/30m"),
        ("rsi(14)@\"1H\"", "rsi(14)@\"1H\""),
        ("sma(rsi(14)@1h, 5)", "sma(rsi(14)@1h, 5)"),
        ("lag(column(trades), 3)", "lag(column(trades), 3)"),
        ("lag(column(\"open interest\"), 3)", "lag(column(\"open interest\"), 3)"),
        ("zscore(mine, 20)", "zscore(mine, 20)"),
        ("clip(close, -1e3, +.5e1)", "clip(close, -1000, 5)"),
        ("clip(close, -0, 5)", "clip(close, 0, 5)"),
    ] {
        assert_eq!(canonical(text), [want], "{text}");
        assert_eq!(canonical(want), [want]);
    }
    assert_eq!(canonical("macd()@1h").len(), 3);
    assert_eq!(canonical("macd()@1h")[2], "macd(12, 26, 9).hist@1h");
}

#[test]
fn refusals_say_where_and_how() {
    for (text, want) in [
        ("rsii(14)", "unknown function `rsii`; did you mean `rsi`? in feature `rsii(14)`"),
        ("rsi", "`rsi` is a function: write rsi(x=close, period=14) in feature `rsi`"),
        ("rsi(14", "expected `,` or `)`, found the end in feature `rsi(14`"),
        ("rsi(14))", "expected the end, found `)` at character 8 in feature `rsi(14))`"),
        ("rsi(14, 3)", "too many arguments: write rsi(x=close, period=14) in feature `rsi(14, 3)`"),
        (
            "rsi(0)",
            "`period` of rsi must be a whole number from 1 to 1000000, was 0 in feature `rsi(0)`",
        ),
        (
            "rsi(2.5)",
            "`period` of rsi must be a whole number from 1 to 1000000, was 2.5 in feature `rsi(2.5)`",
        ),
        ("rsi(1x)", "`1x` is not a number in feature `rsi(1x)`"),
        ("rsi(14).k", "rsi has one output: leave `.k` out in feature `rsi(14).k`"),
        ("lag(close)", "`bars` of lag is missing in feature `lag(close)`: write lag(x, bars)"),
        ("lag(3)", "lag needs a feature: write lag(x, bars) in feature `lag(3)`"),
        (
            "sma(macd(), 3)",
            "macd has the outputs macd, signal, hist: choose one, such as macd(...).macd in feature `sma(macd(), 3)`",
        ),
        ("close@", "expected an interval or a symbol after `@`, found the end in feature `close@`"),
        (
            "close@BTC/x",
            "`x` is no interval: write a number and a unit of ms, s, m, h, d, w, such as 1h in feature `close@BTC/x`",
        ),
        (
            "close@1H",
            "`1H` is no interval: write a number and a unit of ms, s, m, h, d, w, such as 1h in feature `close@1H`",
        ),
        (
            "close@100000d",
            "`100000d` is no interval: write a number and a unit of ms, s, m, h, d, w, such as 1h in feature `close@100000d`",
        ),
        (
            "close@1h@2h",
            "two clocks on one feature: nest it in a function, or keep one in feature `close@1h@2h`",
        ),
        ("", "expected a name, found the end in feature ``"),
        (
            "sma(column(open_time), 3)",
            "`open_time` is the clock, not a feature: use time_of_day() or time_of_week() in feature `sma(column(open_time), 3)`",
        ),
        (
            "sma(\u{fc}, 3)",
            "expected a name, found `\u{fc}` at character 5 in feature `sma(\u{fc}, 3)`",
        ),
        (
            "sma(\"\u{fc}\", 3)",
            "expected a name, found `\"` at character 5 in feature `sma(\"\u{fc}\", 3)`",
        ),
    ] {
        assert_eq!(refusal(text), want);
    }
    assert!(refusal(&"lag(".repeat(100)).starts_with("nesting deeper than 64"));
    assert!(refusal(&"x".repeat(5000)).contains("longer"));
}
