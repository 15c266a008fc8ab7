"""What a session is asked to be: its arguments, checked, and what its log says of them."""

from __future__ import annotations

import time as clocks
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from barproof._account import check_limits
from barproof.bundle import Bundle
from barproof.candles import Candles, Instrument
from barproof.candles.instrument import as_instrument
from barproof.candles.interval import parse_interval
from barproof.errors import LayoutError, ParameterError
from barproof.features import FeatureSet
from barproof.live.identity import code_version
from barproof.live.state import FORMAT
from barproof.rules import Costs, Rules

__all__ = ["CatchUp", "Gap", "Terms", "read_markets"]

Gap = Literal["raise", "accept"]
CatchUp = Callable[[str, int, int], Iterable[Any]]


def _wall() -> int:
    return clocks.time_ns() // 1_000_000


@dataclass
class Terms:
    """Arguments of a session. `bundles` and `book` change when it rolls, `names` when it finds a state."""

    bundles: dict[str, Bundle]
    book: list[Rules]
    costs: Costs
    interval_ms: int
    instruments: dict[str, Instrument]
    funding: str
    initial_equity: float
    features: FeatureSet | None
    clock: Callable[[], int]
    gap: Gap | CatchUp
    patience: int | None
    watch: Any
    log_features: bool
    max_skew: int
    checkpoint_bars: int
    on_grid: bool
    names: dict[str, list[str]]
    code: str
    account: str = "own"
    max_positions: int | None = None
    max_gross: float | None = None

    @property
    def symbols(self) -> tuple[str, ...]:
        """That are traded."""
        return tuple(self.bundles)

    def pays(self, symbol: str) -> bool:
        """Whether funding is charged on a symbol."""
        return self.funding != "none" and self.instruments[symbol].kind == "perpetual"

    def facts(self) -> dict[str, Any]:
        """Gather what is said of them in a log, beside models and features."""
        limits = {
            name: {
                "kind": one.kind,
                "maintenance": one.maintenance,
                "lot": one.lot,
                "min_notional": one.min_notional,
            }
            for name, one in self.instruments.items()
        }
        taker, maker, slippage = self.costs._tuple()
        return {
            "format": FORMAT,
            "interval_us": self.interval_ms * 1000,
            "symbols": list(self.symbols),
            "rules": self.book[-1].to_dict(),
            "book": [one.to_dict() for one in self.book],
            "costs": {"taker": taker, "maker": maker, "slippage": slippage},
            "instrument": limits[self.symbols[0]],
            "instruments": limits,
            "initial_equity": self.initial_equity,
            "funding": self.funding,
            "watch_digest": None if self.watch is None else self.watch.digest,
            "code": self.code,
            **(
                {}
                if self.account == "own"
                else {
                    "account": self.account,
                    "max_positions": self.max_positions,
                    "max_gross": self.max_gross,
                }
            ),
        }

    @classmethod
    def read(
        cls,
        bundles: dict[str, Bundle],
        books: Mapping[str, Candles],
        rules: Rules,
        *,
        costs: Costs,
        interval: str | None,
        instrument: Instrument | str | None,
        funding: str,
        initial_equity: float,
        features: FeatureSet | None,
        clock: Callable[[], int] | None,
        gap: Gap | CatchUp | None,
        patience: int | None,
        watch: Any,
        log_features: bool,
        max_skew: int,
        checkpoint_bars: int,
        account: str,
        max_positions: int | None,
        max_gross: float | None,
    ) -> Terms:
        """Check the arguments of :class:`barproof.LiveSession`."""
        if not isinstance(rules, Rules):
            raise LayoutError(
                f"`rules` of a live session must be Rules, was {type(rules).__name__}: roll(..., rules=) changes them"
            )
        if not isinstance(costs, Costs):
            raise LayoutError(
                f"`costs` of a live session must be Costs, was {type(costs).__name__}: use Costs(taker=...)"
            )
        if funding not in ("events", "none"):
            raise ParameterError(f'`funding` must be "events" or "none", was {funding!r}')
        if account not in ("own", "shared"):
            raise ParameterError(f'`account` must be "own" or "shared", was {account!r}')
        if account == "own" and (max_positions is not None or max_gross is not None):
            raise ParameterError(
                '`max_positions` and `max_gross` are limits of a shared account: say account="shared"'
            )
        first = next(iter(books.values()), None)
        if interval is None and first is None:
            raise ParameterError(
                '`interval` of a live session is not known: give it, such as interval="5m", or candles= to start warm'
            )
        if instrument is None and first is None:
            raise ParameterError(
                '`instrument` of a live session is not known: give it, such as instrument="perpetual", or candles='
            )
        if not 0.0 < float(initial_equity) < float("inf"):
            raise ParameterError(f"`initial_equity` must be finite and > 0, was {initial_equity!r}")
        for name, value, least in (
            ("checkpoint_bars", checkpoint_bars, 1),
            ("max_skew", max_skew, 0),
            ("patience", 1 if patience is None else patience, 1),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ParameterError(f"`{name}` must be a whole number >= {least}, was {value!r}")
        instruments = {
            name: books[name].instrument if instrument is None and name in books else
            (as_instrument(instrument) if instrument is not None else first.instrument)  # type: ignore[union-attr]
            for name in bundles
        }  # fmt: skip
        around = all(one.kind in ("perpetual", "spot") for one in instruments.values())
        missing: Gap | CatchUp = gap if gap is not None else ("raise" if around else "accept")
        if not callable(missing) and missing not in ("raise", "accept"):
            raise ParameterError(
                f'`gap` must be "raise", "accept" or a function of symbol, first and end, was {gap!r}'
            )
        return cls(
            bundles,
            [rules],
            costs,
            parse_interval(interval) if interval else first.interval_ms,  # type: ignore[union-attr]
            instruments,
            funding,
            float(initial_equity),
            features,
            _wall if clock is None else clock,
            missing,
            patience,
            watch,
            log_features,
            max_skew,
            checkpoint_bars,
            around,
            {name: list(one.features) for name, one in bundles.items()},
            code_version(),
            account,
            *check_limits(max_positions, max_gross, float(initial_equity), instruments.values()),
        )


def read_markets(
    bundle: Any, candles: Any, symbol: str | None
) -> tuple[dict[str, Bundle], dict[str, Candles]]:
    """Bundles and candles by symbol."""
    if isinstance(bundle, Bundle):
        if symbol is None:
            symbol = candles.symbol if isinstance(candles, Candles) else None
        if symbol is None:
            symbol = "UNKNOWN"
        bundles = {symbol: bundle}
    elif isinstance(bundle, Mapping) and bundle:
        bundles = {str(name): one for name, one in bundle.items()}
    else:
        raise LayoutError(
            f"`bundle` must be a Bundle or a dict of symbol to Bundle, was {type(bundle).__name__}: see run.bundles"
        )
    for name, one in bundles.items():
        if not isinstance(one, Bundle):
            raise LayoutError(
                f"`bundle` of {name} must be a Bundle, was {type(one).__name__}: see run.bundles"
            )
    if candles is None:
        return bundles, {}
    books = {next(iter(bundles)): candles} if isinstance(candles, Candles) else candles
    if not isinstance(books, Mapping) or not all(isinstance(c, Candles) for c in books.values()):
        raise LayoutError(
            f"`candles` of a live session must be Candles or a dict of symbol to Candles, was {type(candles).__name__}"
        )
    return bundles, dict(books)
