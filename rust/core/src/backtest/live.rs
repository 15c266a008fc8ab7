//! The account of `replay.rs`, one closed bar at a time and with a state that outlives the process.
//!
//! A live account holds no account: between two bars there are only bytes, which [`Replay::visit`] wrote. Each step
//! makes the account of them, steps it, and writes it down again (a few hundred bytes, well below a microsecond). So a
//! field that is not saved cannot act on the next bar, and what a restart loads is what every bar loads.
//!
//! What a batch run takes from arrays over all candles comes from the same kernels bar by bar here: the average true
//! range and the volatility that rules ask for.

pub mod shared;

use crate::backtest::costs::Costs;
use crate::backtest::market::DAY_MS;
use crate::backtest::position::Shown;
use crate::backtest::record::{Observer, Reason, Trade};
use crate::backtest::replay::{Planned, Replay, SignalRow, StepInput};
use crate::backtest::rules::Rules;
use crate::backtest::state;
use crate::bars::Bar;
use crate::digest::Digest;
use crate::features::node::{Kernel, Reader, Visit, Writer};
use crate::features::volatility::{Atr, RealisedVolatility};
use crate::instrument::Instrument;
use crate::signals::Signals;
use crate::{Error, Result};

/// Longest window of volatility that an account keeps: it holds that many returns.
pub const LONGEST_WINDOW: u32 = 1_000_000;

/// What an account says after a bar.
#[derive(Clone, Debug)]
pub struct After {
    /// Number of the bar, counted from the first that was stepped.
    pub bar: usize,
    /// Equity marked at the close.
    pub equity: f64,
    /// Trades that closed.
    pub trades: Vec<Trade>,
    /// Position held over the close.
    pub held: Option<Shown>,
    /// Exit that is queued for the next open.
    pub leaving: Option<Reason>,
    /// Entry that waits.
    pub planned: Option<Planned>,
    /// Whether the account is ruined.
    pub ruined: bool,
}

/// An account stepped bar by bar.
#[derive(Clone, Debug)]
pub struct LiveAccount {
    costs: Costs,
    instrument: Instrument,
    initial_equity: f64,
    interval_ms: i64,
    book: Vec<Rules>,
    current: Option<usize>,
    account: Vec<u8>,
    bars: usize,
    previous_close: f64,
    last_time: Option<i64>,
    atr: Vec<(u32, Atr, f64)>,
    volatility: Vec<(u32, RealisedVolatility, f64)>,
    identity: String,
}

#[derive(Default)]
struct Seen {
    trades: Vec<Trade>,
    equity: f64,
}

impl Observer for Seen {
    fn trade(&mut self, trade: &Trade) {
        self.trades.push(trade.clone());
    }

    fn mark(&mut self, _bar: usize, equity: f64) {
        self.equity = equity;
    }
}

impl LiveAccount {
    /// An account without a position. `book` holds all rules that it may come to use; `signals` has the arrays that
    /// bars will bring, whatever their length.
    pub fn new(
        costs: Costs,
        instrument: Instrument,
        initial_equity: f64,
        interval_ms: i64,
        book: Vec<Rules>,
        signals: &Signals,
    ) -> Result<Self> {
        let Some(first) = book.first() else {
            return Err(Error::Rules("a live account needs rules: give at least one".into()));
        };
        let mut atr: Vec<(u32, Atr, f64)> = vec![];
        let mut volatility: Vec<(u32, RealisedVolatility, f64)> = vec![];
        for rules in &book {
            rules.check()?;
            rules.check_against(signals, &instrument)?;
            if rules.fill != first.fill {
                return Err(Error::Rules(
                    "rules of a live account must share `fill`: an entry at a close would come before its own exit \
                     at the next open"
                        .into(),
                ));
            }
            let period = rules.atr_period;
            if rules.needs_atr() && atr.iter().all(|(known, ..)| *known != period) {
                atr.push((period, Atr::new(f64::from(period)), f64::NAN));
            }
            let window = rules.vol_window;
            if rules.needs_volatility() && volatility.iter().all(|(known, ..)| *known != window) {
                if !instrument.kind.around_the_clock() {
                    return Err(Error::Rules(
                        "sizing=\"volatility\" needs a market around the clock to run live: elsewhere the bars a \
                         year are counted over all candles, later ones included; use another sizing"
                            .into(),
                    ));
                }
                if window > LONGEST_WINDOW {
                    let bound = format!("at most {LONGEST_WINDOW} in a live session");
                    return Err(Error::parameter("vol_window", window, bound));
                }
                volatility.push((window, RealisedVolatility::new(window as usize), f64::NAN));
            }
        }
        let mut new = Self {
            costs,
            instrument,
            initial_equity,
            interval_ms,
            book,
            current: None,
            account: vec![],
            bars: 0,
            previous_close: f64::NAN,
            last_time: None,
            atr,
            volatility,
            identity: String::new(),
        };
        new.identity = new.identify();
        new.account = new.write(Replay::new(costs, instrument, initial_equity));
        Ok(new)
    }

    fn write<'r>(&'r self, mut account: Replay<'r>) -> Vec<u8> {
        let mut writer = Writer::default();
        account.visit(&mut writer, &self.book);
        writer.bytes
    }

    /// The account as its bytes have it.
    fn read<'r>(&'r self, bytes: &[u8]) -> Result<Replay<'r>> {
        let mut account = Replay::new(self.costs, self.instrument, self.initial_equity);
        let mut reader = Reader::new(bytes);
        account.visit(&mut reader, &self.book);
        reader.finish()?;
        Ok(account)
    }

    /// Rules of the book that decide from the next bar on; None decides nothing.
    pub fn choose(&mut self, number: Option<usize>) -> Result<()> {
        if let Some(number) = number
            && number >= self.book.len()
        {
            let bound = format!("below {}, the rules it was given", self.book.len());
            return Err(Error::parameter("number", number, bound));
        }
        self.current = number;
        Ok(())
    }

    /// Opening time of the last bar.
    pub fn last_time(&self) -> Option<i64> {
        self.last_time
    }

    /// Bars stepped so far.
    pub fn bars(&self) -> usize {
        self.bars
    }

    fn indicate(&mut self, bar: &Bar) {
        self.last_time = Some(bar.open_time);
        for (_, kernel, value) in &mut self.atr {
            [*value] = kernel.step(0, [bar.high, bar.low, bar.close]);
        }
        let at = bar.open_time.div_euclid(self.interval_ms);
        for (_, kernel, value) in &mut self.volatility {
            [*value] = kernel.step(at, [bar.close]);
        }
    }

    /// Takes a bar before the first that is stepped: what rules measure of the market knows it.
    pub fn warm(&mut self, bar: &Bar) -> Result<()> {
        self.check(bar)?;
        self.indicate(bar);
        Ok(())
    }

    fn check(&self, bar: &Bar) -> Result<()> {
        let prices = [bar.open, bar.high, bar.low, bar.close];
        let sound = prices.into_iter().all(|price| price.is_finite() && price > 0.0);
        if sound && self.last_time.is_none_or(|last| bar.open_time > last) {
            return Ok(());
        }
        Err(Error::Rules(format!(
            "bar at {} ms must come after the last one and have finite prices > 0, was {}, {}, {}, {}",
            bar.open_time, bar.open, bar.high, bar.low, bar.close
        )))
    }

    /// Takes one closed bar; `funding` are the settlements after the last bar's open, up to this one's, and the
    /// indicators of `row` are replaced by the account's own.
    pub fn step(
        &mut self,
        bar: Bar,
        funding: (&[i64], &[f64]),
        row: SignalRow,
        last: bool,
    ) -> Result<After> {
        self.check(&bar)?;
        self.indicate(&bar);
        let input = self.input(bar, funding, row, last);
        let mut seen = Seen::default();
        let mut account = self.read(&self.account)?;
        account.step(&input, &mut seen);
        let after = After {
            bar: self.bars,
            equity: seen.equity,
            trades: seen.trades,
            held: account.held().map(super::position::Position::shown),
            leaving: account.leaving(),
            planned: account.planned(self.bars, bar.close),
            ruined: account.is_ruined(),
        };
        let bytes = self.write(account);
        self.account = bytes;
        self.pass(&bar);
        Ok(after)
    }

    /// What a bar whose indicators are known is to the engine.
    fn input<'s, 'f>(
        &'s self,
        bar: Bar,
        (funding_time, funding_rate): (&'f [i64], &'f [f64]),
        row: SignalRow,
        last: bool,
    ) -> StepInput<'s, 'f> {
        let rules = self.current.map(|number| &self.book[number]);
        let value = |found: Option<f64>| found.unwrap_or(f64::NAN);
        let atr = rules.and_then(|rules| {
            let found = self.atr.iter().find(|(period, ..)| *period == rules.atr_period)?;
            rules.needs_atr().then_some(found.2)
        });
        let volatility = rules.and_then(|rules| {
            let found = self.volatility.iter().find(|(window, ..)| *window == rules.vol_window)?;
            let year = (365.0 * DAY_MS / self.interval_ms as f64).sqrt();
            rules.needs_volatility().then_some(found.2 * year)
        });
        StepInput {
            index: self.bars,
            bar,
            close_time: bar.open_time + self.interval_ms,
            previous_close: self.previous_close,
            funding_time,
            funding_rate,
            row: SignalRow { atr: value(atr), volatility: value(volatility), ..row },
            rules,
            last,
        }
    }

    /// The bar is over.
    fn pass(&mut self, bar: &Bar) {
        self.bars += 1;
        self.previous_close = bar.close;
    }

    /// What the account is: costs, instrument, interval, equity at its start, and what it measures of the market. Rules
    /// are not part of it: a book may grow, as long as what is measured stays.
    fn identify(&self) -> String {
        let mut digest = Digest::new("live account/1");
        digest.ints(&self.atr.iter().map(|(period, ..)| i64::from(*period)).collect::<Vec<_>>());
        let windows = self.volatility.iter().map(|(window, ..)| i64::from(*window));
        digest.ints(&windows.collect::<Vec<_>>());
        let Costs { taker, maker, slippage } = self.costs;
        let Instrument { kind, maintenance, lot, min_notional } = self.instrument;
        digest.text(&format!("{kind:?}"));
        digest.floats(&[taker, maker, slippage, maintenance, lot, min_notional]);
        digest.floats(&[self.initial_equity]);
        digest.int(self.interval_ms);
        digest.hex()
    }

    /// Shows what changes beside the account, in a fixed order.
    fn visit(&mut self, state: &mut dyn Visit) {
        state::count(state, &mut self.bars);
        state.float(&mut self.previous_close);
        state::optional(state, &mut self.last_time, || 0, |time, state| state.int(time));
        state::optional(
            state,
            &mut self.current,
            || 0,
            |number, state| {
                state::count(state, number);
            },
        );
        for (_, kernel, value) in &mut self.atr {
            kernel.visit(state);
            state.float(value);
        }
        for (_, kernel, value) in &mut self.volatility {
            kernel.visit(state);
            state.float(value);
        }
    }

    /// The state as bytes: magic, identity, the account behind its length, what changes beside it, checksum.
    pub fn save(&mut self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.bytes.extend(MAGIC);
        writer.bytes.extend(self.identity.as_bytes());
        writer.bytes.extend((self.account.len() as u64).to_le_bytes());
        writer.bytes.extend(&self.account);
        self.visit(&mut writer);
        let sum = checksum(&writer.bytes);
        writer.bytes.extend(sum.as_bytes());
        writer.bytes
    }

    /// The same account as its saved state has it.
    pub fn loaded(&self, bytes: &[u8]) -> Result<Self> {
        let refuse = |why: &str| {
            Err(Error::Rules(format!(
                "state of the account {why}: restore the folder from a copy, or start another session"
            )))
        };
        let head = MAGIC.len() + 64;
        if bytes.len() < head + 64 || bytes[..MAGIC.len()] != *MAGIC {
            return refuse("is not one of a live account");
        }
        let (body, sum) = bytes.split_at(bytes.len() - 64);
        if checksum(body).as_bytes() != sum {
            return refuse("is damaged");
        }
        if body[MAGIC.len()..head] != *self.identity.as_bytes() {
            return refuse(
                "is of other costs, instrument, interval or equity, or of rules that measure otherwise",
            );
        }
        let mut new = self.clone();
        let split = body[head..].split_first_chunk::<8>().and_then(|(length, rest)| {
            rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)
        });
        let Some((account, fields)) = split else { return refuse("is damaged") };
        let mut reader = Reader::new(fields);
        new.visit(&mut reader);
        new.account = account.to_vec();
        // What was read must be written again as it was: numbers of rules or reasons that do not exist are not.
        let whole = reader.finish().is_ok()
            && new.read(&new.account).is_ok_and(|account| new.write(account) == new.account)
            && new.current.is_none_or(|number| number < new.book.len())
            && new.save() == bytes;
        if whole { Ok(new) } else { refuse("is damaged") }
    }
}

const MAGIC: &[u8; 8] = b"BPACCT1\n";

fn checksum(bytes: &[u8]) -> String {
    let mut digest = Digest::new("checksum/1");
    digest.bytes(bytes);
    digest.hex()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::table::Value;
    use crate::instrument::Kind;
    use crate::signals::SignalKind;

    const HOUR: i64 = 3_600_000;

    fn account(rules: Rules) -> LiveAccount {
        let mut arrays: [Option<Vec<f64>>; 7] = Default::default();
        arrays[0] = Some(vec![]);
        let signals = Signals::new(SignalKind::Probability, arrays).unwrap();
        let spot = Instrument::new(Kind::Spot, 0.005, 0.0, 0.0).unwrap();
        let costs = Costs::new(0.001, 0.0, 0.0).unwrap();
        let mut new = LiveAccount::new(costs, spot, 1e4, HOUR, vec![rules], &signals).unwrap();
        new.choose(Some(0)).unwrap();
        new
    }

    fn rules() -> Rules {
        Rules {
            entry_long: Some(0.5),
            stop_loss: Some(2.0),
            stop_loss_kind: crate::backtest::rules::DistanceKind::Atr,
            atr_period: 2,
            ..Rules::default()
        }
    }

    fn step(account: &mut LiveAccount, at: i64, price: f64, p: f64) -> Result<After> {
        let bar = Bar { open_time: at * HOUR, open: price, high: price, low: price, close: price };
        let row = SignalRow { long: p, ..crate::backtest::run::NOTHING };
        account.step(bar, (&[], &[]), row, false)
    }

    #[test]
    fn a_loaded_account_goes_on_as_it_was() {
        // After one bar an order waits, later a position is open.
        for cut in 1..8 {
            let price = |at: i64| if at < 4 { 100.0 + at as f64 } else { 110.0 - 3.0 * at as f64 };
            let mut one = account(rules());
            for at in 0..cut {
                step(&mut one, at, price(at), 0.6).unwrap();
            }
            let mut other = account(rules()).loaded(&one.save()).unwrap();
            for at in cut..9 {
                let (a, b) =
                    (step(&mut one, at, price(at), 0.6), step(&mut other, at, price(at), 0.6));
                assert_eq!(format!("{a:?}"), format!("{b:?}"));
                assert_eq!(one.save(), other.save());
            }
        }
    }

    #[test]
    fn foreign_states_are_refused() {
        let mut one = account(rules());
        for at in 0..4 {
            step(&mut one, at, 100.0, 0.6).unwrap();
        }
        let good = one.save();
        for end in 0..good.len() {
            let refused = account(rules()).loaded(&good[..end]).err().unwrap().to_string();
            assert!(refused.starts_with("state of the account is "), "{refused}");
        }
        let mut other = rules();
        other.set("max_hold", &Value::Int(3)).unwrap();
        assert!(account(other.clone()).loaded(&good).is_ok());
        other.set("atr_period", &Value::Int(3)).unwrap();
        let refused = account(other).loaded(&good).err().unwrap().to_string();
        assert!(refused.contains("is of other costs"), "{refused}");
        // Rules that are not in the book, under a checksum that fits.
        let at = MAGIC.len() + 64 + 8;
        for byte in at..good.len() - 64 {
            let mut forged = good[..good.len() - 64].to_vec();
            forged[byte] ^= 0x55;
            forged.extend(checksum(&forged).as_bytes());
            // A number may be another number; nothing may panic, and what is taken is written as it was read.
            if let Ok(mut taken) = account(rules()).loaded(&forged) {
                assert_eq!(taken.save(), forged);
            }
        }
    }

    #[test]
    fn bars_come_in_order_and_are_sound() {
        let mut one = account(rules());
        step(&mut one, 3, 100.0, 0.6).unwrap();
        assert!(step(&mut one, 3, 100.0, 0.6).is_err());
        assert!(step(&mut one, 4, f64::NAN, 0.6).is_err());
        let before = one.save();
        assert!(step(&mut one, 4, -1.0, 0.6).is_err());
        assert_eq!(one.save(), before);
    }
}
