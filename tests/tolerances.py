"""The tolerances of the test suites, all relative; one place, so that none is loosened unseen."""

# Engine against twin: the same formulas in another order of operations.
REFERENCE = 1e-9

# Figures printed with a few digits.
PRINTED = 5e-3
