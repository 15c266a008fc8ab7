//! Accounts one bar at a time, saved and loaded between bars: the trades and marks of `replay`, and states that somebody
//! has changed.

use super::states::{change, sealed};
use crate::backtest::live::LiveAccount;
use crate::backtest::live::shared::{Closed, LiveShared};
use crate::backtest::market::Market;
use crate::backtest::rules::Rules;
use crate::backtest::run::{Engine, Feed, NOTHING, Schedule, run};
use crate::bars::Bar;
use crate::fuzzing::{Case, Draw};
use crate::window::Window;

/// An account stepped bar by bar, saved and loaded where the draw says so, against the run of the same bars; then a
/// state with other bytes and a checksum that fits: refused, or an account that goes on without a panic. False where
/// the rules contradict each other or do not run live.
///
/// # Panics
///
/// Where one of this does not hold.
pub fn live_account(draw: &mut Draw<'_>, lengths: &[usize]) -> bool {
    let often = draw.of(&[0.0, 0.02, 0.3]);
    let forged = draw.chance(0.7);
    let case = Case::new(draw, lengths);
    let market = Market::new(&case.bars, &case.signals, case.costs, case.instrument)
        .expect("one signal a bar, funding attached");
    let Ok(schedule) = Schedule::new(&market, &case.segments, case.boundary) else { return false };
    let book: Vec<Rules> = case.segments.iter().map(|(_, rules)| rules.clone()).collect();
    let interval = case.bars.interval_ms();
    let fresh =
        LiveAccount::new(case.costs, case.instrument, case.equity, interval, book, &case.signals);
    let Ok(fresh) = fresh else { return false };
    let mut account = fresh.clone();
    let window = Window { start: 0, stop: case.bars.len() };
    let whole = run(&market, &schedule, window, case.equity, true, vec![], Engine::Replay);
    let (mut trades, mut marks) = (vec![], vec![]);
    for input in Feed::new(&market, &schedule, window) {
        let number = input.rules.and_then(|rules| {
            case.segments.iter().position(|(_, known)| std::ptr::eq(known, rules))
        });
        account.choose(number).expect("rules of the book");
        let funding = (input.funding_time, input.funding_rate);
        let after = account.step(input.bar, funding, input.row, input.last).expect("a sound bar");
        trades.extend(after.trades);
        marks.push(after.equity.to_bits());
        if draw.chance(often) {
            let saved = account.save();
            let mut again = fresh.loaded(&saved).expect("as it was saved");
            assert_eq!(again.save(), saved);
            account = again;
        }
    }
    let want: Vec<u64> = whole.marks.iter().map(|mark| mark.to_bits()).collect();
    assert_eq!(marks, want, "marks");
    assert_eq!(format!("{trades:?}"), format!("{:?}", whole.trades));
    if forged {
        let saved = account.save();
        forge_one(draw, &fresh, &saved, interval);
        forge_shared(draw, &fresh, &saved);
    }
    true
}

/// A flat bar.
fn flat(open_time: i64, price: f64) -> Bar {
    Bar { open_time, open: price, high: price, low: price, close: price }
}

/// A changed state of one account: refused, or one that goes on.
fn forge_one(draw: &mut Draw<'_>, fresh: &LiveAccount, saved: &[u8], interval: i64) {
    assert!(fresh.loaded(&change(draw, saved, 0)).is_err_and(|e| !e.to_string().is_empty()));
    let bytes = sealed(&change(draw, &saved[..saved.len() - 64], 72));
    let Ok(mut taken) = fresh.loaded(&bytes) else { return };
    assert_eq!(taken.save(), bytes, "a state that was taken is saved as it was");
    let from = taken.last_time().unwrap_or(0);
    for at in 1..40_i64 {
        let Some(time) = interval.checked_mul(at).and_then(|ahead| from.checked_add(ahead)) else {
            return;
        };
        let row = crate::backtest::replay::SignalRow { long: draw.unit(), ..NOTHING };
        if taken.step(flat(time, draw.between(90.0, 110.0)), (&[], &[]), row, at == 39).is_err() {
            return;
        }
    }
}

/// The same for an account of two symbols.
fn forge_shared(draw: &mut Draw<'_>, fresh: &LiveAccount, saved: &[u8]) {
    let limits = crate::backtest::account::Limits { max_positions: Some(1), max_gross: None };
    let both = || LiveShared::new(vec![fresh.clone(), fresh.clone()], limits).expect("two symbols");
    assert!(both().loaded(saved).is_err(), "the state of one account is none of two");
    let mut account = both();
    for symbol in 0..2 {
        account.choose(symbol, Some(0)).expect("rules of the book");
    }
    let step = |account: &mut LiveShared, at: i64, draw: &mut Draw<'_>| {
        let closed: Vec<Closed<'_>> = (0..2)
            .map(|symbol| {
                let row = crate::backtest::replay::SignalRow { long: draw.unit(), ..NOTHING };
                let bar = flat(at * 86_400_000, draw.between(90.0, 110.0));
                Closed { symbol, bar, funding: (&[], &[]), row, last: false }
            })
            .collect();
        account.step(&closed).is_ok()
    };
    let first = fresh.last_time().unwrap_or(0).div_euclid(86_400_000) + 1;
    for at in 0..10 {
        assert!(step(&mut account, first + at, draw), "sound bars in time order");
    }
    let saved = account.save();
    let mut again = both().loaded(&saved).expect("as it was saved");
    assert_eq!(again.save(), saved);
    let bytes = sealed(&change(draw, &saved[..saved.len() - 64], 72));
    let Ok(mut taken) = both().loaded(&bytes) else { return };
    assert_eq!(taken.save(), bytes, "a state that was taken is saved as it was");
    for at in 10..30 {
        if !step(&mut taken, first + at, draw) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_bar_by_bar_give_the_bits_of_replay_and_survive_forged_states() {
        let lengths = [1, 2, 5, 16, 40, 100, 300];
        let taken = (0..1_500).filter(|seed| live_account(&mut Draw::seeded(*seed), &lengths));
        let taken = taken.count();
        assert!(taken > 300, "{taken} of 1,500 draws had rules that run live");
    }
}
