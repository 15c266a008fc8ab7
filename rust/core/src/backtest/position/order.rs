//! A decision to enter: its size and its levels.

use super::{EntryFill, level, levered};
use crate::backtest::record::Side;
use crate::backtest::rules::{DistanceKind, Rules, Sizing};
use crate::backtest::state;
use crate::features::node::Visit;

/// A decision to enter, with what its bar knew.
#[derive(Clone, Copy, Debug)]
pub struct Order<'r> {
    /// Rules of the signal bar; the position keeps them.
    pub rules: &'r Rules,
    /// Side to enter.
    pub side: Side,
    /// Bar of the decision.
    pub signal_bar: usize,
    /// The signal's value.
    pub p: f64,
    /// The threshold it met.
    pub threshold: f64,
    /// Average true range, NaN if undefined or unused.
    pub atr: f64,
    /// Volatility a year, NaN if undefined or unused.
    pub volatility: f64,
    /// Signal array `stop`.
    pub stop: f64,
    /// Signal array `target`.
    pub target: f64,
    /// Signal array `size`.
    pub size: f64,
}

impl<'r> Order<'r> {
    /// An order that a saved one is loaded into.
    pub(crate) fn blank(rules: &'r Rules) -> Self {
        Self {
            rules,
            side: Side::Long,
            signal_bar: 0,
            p: f64::NAN,
            threshold: f64::NAN,
            atr: f64::NAN,
            volatility: f64::NAN,
            stop: f64::NAN,
            target: f64::NAN,
            size: f64::NAN,
        }
    }

    /// Shows every field in a fixed order.
    pub(crate) fn visit(&mut self, state: &mut dyn Visit, book: &'r [Rules]) {
        let Self { rules, side, signal_bar, p, threshold, atr, volatility, stop, target, size } =
            self;
        state::rules(state, rules, book);
        state::side(state, side);
        state::count(state, signal_bar);
        for value in [p, threshold, atr, volatility, stop, target, size] {
            state.float(value);
        }
    }
}

impl Order<'_> {
    /// Stop or target distance as a fraction of `fill`; `share` is the order's size fraction.
    fn distance(
        &self,
        kind: DistanceKind,
        multiple: f64,
        signal: f64,
        fill: f64,
        share: f64,
    ) -> f64 {
        match kind {
            DistanceKind::Price => multiple,
            DistanceKind::Equity => multiple / (share * self.rules.leverage),
            DistanceKind::Atr => multiple * self.atr / fill,
            DistanceKind::Signal => multiple * signal,
        }
    }

    /// Share of the equity put up as margin and entry fee, when filled at `fill`.
    pub fn share(&self, fill: f64) -> f64 {
        let rules = self.rules;
        let most = rules.fraction;
        let capped = |wanted: f64| if wanted < most { wanted } else { most };
        match rules.sizing {
            Sizing::Fraction | Sizing::Notional => most,
            Sizing::Confidence if self.threshold == 1.0 => most,
            Sizing::Confidence => {
                let excess = (self.p - self.threshold) / (1.0 - self.threshold);
                rules.size_min + (most - rules.size_min) * excess
            }
            Sizing::Signal => most * self.size,
            Sizing::Risk => {
                // Never of kind equity here (`Rules::check`), so the share does not enter the distance.
                let stop = rules.stop_loss.unwrap_or(f64::NAN);
                let distance = self.distance(rules.stop_loss_kind, stop, self.stop, fill, f64::NAN);
                if distance == 0.0 {
                    most
                } else {
                    capped(rules.risk.unwrap_or(f64::NAN) / (rules.leverage * distance))
                }
            }
            Sizing::Volatility if self.volatility == 0.0 => most,
            Sizing::Volatility => {
                capped(rules.vol_target.unwrap_or(f64::NAN) / (self.volatility * rules.leverage))
            }
        }
    }

    /// Notional per unit of equity that a share of the equity makes, the fee of the fill included in it.
    #[inline]
    pub(super) fn notional(&self, share: f64, fee_rate: f64, equity: f64) -> f64 {
        let rules = self.rules;
        let notional = levered(share, rules.leverage, fee_rate);
        if rules.sizing == Sizing::Notional {
            let most = rules.notional.unwrap_or(f64::NAN) / equity;
            if most < notional {
                return most;
            }
        }
        notional
    }

    /// Notional per unit of equity that the order asks for when it fills.
    pub fn wanted(&self, fill: &EntryFill, equity: f64) -> f64 {
        self.notional(self.share(fill.price), fill.fee_rate, equity)
    }

    /// How far the signal lies above its threshold.
    pub fn excess(&self) -> f64 {
        self.p - self.threshold
    }

    /// Whether all that the rules need at the signal bar is there, the size included (section 2, step 8).
    ///
    /// `close` stands in for the unknown fill; the sign of the share does not depend on it.
    pub fn is_complete(&self, close: f64) -> bool {
        let rules = self.rules;
        let has = |set: bool, kind: DistanceKind, signal: f64| {
            !set || match kind {
                DistanceKind::Atr => !self.atr.is_nan(),
                DistanceKind::Signal => signal > 0.0,
                DistanceKind::Price | DistanceKind::Equity => true,
            }
        };
        has(rules.stop_loss.is_some(), rules.stop_loss_kind, self.stop)
            && has(rules.take_profit.is_some(), rules.take_profit_kind, self.target)
            && !(rules.needs_volatility() && self.volatility.is_nan())
            && self.share(close) > 0.0
    }

    /// Price of a stop at `multiple` of the order's kind, when filled at `fill`; NaN if none or never reached.
    pub fn stop_level(&self, multiple: Option<f64>, fill: f64, share: f64) -> f64 {
        let kind = self.rules.stop_loss_kind;
        self.level(kind, multiple, self.stop, -self.side.sign(), fill, share)
    }

    /// Price of a target, likewise.
    pub fn target_level(&self, multiple: Option<f64>, fill: f64, share: f64) -> f64 {
        let kind = self.rules.take_profit_kind;
        self.level(kind, multiple, self.target, self.side.sign(), fill, share)
    }

    fn level(
        &self,
        kind: DistanceKind,
        multiple: Option<f64>,
        signal: f64,
        sign: f64,
        fill: f64,
        share: f64,
    ) -> f64 {
        let Some(multiple) = multiple else { return f64::NAN };
        level(fill * (1.0 + sign * self.distance(kind, multiple, signal, fill, share)))
    }

    /// Limit price of a resting entry decided at `close`.
    pub fn limit_level(&self, close: f64) -> f64 {
        close * (1.0 - self.side.sign() * self.rules.limit_offset)
    }
}
