//! Trades of an account by column, as they are handed on: written once, with no row in between.

use crate::backtest::record::Trade;

/// Closed trades in the order in which they closed, one value a trade in each column; see [`Trade`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TradeColumns {
    /// Number of the symbol.
    pub symbol: Vec<u32>,
    /// Side as a number: 0 long, 1 short.
    pub side: Vec<u8>,
    /// Bar of the decision.
    pub signal_bar: Vec<u32>,
    /// Bar of the entry.
    pub entry_bar: Vec<u32>,
    /// Opening time of the entry bar.
    pub entry_time: Vec<i64>,
    /// Fill price of the entry.
    pub entry_price: Vec<f64>,
    /// Bar of the exit.
    pub exit_bar: Vec<u32>,
    /// Time of the exit.
    pub exit_time: Vec<i64>,
    /// Fill price of the exit.
    pub exit_price: Vec<f64>,
    /// Units of the base.
    pub quantity: Vec<f64>,
    /// Quantity at the entry price.
    pub notional: Vec<f64>,
    /// Margin put up.
    pub margin: Vec<f64>,
    /// Share of the equity meant for margin and entry fee.
    pub fraction: Vec<f64>,
    /// Signal value at the decision.
    pub p_entry: Vec<f64>,
    /// Reason by its place in [`crate::backtest::record::Reason::ALL`].
    pub reason: Vec<u8>,
    /// Bars held.
    pub bars_held: Vec<u32>,
    /// Fees of entry and exit.
    pub fees: Vec<f64>,
    /// Funding received.
    pub funding: Vec<f64>,
    /// Change of the equity.
    pub pnl: Vec<f64>,
    /// `pnl` over the equity at entry.
    pub unit_return: Vec<f64>,
    /// Stop and target could not be ordered.
    pub ambiguous: Vec<bool>,
    /// A moved stop lay within its own bar.
    pub ambiguous_trail: Vec<bool>,
    /// Worst price against the fill.
    pub mae: Vec<f64>,
    /// Best price against the fill.
    pub mfe: Vec<f64>,
}

/// Bars are counted in 32 bits in records.
fn short(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl TradeColumns {
    /// Number of trades.
    pub fn len(&self) -> usize {
        self.symbol.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.symbol.is_empty()
    }

    /// Appends a trade of a symbol.
    pub fn push(&mut self, symbol: usize, trade: &Trade) {
        self.symbol.push(short(symbol));
        self.side.push(trade.side as u8);
        self.signal_bar.push(short(trade.signal_bar));
        self.entry_bar.push(short(trade.entry_bar));
        self.entry_time.push(trade.entry_time);
        self.entry_price.push(trade.entry_price);
        self.exit_bar.push(short(trade.exit_bar));
        self.exit_time.push(trade.exit_time);
        self.exit_price.push(trade.exit_price);
        self.quantity.push(trade.quantity);
        self.notional.push(trade.notional);
        self.margin.push(trade.margin);
        self.fraction.push(trade.fraction);
        self.p_entry.push(trade.p_entry);
        self.reason.push(trade.reason as u8);
        self.bars_held.push(short(trade.bars_held));
        self.fees.push(trade.fees);
        self.funding.push(trade.funding);
        self.pnl.push(trade.pnl);
        self.unit_return.push(trade.unit_return);
        self.ambiguous.push(trade.ambiguous);
        self.ambiguous_trail.push(trade.ambiguous_trail);
        self.mae.push(trade.mae);
        self.mfe.push(trade.mfe);
    }
}
