"""Production as the backtest stepped: sessions, their log, and the proof that both are one system."""
