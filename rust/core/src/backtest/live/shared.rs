//! An account that several symbols share, one time step of closed bars at a time.
//!
//! As [`LiveAccount`] it is bytes between two steps. What each symbol measures of its market, its rules and its bars are
//! those of a [`LiveAccount`] each; the positions and the money are those of [`SharedAccount`].

use super::{After, LiveAccount, checksum};
use crate::backtest::account::{Here, Limits, Log, Refused, SharedAccount};
use crate::backtest::record::Trade;
use crate::backtest::replay::{Replay, SignalRow};
use crate::bars::Bar;
use crate::digest::Digest;
use crate::features::node::{Reader, Writer};
use crate::{Error, Result};

/// One symbol's closed bar of a time step.
#[derive(Clone, Copy, Debug)]
pub struct Closed<'f> {
    /// Number of the symbol.
    pub symbol: usize,
    /// The bar.
    pub bar: Bar,
    /// Settlements after the last bar's open, up to this one's: times and rates.
    pub funding: (&'f [i64], &'f [f64]),
    /// What the model says at its close.
    pub row: SignalRow,
    /// Whether the symbol's run ends with it.
    pub last: bool,
}

/// What a shared account says after a time step.
#[derive(Clone, Debug)]
pub struct Together {
    /// Each symbol that had a bar, in the order of symbols; their equity is that of the whole account.
    pub each: Vec<(usize, After)>,
    /// Trades of symbols without a bar: ruin ends them, too.
    pub ended: Vec<(usize, Trade)>,
    /// Entries that were refused.
    pub refused: Vec<Refused>,
}

/// An account of several symbols stepped through time.
#[derive(Clone, Debug)]
pub struct LiveShared {
    symbols: Vec<LiveAccount>,
    limits: Limits,
    account: Vec<u8>,
}

#[derive(Default)]
struct Seen {
    trades: Vec<(usize, Trade)>,
    refused: Vec<Refused>,
}

impl Log for Seen {
    fn trade(&mut self, symbol: usize, trade: &Trade) {
        self.trades.push((symbol, trade.clone()));
    }

    fn refused(&mut self, refused: &Refused) {
        self.refused.push(refused.clone());
    }
}

impl LiveShared {
    /// An account without positions; each of `symbols` is a market with its rules, and their equity that of the whole.
    pub fn new(symbols: Vec<LiveAccount>, limits: Limits) -> Result<Self> {
        let Some(first) = symbols.first() else {
            return Err(Error::Rules("a shared account needs symbols: give at least one".into()));
        };
        if symbols.iter().any(|one| one.initial_equity.to_bits() != first.initial_equity.to_bits())
        {
            return Err(Error::Rules(
                "symbols of a shared account must begin with one equity".into(),
            ));
        }
        let mut new = Self { symbols, limits, account: vec![] };
        let blank = new.blank();
        new.account = new.write(blank);
        Ok(new)
    }

    fn blank(&self) -> SharedAccount<'_> {
        let own = |one: &LiveAccount| Replay::new(one.costs, one.instrument, one.initial_equity);
        let mut account = SharedAccount::new(
            self.symbols.iter().map(own).collect(),
            self.symbols[0].initial_equity,
        );
        account.limit(self.limits);
        account
    }

    fn write<'r>(&'r self, mut account: SharedAccount<'r>) -> Vec<u8> {
        let mut writer = Writer::default();
        account.visit(&mut writer, |symbol| &self.symbols[symbol].book);
        writer.bytes
    }

    fn read<'r>(&'r self, bytes: &[u8]) -> Result<SharedAccount<'r>> {
        let mut account = self.blank();
        let mut reader = Reader::new(bytes);
        account.visit(&mut reader, |symbol| &self.symbols[symbol].book);
        reader.finish()?;
        Ok(account)
    }

    /// Rules of its book that decide a symbol from the next bar on; None decides nothing.
    pub fn choose(&mut self, symbol: usize, number: Option<usize>) -> Result<()> {
        self.of(symbol)?.choose(number)
    }

    /// Takes a bar of a symbol before the first that is stepped.
    pub fn warm(&mut self, symbol: usize, bar: &Bar) -> Result<()> {
        self.of(symbol)?.warm(bar)
    }

    /// Bars of a symbol stepped so far.
    pub fn bars(&self, symbol: usize) -> usize {
        self.symbols.get(symbol).map_or(0, LiveAccount::bars)
    }

    fn of(&mut self, symbol: usize) -> Result<&mut LiveAccount> {
        let count = self.symbols.len();
        let refuse = || Error::parameter("symbol", symbol, format!("below {count}"));
        self.symbols.get_mut(symbol).ok_or_else(refuse)
    }

    /// Takes the closed bars of one time, in the order of their symbols; nothing has changed if one is refused.
    pub fn step(&mut self, bars: &[Closed<'_>]) -> Result<Together> {
        let before = self.clone();
        let done = self.stepped(bars);
        if done.is_err() {
            *self = before;
        }
        done
    }

    fn stepped(&mut self, bars: &[Closed<'_>]) -> Result<Together> {
        for pair in bars.windows(2) {
            if pair[0].symbol >= pair[1].symbol || pair[0].bar.open_time != pair[1].bar.open_time {
                return Err(Error::Rules(
                    "bars of a time step must be of one time, each symbol once and in their order"
                        .into(),
                ));
            }
        }
        for one in bars {
            let symbol = self.of(one.symbol)?;
            symbol.check(&one.bar)?;
            symbol.indicate(&one.bar);
        }
        let mut seen = Seen::default();
        let mut account = self.read(&self.account)?;
        let here: Vec<_> = bars
            .iter()
            .map(|one| {
                let market = &self.symbols[one.symbol];
                (one.symbol, Here::Bar(market.input(one.bar, one.funding, one.row, one.last)))
            })
            .collect();
        account.step(&here, &mut seen);
        let equity = account.book().mark();
        let ruined = account.book().is_ruined();
        let mut each = vec![];
        for one in bars {
            let number = one.symbol;
            let trades = seen.trades.extract_if(.., |(symbol, _)| *symbol == number);
            let bar = self.symbols[number].bars;
            each.push((
                number,
                After {
                    bar,
                    equity,
                    trades: trades.map(|(_, trade)| trade).collect(),
                    held: account.held(number).map(crate::backtest::position::Position::shown),
                    leaving: account.symbols()[number].leaving().filter(|_| !ruined),
                    planned: account.planned(number, bar, one.bar.close),
                    ruined,
                },
            ));
        }
        let bytes = self.write(account);
        self.account = bytes;
        for one in bars {
            self.symbols[one.symbol].pass(&one.bar);
        }
        Ok(Together { each, ended: seen.trades, refused: seen.refused })
    }

    /// The state as bytes: what it is, the account behind its length, the symbols' own, checksum.
    pub fn save(&mut self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.bytes.extend(MAGIC);
        writer.bytes.extend(self.identity().as_bytes());
        writer.bytes.extend((self.account.len() as u64).to_le_bytes());
        writer.bytes.extend(&self.account);
        for symbol in &mut self.symbols {
            symbol.visit(&mut writer);
        }
        let sum = checksum(&writer.bytes);
        writer.bytes.extend(sum.as_bytes());
        writer.bytes
    }

    fn identity(&self) -> String {
        let mut digest = Digest::new("shared account/1");
        for symbol in &self.symbols {
            digest.text(&symbol.identity);
        }
        digest.text(&format!("{:?}", self.limits));
        digest.hex()
    }

    /// The same account as its saved state has it.
    pub fn loaded(&self, bytes: &[u8]) -> Result<Self> {
        let refuse = |why: &str| {
            Err(Error::Rules(format!(
                "state of the shared account {why}: restore the folder from a copy, or start another session"
            )))
        };
        let head = MAGIC.len() + 64;
        if bytes.len() < head + 64 || bytes[..MAGIC.len()] != *MAGIC {
            return refuse("is not one of a shared account");
        }
        let (body, sum) = bytes.split_at(bytes.len() - 64);
        if checksum(body).as_bytes() != sum {
            return refuse("is damaged");
        }
        if body[MAGIC.len()..head] != *self.identity().as_bytes() {
            return refuse(
                "is of other symbols, limits, costs or equity, or of rules that measure otherwise",
            );
        }
        let mut new = self.clone();
        let split = body[head..].split_first_chunk::<8>().and_then(|(length, rest)| {
            rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)
        });
        let Some((account, fields)) = split else { return refuse("is damaged") };
        let mut reader = Reader::new(fields);
        for symbol in &mut new.symbols {
            symbol.visit(&mut reader);
        }
        new.account = account.to_vec();
        // What was read must be written again as it was.
        let whole = reader.finish().is_ok()
            && new.read(&new.account).is_ok_and(|account| new.write(account) == new.account)
            && new.symbols.iter().all(|s| s.current.is_none_or(|number| number < s.book.len()))
            && new.save() == bytes;
        if whole { Ok(new) } else { refuse("is damaged") }
    }
}

const MAGIC: &[u8; 8] = b"BPSHARE\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::costs::Costs;
    use crate::backtest::rules::Rules;
    use crate::instrument::{Instrument, Kind};
    use crate::signals::{SignalKind, Signals};

    const HOUR: i64 = 3_600_000;

    fn account(max_positions: usize) -> LiveShared {
        let mut arrays: [Option<Vec<f64>>; 7] = Default::default();
        arrays[0] = Some(vec![]);
        let signals = Signals::new(SignalKind::Probability, arrays).unwrap();
        let rules =
            Rules { entry_long: Some(0.5), max_hold: Some(2), fraction: 0.4, ..Rules::default() };
        let one = || {
            let spot = Instrument::new(Kind::Spot, 0.005, 0.0, 0.0).unwrap();
            let costs = Costs::new(0.001, 0.001, 0.0).unwrap();
            let mut new =
                LiveAccount::new(costs, spot, 1e4, HOUR, vec![rules.clone()], &signals).unwrap();
            new.choose(Some(0)).unwrap();
            new
        };
        let limits = Limits { max_positions: Some(max_positions), max_gross: None };
        LiveShared::new(vec![one(), one()], limits).unwrap()
    }

    fn step(account: &mut LiveShared, at: i64, prices: &[(usize, f64)]) -> Result<Together> {
        let closed: Vec<Closed<'_>> = prices
            .iter()
            .map(|(symbol, price)| {
                let price = *price;
                let open_time = at * HOUR;
                let bar = Bar { open_time, open: price, high: price, low: price, close: price };
                let row = SignalRow { long: 0.6, ..crate::backtest::run::NOTHING };
                Closed { symbol: *symbol, bar, funding: (&[], &[]), row, last: false }
            })
            .collect();
        account.step(&closed)
    }

    #[test]
    fn a_loaded_account_goes_on_as_it_was() {
        let mut one = account(1);
        for at in 0..3 {
            step(&mut one, at, &[(0, 100.0 + at as f64), (1, 50.0)]).unwrap();
        }
        let mut other = account(1).loaded(&one.save()).unwrap();
        let (mut trades, mut refused) = (0, 0);
        for at in 3..12 {
            let prices = [(0, 100.0 - at as f64), (1, 50.0 + at as f64)];
            let some = if at % 4 == 3 { &prices[1..] } else { &prices[..] };
            let (a, b) = (step(&mut one, at, some).unwrap(), step(&mut other, at, some).unwrap());
            assert_eq!(format!("{a:?}"), format!("{b:?}"));
            assert_eq!(one.save(), other.save());
            trades += a.each.iter().map(|(_, after)| after.trades.len()).sum::<usize>();
            refused += a.refused.len();
        }
        assert!(trades >= 3 && refused >= 3, "{trades} {refused}");
    }

    #[test]
    fn what_is_refused_changes_nothing() {
        let mut one = account(2);
        step(&mut one, 0, &[(0, 100.0), (1, 50.0)]).unwrap();
        let before = one.save();
        for prices in [&[(1, 50.0), (0, 100.0)][..], &[(0, 100.0), (1, f64::NAN)], &[(2, 1.0)]] {
            assert!(step(&mut one, 1, prices).is_err());
            assert_eq!(one.save(), before);
        }
        assert!(step(&mut one, 0, &[(0, 100.0)]).is_err());
    }

    #[test]
    fn foreign_states_are_refused() {
        let mut one = account(2);
        for at in 0..4 {
            step(&mut one, at, &[(0, 100.0), (1, 50.0)]).unwrap();
        }
        let good = one.save();
        for end in 0..good.len() {
            let refused = account(2).loaded(&good[..end]).err().unwrap().to_string();
            assert!(refused.starts_with("state of the shared account is "), "{refused}");
        }
        let refused = account(1).loaded(&good).err().unwrap().to_string();
        assert!(refused.contains("is of other symbols, limits"), "{refused}");
        for byte in MAGIC.len() + 64 + 8..good.len() - 64 {
            let mut forged = good[..good.len() - 64].to_vec();
            forged[byte] ^= 0x55;
            forged.extend(checksum(&forged).as_bytes());
            if let Ok(mut taken) = account(2).loaded(&forged) {
                assert_eq!(taken.save(), forged);
            }
        }
    }
}
