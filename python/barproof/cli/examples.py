"""An example of every command, shown by its ``--help``."""

from __future__ import annotations

__all__ = ["EXAMPLES", "epilog"]

EXAMPLES: dict[str, tuple[str, ...]] = {
    "": ("barproof demo", "barproof init momentum"),
    "init": (
        "barproof init momentum",
        "barproof init momentum --candles spy.csv -i equity",
    ),
    "fetch": (
        "barproof fetch BTCUSDT -i perpetual --interval 5m --start 2024-01-01 --archive binance",
        "barproof fetch ETHUSD -i spot --interval 1h --start 2024-01-01 --exchange kraken",
    ),
    "check": (
        "barproof check spy_1h.csv -i equity",
        "barproof check btc.parquet -i perpetual --funding paid.parquet --repair sort",
    ),
    "features": (
        "barproof features ema",
        "barproof features spy_1h.csv -i equity -f 'rsi(14)' --verify --out x.parquet",
    ),
    "labels": ("barproof labels spy_1h.csv -i equity --bars 12 --threshold 0.004",),
    "train": (
        "barproof train spy_1h.csv -i equity -f 'rsi(14)' --label-bars 12 --train 365d --test 90d"
        " --out study",
    ),
    "evaluate": (
        "barproof evaluate spy_1h.csv -i equity -p study/predictions.parquet --label-bars 12",
    ),
    "backtest": (
        "barproof backtest spy_1h.csv -i equity -s signals.parquet -r entry_long=0.6 --taker 0.0001",
    ),
    "sweep": (
        "barproof sweep spy_1h.csv -i equity -s signals.parquet -a entry_long=0.5,0.6 -a"
        " stop_loss=0.01,none --taker 0.0001 --windows 1mo",
    ),
    "portfolio": (
        "barproof portfolio BTC=btc_1h.parquet ETH=eth_1h.parquet -i spot --signals BTC=btc_signals.parquet"
        " --signals ETH=eth_signals.parquet -r entry_long=0.6 --taker 0.0005 --max-positions 1",
    ),
    "audit": (
        "barproof audit trades.csv",
        "barproof audit --run --html report.html",
    ),
    "parity": (
        "barproof parity log.jsonl --candles btc.parquet -i spot --bundle study/bundles/fold-4",
    ),
    "verify": ("barproof verify claims.toml", "barproof verify --retrain manifest.json"),
    "live": (
        "barproof live --bundle study/bundles/fold-4 --from-history btc.parquet -i spot"
        " -r entry_long=0.6 --taker 0.0005",
    ),
    "explain": ("barproof explain PRED-05",),
    "demo": ("barproof demo --out demo",),
    "doctor": ("barproof doctor",),
    "rules": ("barproof rules",),
    "metrics": ("barproof metrics --json",),
    "ledger": ("barproof ledger list",),
    "ledger list": ("barproof ledger list --last 50",),
    "ledger show": ("barproof ledger show 12",),
    "ledger trials": ("barproof ledger trials",),
    "ledger history": ("barproof ledger history rules --kind sweep",),
    "ledger export": ("barproof ledger export runs.csv",),
    "ledger verify": ("barproof ledger verify",),
    "bundle": ("barproof bundle inspect model.safetensors",),
    "bundle inspect": ("barproof bundle inspect model.safetensors --all",),
    "bundle verify": ("barproof bundle verify study/bundles/fold-0",),
    "bundle recreate": (
        "barproof bundle recreate study/bundles/fold-0 spy_1h.csv -i equity --metric log_loss",
    ),
}
"""Command lines by command; the words of groups are joined by a blank."""


def epilog(command: str, codes: str) -> str:
    """Write what stands below the options: examples, then the exit codes."""
    shown = EXAMPLES[command]
    return "\n\n".join((f"Example{'s' if len(shown) > 1 else ''}:", *shown, codes))
