"""Tests of the audits and of the statistics behind them."""
