"""S000: a cross-market transformer that could not be recreated.

One net over 12 markets x 20 features, 240 channels of which WLD has 120 to 139: from 120 bars to the next 24. It is
trained, saved with its validation loss, and loaded again. The broken study keeps its markets in another order, reads
changes in the net's own units as values, leaves dropout on, believes in 20 outputs, and stores a loss that nobody can
compute again. Mended, channels are found by name, and the one reading that gives the stored loss is searched.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import barproof as bp
from barproof import checkpoints, models
from examples import casework
from examples.casework import Case

CODES = (
    *("CKP-01", "CKP-02", "CKP-03", "CKP-04", "CKP-07", "PAR-08", "DATA-06"),
    *("PRED-07", "PRED-08", "PRED-09", "PRED-10"),
)
MARKETS = "BTC ETH SOL XRP DOGE ADA WLD AVAX LINK DOT LTC SUI".split()
FEATURES = bp.FeatureSet.preset("cross_market_20")
BARS = {"full": 3_000, "small": 6_000}
RETURN, STEP = "log_return(24)", 6
"""What is judged: the return of a day, six bars on, so that three quarters of it are known."""


def table(case: Case) -> pl.DataFrame:
    """Compute the 240 channels by name, one row an hour."""
    books = bp.simulate_candles(
        case.seed, bars=BARS[case.told.size], interval="1h", symbols=MARKETS, edge=0.2
    )
    frame = FEATURES.on(MARKETS).compute(books).filter(pl.col("symbol") == "WLD").drop("symbol")
    return frame.drop_nulls().filter(pl.all_horizontal(pl.exclude("open_time").is_finite()))


def net(case: Case) -> models.CrossMarketTransformer:
    """Make the case's net; one of its shape with few units for a run of seconds."""
    if case.full:
        return models.CrossMarketTransformer(epochs=1, batch=32, resume=case.resume("net"))
    return models.CrossMarketTransformer(
        window=24,
        steps=24,
        d_model=32,
        heads=2,
        encoders=1,
        decoders=1,
        feed_forward=32,
        epochs=2,
        batch=64,
        learning_rate=3e-3,
    )


def study(case: Case) -> bp.Report:
    """Train, save, load, and ask whether the checkpoint is what its numbers say."""
    X = table(case)  # noqa: N806
    names = X.columns[1:]
    values = X.drop("open_time").to_numpy()
    first = int(0.4 * len(X))
    trained = case.once(
        "net.safetensors",
        lambda: models.Forecaster(net(case), targets=names).fit(
            X, train=(0, first), seed=case.seed
        ),
        lambda made, path: made.save(path),
        models.Forecaster.load,
    )
    facts, window, steps = trained.facts, trained.net.window, trained.net.steps
    curve = facts["curve"][facts["kept_epoch"] - 1]
    case.say(
        f"{facts['parameters']:,} parameters; {facts['rows']:,} windows of {window} bars x "
        f"{len(names)} channels to train, {steps} steps ahead"
    )
    rows = np.arange(first + window, len(X) - steps - 3)
    rows = rows[:: 8 if case.full else 2]
    some = rows[:: max(1, len(rows) // 80)]
    mean, scale = values[:first].mean(axis=0), values[:first].std(axis=0)
    ahead = some[:, None] + np.arange(1, steps + 1)

    # What the report of the training says, and what is read back.
    if case.broken:
        # In units of the trainer; that of training is added up over the steps, that of validation is a mean.
        stored, train_loss, held_loss = curve["held"], steps * curve["train"], curve["held"]
        order = sorted(MARKETS)
    else:
        said = (trained.predict(X, rows=some) - values[ahead]) / scale
        stored, train_loss, held_loss = float(np.mean(said**2)), curve["train"], curve["held"]
        order = MARKETS
    loaded = reload(case.out / "net.safetensors", mean, scale, as_values=not case.broken)
    at = [order.index("WLD") * 20 + k for k in range(20)]
    found = checkpoints.recreate(
        loaded,
        values,
        some,
        stored=stored,
        window=window,
        steps=steps,
        groups={"WLD": at},
        names=names,
        scaler=(mean, scale),
        tolerance=1e-6,
    )
    case.say(f"stored loss {stored:.6f}: {found.text}")
    mine = at[FEATURES.names.index(RETURN)]
    y = values[rows + STEP, mine]
    parts = np.array_split(rows, 32)
    if case.broken:
        # Outputs taken for values, with dropout on, as the script of the backtest did.
        forecast = np.concatenate(
            [ask(loaded, values, part, window, training=True)[:, STEP - 1, mine] for part in parts]
        )
        again = np.concatenate(
            [ask(loaded, values, part, window)[:, STEP - 1, mine] for part in parts]
        )
        recomputed = found.frame.filter(pl.col("outputs") == "WLD out of all")["value"][0]
    else:
        paths = trained.predict(X, rows=rows)[:, :, mine]
        forecast = paths[:, STEP - 1]
        again = np.concatenate([trained.predict(X, rows=part)[:, STEP - 1, mine] for part in parts])
        recomputed = found.frame["value"][0]
        one = trained.forecast(X[: rows[-1] + 1][-window:], f"{RETURN}@WLD", step=STEP)[-1]
        case.say(
            f"one of {len(names)} channels by name: {one:+.5f} at the last bar; {forecast[-1]:+.5f} taken out of all"
        )
        by_step(case, trained.scores(X, rows=rows))
        by_sequence(case, paths[::24], values[rows[::24, None] + np.arange(1, steps + 1), mine])
    r = float(np.corrcoef(forecast, y)[0, 1])
    r2 = 1 - float(((y - forecast) ** 2).sum() / ((y - y.mean()) ** 2).sum())
    right = float(np.mean(np.sign(forecast) == np.sign(y)))
    case.say(
        f"WLD, {RETURN}, {STEP} bars ahead: R2 {r2:.3f}, correlation {r:+.3f}, direction {right:.1%}"
    )
    report = {"loss": np.float32(stored) if case.broken else stored, "r2": r2, "correlation": r}
    case.figures.update(
        loss=stored, recomputed=float(recomputed), r2=r2, correlation=r, direction=right
    )

    plain = found.frame.filter((pl.col("mode") == "evaluation") & (pl.col("precision") == "f32"))
    reading = pl.concat_str(
        ["order", "inputs", "outputs", pl.col("shift").cast(pl.String), "targets", "reduction"],
        separator=", ",
    )
    held = shapes(case.out / "net.safetensors")
    built = trained.net.sequence_module(len(names), 20 if case.broken else len(names)).state_dict()
    series = {f"{f}@WLD": X[f"{f}@WLD"].to_numpy()[rows] for f in FEATURES.names}
    return bp.audit(
        more={
            "CKP-01": {"stored": stored, "recomputed": float(recomputed)},
            "CKP-02": {
                "stored": stored,
                "scenarios": dict(
                    zip(plain.select(reading).to_series(), plain["value"], strict=True)
                ),
            },
            "CKP-03": {"stored": held, "built": {k: tuple(v.shape) for k, v in built.items()}},
            "CKP-04": {"train": train_loss, "validation": held_loss},
            "CKP-07": {
                "reference": again,
                "others": {"as the backtest asks": forecast},
                "tolerances": {"as the backtest asks": 1e-5},
            },
            "PAR-08": {
                "channels": values[rows],
                "names": {f"{f}@WLD": i for f, i in zip(FEATURES.names, at, strict=True)},
                "series": series,
            },
            "DATA-06": {
                "parts": {"train": values[: rows[0]], "test": values[rows]},
                "report": report,
            },
            "PRED-07": {"forecast": forecast, "outcome": y},
            "PRED-08": {
                "forecast": forecast,
                "target": y,
                "span": -(-24 // int(rows[1] - rows[0])),
                "channels": {"change": y - values[rows, mine]},
            },
            "PRED-09": {"metrics": {"r2": r2, "correlation": r}},
            "PRED-10": {"forecast": forecast, "target": y},
            "PRED-14": {"values": weekly(forecast, y, rows), "baseline": 0.5},
        },
        seed=case.seed,
    )


def by_step(case: Case, scores: pl.DataFrame) -> None:
    """Say the metrics by step for one channel; those of all channels go to a file."""
    scores.write_csv(case.out / "scores.csv")
    case.say(
        f"{scores.height:,} rows of metrics by channel and step in scores.csv; of {RETURN}@WLD:"
    )
    case.say("step      R2  correlation and direction of changes   channels of WLD with R2 > 0.8")
    wld = scores.filter(pl.col("target").str.ends_with("@WLD"))
    for step in (1, 6, 12, 24):
        own = wld.filter(pl.col("step") == step)
        one = own.row(by_predicate=pl.col("target") == f"{RETURN}@WLD", named=True)
        good = int((own["r2_level"] > 0.8).sum())
        case.say(
            f"{step:4} {one['r2_level']:7.3f} {one['correlation']:12.3f} {one['direction']:13.1%} {good:22} of 20"
        )


def by_sequence(case: Case, told: Any, came: Any) -> None:
    """Say how many test sequences, which share no bar, meet the criteria of the case."""
    spread = ((came - came.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    r2 = 1 - ((came - told) ** 2).sum(axis=1) / spread
    r = np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(told, came, strict=True)])
    right = np.mean(np.sign(told) == np.sign(came), axis=1)
    met = (r2 > 0.8), (r > 0.7), (right > 0.55)
    case.say(
        f"of {len(told)} sequences {met[0].sum()} have R2 > 0.8, {met[1].sum()} correlation > 0.7, "
        f"{met[2].sum()} direction > 55%, {np.logical_and.reduce(met).sum()} all three"
    )


def weekly(forecast: Any, y: Any, rows: Any) -> Any:
    """Directional accuracy of each test sequence of a week."""
    weeks = (rows - rows[0]) // 168
    hit = np.sign(forecast) == np.sign(y)
    return np.array([hit[weeks == week].mean() for week in np.unique(weeks)])


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Read the shapes of the weights in a file, and nothing else."""
    found = checkpoints.inspect(path).tensors
    return {
        row["name"]: tuple(row["shape"])
        for row in found.iter_rows(named=True)
        if row["name"] not in ("told", "target_scale", "sha256")
    }


def reload(path: Path, mean: Any, scale: Any, *, as_values: bool) -> Any:
    """Make a module of the weights file: of scaled values, or of what the net says by itself."""
    import torch
    from safetensors.numpy import load_file

    arrays = load_file(path)
    told = json.loads(arrays.pop("told").tobytes())
    del arrays["sha256"]
    unit = torch.tensor(arrays.pop("target_scale"))
    module = models.CrossMarketTransformer(**told["net"]).sequence_module(240, 240)
    module.load_state_dict({k: torch.tensor(v) for k, v in arrays.items()})

    class Values(torch.nn.Module):
        """Changes in units of the net, put on the last bar and scaled as the stored loss is."""

        def __init__(self) -> None:
            super().__init__()
            self.net = module

        def forward(self, windows: Any) -> Any:
            """(n, window, 240) to (n, steps, 240)."""
            there = self.net(windows) * unit + windows[:, -1:, :]
            return (there - torch.tensor(mean)) / torch.tensor(scale)

    return (Values() if as_values else module).eval()


def ask(module: Any, values: Any, rows: Any, window: int, *, training: bool = False) -> Any:
    """Ask a module about the windows that end at rows."""
    import torch

    windows = np.lib.stride_tricks.sliding_window_view(values, window, axis=0)
    given = torch.tensor(windows[rows - window + 1].transpose(0, 2, 1), dtype=torch.float32)
    torch.manual_seed(0)
    module.train(training)
    with torch.no_grad():
        told = module(given)
    module.eval()
    return told.double().numpy()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the study from the command line."""
    # No twelve markets of these hours are at hand.
    return casework.main(study, codes=CODES, doc=__doc__, real=False, extras=["torch"], argv=argv)


if __name__ == "__main__":
    raise SystemExit(main())
