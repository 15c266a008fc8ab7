//! States as bytes: saved and loaded anywhere, and changed by somebody who can make checksums.

use std::sync::{Arc, OnceLock};

use super::Draw;
use crate::digest::Digest;
use crate::features::grammar::parse;
use crate::features::graph::Graph;
use crate::features::registry::functions;
use crate::features::stream::{Engine, Row};

/// Features on other clocks and of other symbols, and some that keep something in each other.
const TEXTS: [&str; 12] = [
    "ema(3)",
    "sma(20)",
    "macd(12, 26, 9).hist",
    "max(9)",
    "median(11)",
    "ema(rsi(3), 2)@1h",
    "sma(3)@5m",
    "sma(3)@B",
    "max(2)@B/2m",
    "atr(7)@B/5m",
    "zscore(rsi(14), 30)",
    "lag(obv(), 6)@15m",
];

/// The texts above and every function of the registry with its defaults, on the inputs that it takes.
fn texts() -> &'static [String] {
    static FOUND: OnceLock<Vec<String>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let named = functions().filter_map(|function| {
            let name = function.name;
            [
                "",
                "close",
                "close, volume",
                "close, high, low",
                "20",
                "20, 0.9",
                "20, 1",
                "close, 20",
                "close, 0, 200",
            ]
            .iter()
            .map(|inputs| format!("{name}({inputs})"))
            .find(|text| parse(text, &[]).is_ok())
        });
        TEXTS.iter().map(ToString::to_string).chain(named).collect()
    })
}

/// Bytes with the checksum that belongs to them.
pub(super) fn sealed(body: &[u8]) -> Vec<u8> {
    let mut digest = Digest::new("checksum/1");
    digest.bytes(body);
    [body, digest.hex().as_bytes()].concat()
}

/// Bytes with some of them changed behind `from`, cut off or added; always others than they were.
pub(super) fn change(draw: &mut Draw<'_>, bytes: &[u8], from: usize) -> Vec<u8> {
    let mut made = bytes.to_vec();
    let room = bytes.len().saturating_sub(from);
    match draw.below(8) {
        0 => made.truncate(from + draw.below(room.max(1))),
        1 => made.extend((0..=draw.below(16)).map(|_| 0)),
        2 if room >= 8 => {
            // A whole number or a float at its ends.
            let at = from + draw.below(room / 8) * 8;
            let odd = draw.of(&[
                i64::MAX,
                i64::MIN,
                -1,
                1 << 40,
                f64::NAN.to_bits().cast_signed(),
                f64::INFINITY.to_bits().cast_signed(),
                1e300_f64.to_bits().cast_signed(),
            ]);
            made[at..at + 8].copy_from_slice(&odd.to_le_bytes());
        }
        _ if room > 0 => {
            for _ in 0..=draw.below(6) {
                let at = from + draw.below(room);
                made[at] = draw.of(&[0, 1, 255, 128, 64]);
            }
        }
        _ => made.push(1),
    }
    if made == bytes {
        made.push(1);
    }
    made
}

/// A stream of features that is saved and loaded between bars goes on with the same bits; a state with other bytes is
/// refused, or with a checksum that fits it is one that goes on without a panic. False where no graph can be made.
///
/// # Panics
///
/// Where one of this does not hold.
pub fn stream_state(draw: &mut Draw<'_>) -> bool {
    let own: [String; 0] = [];
    let known = texts();
    let texts: Vec<&str> = (0..=draw.below(4))
        .map(|_| if draw.chance(0.4) { draw.of(&TEXTS) } else { &known[draw.below(known.len())] })
        .collect();
    let Ok(mut features) =
        texts.iter().map(|text| parse(text, &own)).collect::<Result<Vec<_>, _>>()
    else {
        return false;
    };
    let features = features.iter_mut().flat_map(std::mem::take).collect();
    let Ok(graph) = Graph::new(features, &own) else { return false };
    let graph = Arc::new(graph);
    let Ok(fresh) = Engine::new(Arc::clone(&graph), "A", 60_000) else { return false };
    let (bars, often) = (draw.below(200), draw.of(&[0.05, 0.5]));
    let (mut whole, mut parted) = (fresh.clone(), fresh.clone());
    let mut tape = Tape { at: 28_333_334, price: 100.0 };
    for _ in 0..bars {
        let bar = tape.next(draw);
        let rows = (take(&mut whole, bar), take(&mut parted, bar));
        assert_eq!(rows.0, rows.1, "{texts:?}");
        if draw.chance(often) {
            let state = parted.snapshot(b"more");
            let (again, more) = fresh.restored(&state, "rebuild it").expect("as it was saved");
            assert_eq!(more, b"more");
            parted = again;
            assert_eq!(parted.snapshot(b"more"), state, "{texts:?}");
        }
    }
    let saved = parted.snapshot(b"");
    let refused = fresh.restored(&change(draw, &saved, 0), "rebuild it");
    assert!(refused.is_err_and(|e| e.to_string().ends_with(": rebuild it")));
    let bytes = sealed(&change(draw, &saved[..saved.len() - 64], 76));
    match fresh.restored(&bytes, "rebuild it") {
        Err(refused) => assert!(refused.to_string().starts_with("snapshot ")),
        Ok((mut taken, _)) => {
            for _ in 0..120 {
                let bar = tape.next(draw);
                take(&mut taken, bar);
            }
            taken.snapshot(b"");
        }
    }
    true
}

/// Times and prices as they come.
struct Tape {
    at: i64,
    price: f64,
}

impl Tape {
    fn next(&mut self, draw: &mut Draw<'_>) -> (i64, [f64; 5]) {
        self.at += if draw.chance(0.03) { draw.of(&[2, 7, 400]) } else { 1 };
        let close = self.price * draw.between(0.98, 1.02);
        let (high, low) = (self.price.max(close) * 1.001, self.price.min(close) / 1.001);
        let bar = [self.price, high, low, close, draw.between(0.0, 9.0)];
        self.price = close.clamp(1.0, 1e6);
        (self.at * 60_000, bar)
    }
}

/// Hands a bar to every symbol; the row of the first.
fn take(engine: &mut Engine, (open_time, values): (i64, [f64; 5])) -> Vec<u64> {
    let extra = vec![values[4] * 0.5; engine.graph().extra.len()];
    for feed in (0..engine.feeds().len()).rev() {
        engine.feed(feed, &Row { open_time, values, extra: &extra, own: &[] });
    }
    engine.run();
    let last = |k: usize| engine.values(k).last().map_or(0, |value| value.to_bits());
    let row = (0..engine.graph().results.len()).map(last).collect();
    engine.clear();
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_of_the_cases_is_one() {
        for text in TEXTS {
            assert!(parse(text, &[]).is_ok(), "{text}: {:?}", parse(text, &[]).err());
        }
        let reached = |name: &str| texts().iter().any(|text| text.starts_with(&format!("{name}(")));
        let left_out: Vec<&str> =
            functions().map(|f| f.name).filter(|name| !reached(name)).collect();
        assert!(left_out.is_empty(), "not reached: {left_out:?}");
    }

    #[test]
    fn states_go_on_as_they_were_or_are_refused() {
        let taken = (0..2_000).filter(|seed| stream_state(&mut Draw::seeded(*seed))).count();
        assert!(taken > 1_900, "{taken} of 2,000 draws made a stream");
    }
}
