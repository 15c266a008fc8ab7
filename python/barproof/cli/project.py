"""The files that ``barproof init`` writes, as text."""

from __future__ import annotations

import json
import os
from pathlib import Path

from barproof.candles import Instrument
from barproof.cli.inputs import Market

__all__ = ["files_of"]

_CONFIG = """\
# What the study is made of; options of the command line win over it.

[candles]
source = {source}
instrument = {instrument}
{paid}
[features]
names = ["log_return(12)", "rsi(14)", "atr_ratio(14)", {flow}]

[labels]
bars = 24
threshold = 0.004

[model]
name = "logistic"
seed = 7

[folds]
train = {train}
tune = {tune}
test = {test}

[rules]
max_hold = 24

[costs]
taker = 0.0005
slippage = 0.0001

[grid]
together = [{{ entry_long = [0.36, 0.40, 0.44], entry_short = [0.36, 0.40, 0.44] }}]
axes = {{ stop_loss = [0.02, 0.03, "none"] }}
"""

_STUDY = '''\
"""From candles to a verdict: run it with ``python study.py``, then change it."""

import barproof as bp

candles = bp.read_candles({read})

# What a model may know at each close; none of it looks ahead.
features = bp.FeatureSet(["log_return(12)", "rsi(14)", "atr_ratio(14)", {flow}])
X = features.compute(candles)

# What it is asked to foresee: a move of more than 0.4% within 24 bars.
labels = bp.labels.horizon(candles, bars=24, threshold=0.004)

# Train, then tune, then judge, always forward in time.
folds = bp.WalkForward(train={train}, tune={tune}, test={test})
run = bp.train(bp.models.Logistic(), X, labels, folds, seed=7)

# Rules are chosen on tune bars and judged on test bars.
costs = bp.Costs(taker=0.0005, slippage=0.0001)
pairs = {{"entry_long": [0.36, 0.40, 0.44], "entry_short": [0.36, 0.40, 0.44]}}
grid = bp.Grid(bp.Rules(max_hold=24), pairs, stop_loss=[0.02, 0.03, None])
result = bp.walk_forward_optimise(run, grid, costs=costs, metric="sharpe")

report = bp.audit(candles=candles, features=features, labels=labels, run=run, result=result)
print(result.stats())
found = {{finding.id: f": {{finding.title}}" for finding in report.findings}}
print(report.verdict, *(why + found.get(why.split()[0], "") for why in report.reasons), sep="\\n  ")
print("the page:", report.to_html("report.html"))
'''

_README = """\
# {name}

{market}

```
python study.py                        # the study as a program; writes report.html
barproof check                         # the candles, and every fault in them
barproof audit --run --html report.html   # the same study from barproof.toml
barproof ledger list                   # everything that was run here
```

`barproof.toml` holds the study for the command line, `study.py` the same one in Python; change both, or drop one.
`data/` is left out of version control. Every run is counted in `.barproof/ledger.sqlite`: the more was tried on the
same candles, the less the best of it proves.
"""

_SIMULATED = """\
The market in `data/` is simulated, with a small edge in it, so that the truth is known; its numbers say nothing about
any real market. Fetch a real one, and name its files in `barproof.toml` and `study.py`:

```
barproof fetch BTCUSDT -i perpetual --interval 5m --start 2024-01-01 --archive binance --out data
```"""

_IGNORED = """\
# What can be made again. The ledger in .barproof/ is kept: it counts what was tried.
__pycache__/
.fetch/
/data/
/report.html
/study/
"""

_DAYS = ('"60d"', '"14d"', '"14d"')
_SHARES = ("0.5", "0.1", "0.1")


def files_of(name: str, market: Market | None, place: Path) -> dict[str, str]:
    """Write the files of a project.

    Parameters
    ----------
    name : str
        Title of its README.
    market : Market or None
        Candles of the user's own, which were read; None for the simulated ones in ``data/``.
    place : Path
        Where the project will be, from which paths are told.

    Returns
    -------
    dict of str to str
        Path within the project, and text.
    """
    paid: str | None = "data/sim_funding.parquet"
    if market is None:
        source, kind = "data/sim_5m.parquet", "perpetual"
        flow, parts, told = "ema(taker_imbalance(), 12)", _DAYS, _SIMULATED
    else:
        source = _from(market.source, place)
        kind = (
            market.instrument.kind
            if isinstance(market.instrument, Instrument)
            else market.instrument
        )
        paid = (
            market.funding
            if market.funding in (None, "none")
            else _from(Path(market.funding), place)
        )
        flow, parts = "zscore(volume, 48)", _SHARES
        told = f"Candles: `{source}`."
    train, tune, test = parts
    read = [_text(source), f"instrument={_text(kind)}"]
    if paid is not None:
        read.append(f"funding={_text(paid)}")
    settled = "" if paid is None else f"funding = {_text(paid)}\n"
    filled = {"flow": _text(flow), "train": train, "tune": tune, "test": test}
    return {
        "barproof.toml": _CONFIG.format(
            source=_text(source), instrument=_text(kind), paid=settled, **filled
        ),
        "study.py": _STUDY.format(read=", ".join(read), **filled),
        "README.md": _README.format(name=name, market=told),
        ".gitignore": _IGNORED,
        ".barproof/README": "The ledger: what was run in this project, one row a run. See `barproof ledger --help`.\n",
        "data/README": "Candles and funding; `barproof fetch --out data` writes here.\n",
    }


def _from(path: Path, place: Path) -> str:
    """Tell a path from the project's folder; from the root where it lies elsewhere altogether."""
    try:
        told = os.path.relpath(path.absolute(), place)
    except ValueError:  # another drive
        told = str(path.absolute())
    return (str(path.absolute()) if told.count("..") > 2 else told).replace(os.sep, "/")


def _text(value: str) -> str:
    """Quote a text as both TOML and Python read it."""
    return json.dumps(value, ensure_ascii=False)
