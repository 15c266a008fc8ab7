//! What trading costs.

use crate::{Error, Result};

/// Fees and slippage as fractions of the notional or price.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// Fee of orders that take liquidity.
    pub taker: f64,
    /// Fee of resting orders; negative is a rebate.
    pub maker: f64,
    /// Adverse price change of orders that take liquidity.
    pub slippage: f64,
}

impl Costs {
    /// Checks the rates.
    pub fn new(taker: f64, maker: f64, slippage: f64) -> Result<Self> {
        for (name, value, low) in
            [("taker", taker, 0.0), ("maker", maker, -1.0), ("slippage", slippage, 0.0)]
        {
            if !(value >= low && value < 1.0) {
                let bound =
                    if low == 0.0 { "in [0, 1), a fraction" } else { "in [-1, 1), a fraction" };
                return Err(Error::parameter(name, value, bound));
            }
        }
        Ok(Self { taker, maker, slippage })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_fractions() {
        assert!(Costs::new(0.0005, -0.0001, 0.0).is_ok());
        assert_eq!(
            Costs::new(5.0, 0.0, 0.0).unwrap_err().to_string(),
            "`taker` must be in [0, 1), a fraction, was 5"
        );
        assert!(Costs::new(0.0, f64::NAN, 0.0).is_err());
        assert!(Costs::new(0.0, 0.0, -0.1).is_err());
    }
}
