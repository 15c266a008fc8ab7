"""The tolerances of the test suites, all relative; one place, so that none is loosened unseen."""

# Engine against twin: the same formulas in another order of operations.
REFERENCE = 1e-9

# What differences that cancel are small against: excursions and price fractions of a trade, metrics that are
# themselves differences of ratios. Below these sizes REFERENCE is an absolute bound relative to them.
PRICE_FRACTION = 1e-3
METRIC = 1e-6

# Share of an account's initial equity that money is small against: what is left after losses carries their rounding.
LOST = 1e-5

# Downside deviation of daily returns below which a ratio over it shows their rounding.
DOWNSIDE = 1e-6

# Quantities that a change of costs must leave alone, to rounding.
ROUNDING = 1e-12

# Figures printed with a few digits.
PRINTED = 5e-3

# Statistics against vectors of other implementations, or slow twins of the same formulas.
GOLDEN = 1e-9

# The same where an optimiser or a quadrature stands behind one of the two.
OPTIMISED = 1e-6

# Standard deviations of windows whose spread is some 1e-4 of the price, and of prices that were rounded to floats.
DEVIATION = 1e-10

# Scores in deviations and positions in bands are of order one; below this size REFERENCE is absolute.
SCORE = 0.1

# Predictions of nets in single precision, of one row at a time and of many together; as `AGREE` of bundles has it.
SINGLE = 1e-5
