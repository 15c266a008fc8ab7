"""What `import barproof` costs."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = [
    "pandas",
    "scipy",
    "sklearn",
    "skops",
    "plotly",
    "torch",
    "xgboost",
    "lightgbm",
    "ray",
    "pydantic",
    "typer",
    "rich",
    "pyarrow",
    "exchange_calendars",
    "ccxt",
    "optuna",
]

CODE = """
import json, sys, time
import numpy, polars
before = set(sys.modules)
began = time.perf_counter()
import barproof
seconds = time.perf_counter() - began
loaded = sorted({name.split(".")[0] for name in sys.modules})
more = sorted({name.split(".")[0] for name in set(sys.modules) - before})
print(json.dumps({"seconds": seconds, "loaded": loaded, "more": more}))
"""


def test_import_loads_numpy_and_polars_only(record_property: object) -> None:
    out = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", CODE], capture_output=True, text=True, check=True
    )
    told = json.loads(out.stdout)
    assert [name for name in HEAVY if name in told["loaded"]] == []
    standard = set(sys.stdlib_module_names)
    assert [
        n for n in told["more"] if n not in standard and n not in ("barproof", "polars", "numpy")
    ] == []
    record_property("import_seconds", told["seconds"])  # type: ignore[operator]


def test_every_public_name_is_there_and_documented() -> None:
    import barproof

    for name in barproof.__all__:
        thing = getattr(barproof, name)
        assert name == "__version__" or thing.__doc__, name
