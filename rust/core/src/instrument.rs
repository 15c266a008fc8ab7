//! What is traded: its kind and the exchange's limits.

use crate::{Error, Result};

/// Kind of market, which decides funding, annualisation and calendars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Linear perpetual contract; pays funding.
    Perpetual,
    /// Spot pair, traded around the clock.
    Spot,
    /// Share or fund, traded in sessions.
    Equity,
    /// Currency pair, traded five days a week.
    Fx,
}

impl Kind {
    /// Reads the kind from its name.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "perpetual" => Ok(Self::Perpetual),
            "spot" => Ok(Self::Spot),
            "equity" => Ok(Self::Equity),
            "fx" => Ok(Self::Fx),
            _ => {
                Err(Error::unknown("instrument kind", name, &["perpetual", "spot", "equity", "fx"]))
            }
        }
    }

    /// Trading days a year, by which daily statistics are annualised unless the caller says otherwise.
    pub fn periods_per_year(self) -> f64 {
        match self {
            Self::Perpetual | Self::Spot => 365.0,
            Self::Equity => 252.0,
            Self::Fx => 260.0,
        }
    }

    /// Whether the market trades around the clock, so that bars a year follow from the interval alone.
    pub fn around_the_clock(self) -> bool {
        matches!(self, Self::Perpetual | Self::Spot)
    }
}

/// The exchange's limits on one market.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Instrument {
    /// Kind of market.
    pub kind: Kind,
    /// Maintenance margin rate, a fraction in [0, 1).
    pub maintenance: f64,
    /// Smallest step of a quantity in units of the base; 0 means none.
    pub lot: f64,
    /// Smallest notional of an order in quote; 0 means none.
    pub min_notional: f64,
}

impl Instrument {
    /// Checks the limits.
    pub fn new(kind: Kind, maintenance: f64, lot: f64, min_notional: f64) -> Result<Self> {
        if !(0.0..1.0).contains(&maintenance) {
            return Err(Error::parameter("maintenance", maintenance, "in [0, 1)"));
        }
        for (name, value) in [("lot", lot), ("min_notional", min_notional)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Error::parameter(name, value, "finite and >= 0"));
            }
        }
        Ok(Self { kind, maintenance, lot, min_notional })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_checked() {
        assert!(Instrument::new(Kind::Spot, 0.005, 0.0, 0.0).is_ok());
        for (m, l, n, name) in [
            (1.0, 0.0, 0.0, "maintenance"),
            (0.0, -1.0, 0.0, "lot"),
            (0.0, 0.0, f64::NAN, "min_notional"),
        ] {
            let message = Instrument::new(Kind::Spot, m, l, n).unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
        assert!(Kind::parse("perpetul").unwrap_err().to_string().contains("`perpetual`"));
    }
}
