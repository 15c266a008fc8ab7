"""S001: networks fed raw prices, twice."""
