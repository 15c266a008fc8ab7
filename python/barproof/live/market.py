"""One symbol of a live session: its features, its model's signals, what it asks of its account."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from barproof import _core
from barproof._run import ONLY, SIDES
from barproof.bundle import Bundle
from barproof.candles import Candles, Instrument
from barproof.candles.interval import format_interval
from barproof.errors import BarproofError, BundleError
from barproof.features import FeatureSet
from barproof.features.settlements import Settlements
from barproof.live.accounts import Asked, Fed
from barproof.live.arrivals import Row
from barproof.live.asking import RowAsker
from barproof.live.decision import Decision
from barproof.live.identity import row_digest
from barproof.rules import Rules

__all__ = ["LiveMarket", "arrays_of"]

Floats = NDArray[np.float64]
_NAN = math.nan


def arrays_of(bundle: Bundle, rules: Rules) -> tuple[str, ...]:
    """Arrays of signals that a bundle feeds; the other side's entry closes where rules ask and no part does."""
    out = ["long", "short"] if set(bundle.parts) == {ONLY} else list(bundle.parts)
    for leave, enter in (("exit_long", "short"), ("exit_short", "long")):
        if getattr(rules, leave) is not None and leave not in out and enter in out:
            out.append(leave)
    return tuple(name for name in SIDES if name in out)


def kind_of(bundle: Bundle) -> Literal["probability", "score"]:
    """Tell the kind of the signals that a bundle gives: values of a regression are scores."""
    return "score" if next(iter(bundle.parts.values())).kind == "regression" else "probability"


class LiveMarket:
    """What a session keeps of one symbol between bars."""

    def __init__(
        self,
        symbol: str,
        bundle: Bundle,
        book: Sequence[Rules],
        *,
        names: Sequence[str],
        instrument: Instrument,
        interval_ms: int,
        features: FeatureSet | None,
        watch: Any,
    ) -> None:
        self.symbol = symbol
        self.interval_ms = interval_ms
        self.instrument = instrument
        self.names = tuple(names)
        try:
            self.features = FeatureSet(list(names)) if features is None else features
            lacking = [name for name in names if name not in self.features.names]
            if lacking:
                raise BundleError(
                    f"`features` lack {len(lacking)} of the {len(names)} columns of the bundle, first `{lacking[0]}`: "
                    "give the set that it was trained on"
                )
            named = bool(self.features.symbols)
            self.stream = self.features.stream(
                format_interval(interval_ms), symbol=symbol if named else None
            )
        except BundleError:
            raise
        except BarproofError as error:
            raise BundleError(
                f"features of the bundle of {symbol} cannot be computed live: {error}; give features="
            ) from error
        at = [self.features.names.index(name) for name in names]
        self._take = None if at == list(range(len(self.features))) else np.array(at)
        self.feeds: tuple[str, ...] = self.stream.symbols or (symbol,)
        self.single = len(self.feeds) == 1
        self.plain: bool = self.stream._plain
        self.funded: bool = self.stream._funded
        self.rows: Floats = np.empty((0, 0))
        self.settlements = Settlements()
        self.pending: list[tuple[int, float]] = []
        self.watch = watch
        self.entered = 0
        self.last_decision: Decision | None = None
        self.last_close = _NAN
        self.use(bundle, book)

    def use(self, bundle: Bundle, book: Sequence[Rules]) -> None:
        """Ask this bundle from the next bar on."""
        self.bundle = bundle
        self.model = bundle.digest
        self.rules = book[-1]
        self.arrays = arrays_of(bundle, self.rules)
        self.kind = kind_of(bundle)
        self.askers = {
            name: RowAsker(
                part,
                np.array([self.names.index(f) for f in part.features], dtype=np.int64),
                len(self.names),
            )
            for name, part in bundle.parts.items()
        }
        window = max(part.window for part in bundle.parts.values())
        if len(self.rows) < window:
            grown = np.full((window, len(self.names)), _NAN)
            if len(self.rows):
                grown[-len(self.rows) :] = self.rows
            self.rows = grown

    @property
    def fed(self) -> Fed:
        """What the account is fed."""
        return Fed(self.kind, self.arrays)

    # Features -----------------------------------------------------------------------------------------------

    def warm(self, books: Mapping[str, Candles]) -> None:
        """Take history: features know it, nothing is decided on it."""
        mine = books[self.symbol]
        rows = self.stream.update_many(dict(books) if len(self.feeds) > 1 else mine)
        if self._take is not None:
            rows = rows[:, self._take]
        kept = min(len(rows), len(self.rows))
        if kept:
            self.rows[-kept:] = rows[-kept:]
        time, rate = mine._bars.funding_time, mine._bars.funding_rate
        if time is not None and rate is not None and len(time):
            self.settlements = self.settlements.joined_by(
                zip(time.tolist(), rate.tolist(), strict=True)
            )
            last = int(mine.open_time[-1])
            self.pending = [
                (int(t), float(r)) for t, r in zip(time, rate, strict=True) if int(t) > last
            ]
            self.settlements.keep(last)

    def settle(self, found: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
        """Take settlements that are later than the last known one; gives those."""
        before = self.settlements.last
        joined = self.settlements.joined_by(found)
        new = [one for one in joined._known if (before is None or one[0] > before)]
        self.settlements = joined
        self.pending += new
        if self.funded:
            for time, rate in new:
                self.stream.settle(time, rate)
        return new

    def due(self, open_time: int) -> tuple[list[int], list[float]]:
        """Settlements that are due in the bar, which are then forgotten."""
        if not self.pending:
            return [], []
        now = [one for one in self.pending if one[0] <= open_time]
        self.pending = [one for one in self.pending if one[0] > open_time]
        return [one[0] for one in now], [one[1] for one in now]

    def advance(self, bars: Mapping[str, Any]) -> Floats | None:
        """Take the bars of one time; gives the row, or None where the own symbol has no bar."""
        if self.symbol not in bars:
            others = {name: bars[name] for name in self.feeds if name in bars}
            if others:
                self.stream.feed(others)
            return None
        given = bars[self.symbol]
        if not self.single:
            given = {name: bars[name] for name in self.feeds if name in bars}
        row = self.stream.update(given)
        if self._take is not None:
            row = row[self._take]
        if len(self.rows) == 1:
            self.rows[0] = row
        else:
            self.rows[:-1] = self.rows[1:]
            self.rows[-1] = row
        return row

    # Account ------------------------------------------------------------------------------------------------

    def ask(
        self, bar: Row, row: Floats, said: Mapping[str, float]
    ) -> tuple[Asked, str | None, int]:
        """Give what the account is asked, why entries are withheld, and how many were entered before."""
        long, short = said.get("long", _NAN), said.get("short", _NAN)
        withheld, entered = None, self.entered
        if self.watch is not None:
            withheld = self.watch.update(
                row, said, time=bar[0] * 1000, bar=bar[1:5], entries=entered
            )
        if withheld is not None:
            long = short = _NAN
        out = said.get("exit_long", _NAN), said.get("exit_short", _NAN)
        times, rates = self.due(bar[0]) if self.pending else ([], [])
        return Asked(bar, times, rates, (long, short, *out, _NAN, _NAN, _NAN)), withheld, entered

    def decide(
        self,
        bar: Row,
        row: Floats,
        said: Mapping[str, float],
        after: Any,
        withheld: str | None,
        decided_at: int,
        code: str,
    ) -> Decision:
        """Say what to do, after the account took the bar."""
        decision = self._decision(bar, row, after, decided_at, code, withheld, said)
        # A trade within one bar, or a position that is there now and is not the one of the bar before.
        self.entered = 0
        if after[2] is not None:
            self.entered += sum(1 for time in after[2]["entry_time"] if time == bar[0])
        if after[3] is not None and after[3][1] == bar[0]:
            self.entered += 1
        self.last_decision, self.last_close = decision, bar[4]
        if self.settlements.crowded:
            self.settlements.keep(bar[0])
        return decision

    def _decision(
        self,
        bar: Row,
        row: Floats,
        after: Any,
        decided_at: int,
        code: str,
        withheld: str | None,
        said: Mapping[str, float],
    ) -> Decision:
        """Tell what the paper account holds and has in mind after a bar."""
        _, equity, _, held, leaving, planned, ruined = after
        close, interval = bar[4], self.interval_ms
        close_time = bar[0] + interval
        side = order = zone = stop = target = size = quantity = leverage = p = until = None
        action = "none"
        shown = held
        if held is not None:
            action, side = "hold", "long" if held[0] > 0 else "short"
        if leaving is not None:
            action = "exit"
        if planned is not None and planned[4] is not None:
            shown = planned[4]
            level = planned[1]
            side = "long" if planned[0] > 0 else "short"
            fresh = "enter" if leaving is None else "reverse"
            action = fresh if planned[3] else "wait"
            order = "market" if level is None else "limit"
            zone = (close, close) if level is None else (min(level, close), max(level, close))
            until = close_time + planned[2] * interval
        if shown is not None:
            quantity, size, leverage, stop, target = (
                shown[3], shown[4], shown[5], shown[6], shown[7]
            )  # fmt: skip
            p = shown[9]
            stop = None if stop != stop else stop
            target = None if target != target else target
        if ruined:
            action = "ruined"
        elif withheld is not None and action == "none":
            action = "withheld"
        long, short = said.get("long", _NAN), said.get("short", _NAN)
        exit_long, exit_short = said.get("exit_long", _NAN), said.get("exit_short", _NAN)
        return Decision(
            self.symbol,
            bar[0],
            close_time,
            decided_at,
            action,
            side,
            order,
            zone,
            stop,
            target,
            size,
            quantity,
            leverage,
            p,
            until,
            leaving,
            0 if held is None else held[0],
            equity,
            None if long != long else long,
            None if short != short else short,
            None if exit_long != exit_long else exit_long,
            None if exit_short != exit_short else exit_short,
            withheld,
            row_digest(row),
            self.feature_set,
            self.model,
            self.rules_digest,
            code,
        )

    def paper_price(self, side: str, reason: str | None) -> float | None:
        """Price that the last decision assumes for an order on this side, before slippage; None if it has none.

        An entry is at the zone's end that its order type names, an exit at its stop or target if the reason says so,
        else at the close, as it goes to the market.
        """
        d = self.last_decision
        if d is None:
            return None
        if d.action in ("enter", "reverse", "wait") and (side == "buy") == (d.side == "long"):
            assert d.entry_zone is not None
            return d.entry_zone[0 if d.side == "long" else 1]
        if d.position and (side == "sell") == (d.position > 0):
            if reason in ("stop", "stop_loss", "sl"):
                return d.stop
            if reason in ("take", "target", "take_profit", "tp"):
                return d.target
            return self.last_close
        return None

    @property
    def rules(self) -> Rules:
        """In force."""
        return self._rules

    @rules.setter
    def rules(self, rules: Rules) -> None:
        self._rules = rules
        self.rules_digest = rules.digest
        self.feature_set = _core.digest("features/1", list(self.names))

    # State --------------------------------------------------------------------------------------------------

    def save_account(self, account: bytes) -> bytes:
        """Put settlements that are not due yet, and what the next bar tells the watch, before the account."""
        head = json.dumps(
            {
                "pending": self.pending,
                "known": self.settlements.save(),
                "entered": self.entered,
            }
        ).encode()
        return len(head).to_bytes(4, "little") + head + account

    def load_account(self, body: bytes) -> bytes:
        """Take what :meth:`save_account` gave; gives the account."""
        size = int.from_bytes(body[:4], "little")
        told = json.loads(body[4 : 4 + size])
        self.pending = [(int(time), float(rate)) for time, rate in told["pending"]]
        self.settlements.load(told["known"])
        self.entered = int(told["entered"])
        return body[4 + size :]

    def save_features(self) -> bytes:
        """Save the stream, the last rows and the watch, from which bars go on."""
        held = io.BytesIO()
        watch = None if self.watch is None else self.watch.state()
        parts = (self.stream.snapshot(), self.rows.tobytes(), json.dumps(watch).encode())
        for part in parts:
            held.write(len(part).to_bytes(8, "little"))
            held.write(part)
        return held.getvalue()

    def load_features(self, body: bytes) -> None:
        """Take what :meth:`save_features` gave."""
        parts = []
        while body:
            size = int.from_bytes(body[:8], "little")
            parts.append(body[8 : 8 + size])
            body = body[8 + size :]
        self.stream.restore(parts[0])
        rows = np.frombuffer(parts[1], dtype=np.float64).reshape(-1, len(self.names))
        self.rows[-len(rows) :] = rows[-len(self.rows) :]
        watch = json.loads(parts[2])
        if self.watch is not None and watch is not None:
            self.watch = self.watch.restored(watch)
