"""`Watch`: what a live model sees and does, against what it was made from; bar by bar, in flat memory.

Four things are watched. *Drift*: the population stability index of every feature and of the probabilities over the
deciles of a reference, on the last `window` to twice as many rows. *Rate*: trades entered, against the trades a day
that a claim promises. *Calibration*: outcomes against probabilities, as labels mature. Drift is judged at fixed rows,
beyond what chance gives rows that hang together. Rate and calibration are judged at every bar, so their tests must
hold for whoever looks at every bar: both are test martingales, products of likelihood ratios with mean 1 under the
null, which exceed ``1 / level`` at any time with a probability of at most `level` (J. Ville 1939).
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barproof import _core
from barproof.errors import LayoutError, ParameterError
from barproof.live.reference import BINS, Floats, WatchReference, packed, unpacked

__all__ = ["Watch", "WatchReference"]

Counts = NDArray[np.int64]

DAY = 86_400_000_000
SHIFT = 0.5
"""Shift of the log odds that the test of calibration is most powerful against."""
PRIOR = 1.0
"""Shape of the gamma distribution of rates that the test of the rate looks for."""
LARGEST = 700.0


class Watch:
    """Watch a live model, and withhold its entries by rules that you set.

    Parameters
    ----------
    reference : WatchReference
        What is normal.
    feature_psi : float, optional
        Index of a feature at which entries are withheld, such as 0.25. Default: none are.
    probability_psi : float, optional
        The same for the probabilities.
    rate : float, optional
        Trades a day that are claimed: entries are withheld once the trades contradict it, whether they are too few or
        too many.
    calibration : bool, default False
        Withhold entries once the outcomes contradict the probabilities. Needs labels of
        :func:`barproof.labels.horizon`, or :meth:`mature`.
    outside : float, optional
        Withhold the entry of a bar at which a feature lies further outside of the reference's deciles than so many
        times their range: a broken feed, another unit.
    level : float, default 0.01
        Probability at which the tests speak where nothing is wrong: of rate and calibration over the whole life of
        the watch, of drift a time that it is judged, over all columns.
    window : int, default 1000
        Rows in which drift is looked for; between one and two windows are held.
    every : int, default 50
        Rows from one judgement of drift to the next.

    Raises
    ------
    ParameterError
        If a number is out of bounds, or calibration is asked of a model whose labels bars do not decide.
    LayoutError
        If `reference` is none.

    Notes
    -----
    The rate is tested by ``n! (1 + m)^-(n+1) e^m`` with n trades and m expected ones: the likelihood ratio of a Poisson
    process whose rate has an exponential prior around the claim. Calibration is tested on labels that do not overlap
    by the mean of two likelihood ratios, of log odds half a unit higher and lower.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(1, bars=900, edge=0.2)
    >>> X = candles.to_polars().select("open_time", score=candles.planted)
    >>> labels = bp.labels.horizon(candles, bars=3, kind="binary")
    >>> run = bp.train(bp.models.Logistic(), X, labels, bp.WalkForward(400, 200, tune=100), ledger=False)
    >>> watch = Watch(WatchReference.of(run.bundles[0], X[500:700]), outside=3.0)
    >>> watch.update(np.array([0.1]), {"long": 0.5}, time=0) is None
    True
    >>> watch.update(np.array([900.0]), {"long": 0.5}, time=300_000_000)
    '`score` is 900, far outside of the reference, ...
    """

    def __init__(
        self,
        reference: WatchReference,
        *,
        feature_psi: float | None = None,
        probability_psi: float | None = None,
        rate: float | None = None,
        calibration: bool = False,
        outside: float | None = None,
        level: float = 0.01,
        window: int = 1_000,
        every: int = 50,
    ) -> None:
        if not isinstance(reference, WatchReference):
            raise LayoutError(
                f"`reference` must be a WatchReference, was {type(reference).__name__}: use "
                "WatchReference.of(bundle, X)"
            )
        for name, value in (
            ("feature_psi", feature_psi),
            ("probability_psi", probability_psi),
            ("rate", rate),
            ("outside", outside),
        ):
            if value is not None and not (0.0 < float(value) < math.inf):
                raise ParameterError(f"`{name}` of the watch must be finite and > 0, was {value!r}")
        if not 0.0 < level < 1.0:
            raise ParameterError(f"`level` of the watch must lie in (0, 1), was {level!r}")
        for name, count, least in (("window", window, 100), ("every", every, 1)):
            if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < least:
                raise ParameterError(
                    f"`{name}` of the watch must be a whole number of rows, at least {least}, was {count!r}"
                )
        self.reference = reference
        self.feature_psi = feature_psi
        self.probability_psi = probability_psi
        self.rate = rate
        self.calibration = bool(calibration)
        self.outside = outside
        self.level = float(level)
        self.window, self.every = int(window), int(every)
        self._bounds = _bounds(reference, self.level)
        self._low, self._high = reference.edges[:, 0], reference.edges[:, -1]
        self._flat = np.arange(len(reference.names)) * BINS
        self._start()

    def _start(self) -> None:
        """Forget everything that was seen."""
        shape = (len(self.reference.names), BINS)
        self._now: Counts = np.zeros(shape, dtype=np.int64)
        self._before: Counts = np.zeros(shape, dtype=np.int64)
        self._rows = 0
        self._psi: Floats = np.full(shape[0], np.nan)
        self._drifting: list[str] = ["", ""]
        self._began: int | None = None
        self._last: int | None = None
        self._entries = 0
        self._bars: list[list[float]] = []
        self._open: list[list[float]] = []
        self._seen = 0
        self._free_from = -1
        self._ratios = [0.0, 0.0]
        self._matured = 0
        self._hits = 0.0
        self._said = 0.0
        self._alarms: dict[str, str] = {}

    @property
    def digest(self) -> str:
        """Identity of reference and rules, 64 hexadecimal digits."""
        rules = (
            self.feature_psi,
            self.probability_psi,
            self.rate,
            self.calibration,
            self.outside,
            self.level,
            self.window,
            self.every,
        )
        return _core.digest("watch/1", [self.reference.digest, *map(repr, rules)])

    def fresh(self) -> Watch:
        """Make an unused watch of the same reference and rules.

        Returns
        -------
        Watch
            That has seen nothing, for another symbol.
        """
        return Watch(
            self.reference,
            feature_psi=self.feature_psi,
            probability_psi=self.probability_psi,
            rate=self.rate,
            calibration=self.calibration,
            outside=self.outside,
            level=self.level,
            window=self.window,
            every=self.every,
        )

    def update(
        self,
        row: Floats,
        signals: Mapping[str, float],
        *,
        time: int,
        bar: Sequence[float] | None = None,
        entries: int = 0,
    ) -> str | None:
        """Take the row and the probabilities of a closed bar.

        Parameters
        ----------
        row : ndarray of shape (n_features,), float64
            In the order of the model; NaN where undefined.
        signals : mapping of str to float
            `long` and `short`: what the model says at this close.
        time : int
            Opening time of the bar, microseconds UTC, later than the one before.
        bar : sequence of float, optional
            Open, high, low and close, from which labels mature.
        entries : int, default 0
            Trades that were entered since the last update.

        Returns
        -------
        str or None
            Why entries are withheld at this bar; None where they are not.

        Raises
        ------
        ParameterError
            If the row is not of the reference's features, or time goes back.
        """
        values = np.asarray(row, dtype=np.float64)
        k = self.reference.features
        if values.shape != (k,):
            raise ParameterError(
                f"`row` of the watch must hold the {k} features of its reference, had shape {values.shape}"
            )
        if self._last is not None and time <= self._last:
            raise ParameterError(
                f"`time` of the watch must come after {self._last} us, was {time}: give each bar once, in order"
            )
        said = [float(signals.get(n[2:], math.nan)) for n in self.reference.names[k:]]
        every = np.concatenate([values, said])
        self._count(every)
        if self._began is None:
            self._began = time
        self._last = time
        self._entries += int(entries)
        if bar is not None:
            self._foresee(bar, float(signals.get("long", math.nan)))
        return self._reason(values)

    # --- drift ----------------------------------------------------------------------------------------------------

    def _count(self, values: Floats) -> None:
        there = ~np.isnan(values)
        place = (values[:, None] >= self.reference.edges).sum(axis=1)
        self._now.reshape(-1)[(self._flat + place)[there]] += 1
        self._rows += 1
        if self._rows % self.every == 0:
            self._judge()
        if self._rows % self.window == 0:
            self._before, self._now = self._now, np.zeros_like(self._now)

    def _judge(self) -> None:
        """Index of every column over the rows that are held, against its bound."""
        counts = (self._now + self._before).astype(np.float64)
        total = counts.sum(axis=1)
        shares = self.reference.shares
        with np.errstate(divide="ignore", invalid="ignore"):
            # Half an observation where a bin is empty on one side alone, as in stats.psi.
            a = np.where(counts > 0, counts, 0.5) / total[:, None]
            e = np.where(
                shares > 0, shares, 0.5 / (self.reference.worth * self.reference.pace)[:, None]
            )
            terms = np.where((counts == 0) & (shares == 0), 0.0, (a - e) * np.log(a / e))
            self._psi = np.where(total > 0, terms.sum(axis=1), np.nan)
            worth = np.maximum(total / self.reference.pace, 1.0)
            bound = self._bounds * (1.0 / worth + 1.0 / np.maximum(self.reference.worth, 1.0))
        real = (self._psi > bound) & (worth >= BINS) & (self.reference.worth >= BINS)
        k = self.reference.features
        self._drifting = [
            self._drift(slice(0, k), real, bound, total, self.feature_psi, "PAR-06"),
            self._drift(slice(k, None), real, bound, total, self.probability_psi, "DEC-04"),
        ]

    def _drift(
        self, part: slice, real: Any, bound: Floats, total: Floats, rule: float | None, code: str
    ) -> str:
        """Say which of some columns drifted most beyond what chance gives; empty if none."""
        if rule is None:
            return ""
        index = np.where(real[part] & (self._psi[part] >= rule), self._psi[part], -1.0)
        if not len(index) or index.max() < 0:
            return ""
        j = int(np.argmax(index)) + (part.start or 0)
        return (
            f"drift of `{self.reference.names[j]}`: PSI {self._psi[j]:.3g} over {int(total[j]):,} bars, chance gives "
            f"up to {bound[j]:.2g} ({code})"
        )

    # --- calibration ----------------------------------------------------------------------------------------------

    def _foresee(self, bar: Sequence[float], p: float) -> None:
        """Keep the bar, and settle the labels that it ends."""
        rule = self.reference.label
        if rule is None:
            return
        open_, _, _, close = (float(v) for v in bar)
        reach = rule["bars"] + rule["lead"]
        price = open_ if rule["lead"] else close
        self._bars.append([self._seen, price])
        del self._bars[: -(reach + 1)]
        while self._open and self._open[0][0] + reach <= self._seen:
            number, foreseen = self._open.pop(0)
            begin = [b[1] for b in self._bars if b[0] == number + rule["lead"]]
            if begin:
                rise = price / begin[0] - 1.0
                self._settle(int(number), foreseen, float(rise > rule["threshold"]), reach)
        if not math.isnan(p):
            self._open.append([self._seen, p])
        self._seen += 1

    def mature(self, p: float, outcome: float) -> None:
        """Tell what became of a probability, where labels are not those of a horizon.

        Parameters
        ----------
        p : float
            What the model said of `long`.
        outcome : float
            1 if it came so, else 0. Of labels that overlap give every one that begins after the last one ended.

        Raises
        ------
        ParameterError
            If `p` is no probability or `outcome` neither 0 nor 1.
        """
        if not 0.0 <= p <= 1.0 or outcome not in (0, 1):
            raise ParameterError(
                f"`p` must lie in [0, 1] and `outcome` be 0 or 1, were {p!r} and {outcome!r}"
            )
        self._settle(self._free_from, float(p), float(outcome), 0)

    def _settle(self, number: int, p: float, hit: float, reach: int) -> None:
        """Take the outcome of a forecast into hits and, where it shares no bar with the last, into the ratios."""
        self._matured += 1
        self._hits += hit
        self._said += p
        if number < self._free_from:
            # It shares bars with one that was counted: no independent draw of the forecast.
            return
        self._free_from = number + reach
        odds = _clamped(p)
        for i, shift in enumerate((SHIFT, -SHIFT)):
            other = 1.0 / (1.0 + math.exp(-(math.log(odds / (1.0 - odds)) + shift)))
            ratio = math.log(other / odds) if hit else math.log((1.0 - other) / (1.0 - odds))
            self._ratios[i] += ratio

    # --- reasons --------------------------------------------------------------------------------------------------

    def _reason(self, values: Floats) -> str | None:
        self._alarm()
        reasons = [self._far(values), *self._drifting, *self._alarms.values()]
        return "; ".join(text for text in reasons if text) or None

    def _far(self, values: Floats) -> str:
        """Say which feature of a row lies furthest outside of its reference; empty if none is far."""
        if self.outside is None:
            return ""
        k = self.reference.features
        low, high = self._low[:k], self._high[:k]
        with np.errstate(invalid="ignore"):
            away = np.maximum(values - high, low - values) / (high - low)
        away = np.where(np.isfinite(away), away, -1.0)
        j = int(np.argmax(away)) if k else 0
        if not k or away[j] <= self.outside:
            return ""
        return (
            f"`{self.reference.names[j]}` is {values[j]:.6g}, far outside of the reference, whose deciles reach from "
            f"{low[j]:.6g} to {high[j]:.6g}"
        )

    def _alarm(self) -> None:
        """Speak once for good: a claim that was refuted is not restored by luck."""
        bound = math.log(1.0 / self.level)
        if self.rate is not None and "rate" not in self._alarms:
            expected = self._expected()
            if self._rate_evidence() >= bound:
                self._alarms["rate"] = (
                    f"{self._entries:,} trades where {expected:.3g} were claimed contradict {self.rate:g} a day at "
                    f"{self.level:g} (CLM-10)"
                )
        asked = self.calibration and "calibration" not in self._alarms
        if asked and self._calibration_evidence() >= bound:
            n = self._matured
            self._alarms["calibration"] = (
                f"{self._hits / n:.1%} of {n:,} outcomes came true where {self._said / n:.1%} were foreseen: "
                f"probabilities are refuted at {self.level:g} (CAL-01)"
            )

    def _expected(self) -> float:
        if self.rate is None or self._began is None or self._last is None:
            return 0.0
        return self.rate * (self._last - self._began) / DAY

    def _rate_evidence(self) -> float:
        n, m = self._entries, self._expected()
        return math.lgamma(n + PRIOR) - (n + PRIOR) * math.log1p(m) + m

    def _calibration_evidence(self) -> float:
        up, down = (min(r, LARGEST) for r in self._ratios)
        top = max(up, down)
        return top + math.log(0.5 * (math.exp(up - top) + math.exp(down - top)))

    def report(self) -> dict[str, Any]:
        """Tell what was measured last.

        Returns
        -------
        dict
            `rows`; `psi` by column (None before the first judgement); `trades`, `expected_trades` and `rate_evidence`
            (a likelihood ratio; None without a rate); `matured`, `foreseen`, `came_true` and `calibration_evidence`;
            `withheld`, the reasons in force.
        """
        n = self._matured
        psi = {
            name: None if math.isnan(value) else float(value)
            for name, value in zip(self.reference.names, self._psi, strict=True)
        }
        return {
            "rows": self._rows,
            "psi": psi,
            "trades": self._entries,
            "expected_trades": self._expected() if self.rate is not None else None,
            "rate_evidence": _exp(self._rate_evidence()) if self.rate is not None else None,
            "matured": n,
            "foreseen": self._said / n if n else None,
            "came_true": self._hits / n if n else None,
            "calibration_evidence": _exp(self._calibration_evidence()) if n else None,
            "withheld": [text for text in (*self._drifting, *self._alarms.values()) if text],
        }

    # --- state ----------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Give all that was seen, as plain values that JSON can hold.

        Returns
        -------
        dict
            Of fixed size: some 120 bytes a column, and 40 a bar of the horizon where labels mature from bars.
        """
        return {
            "watch": self.digest,
            "rows": self._rows,
            "now": _thin(self._now),
            "before": _thin(self._before),
            "psi": packed(self._psi),
            "drifting": list(self._drifting),
            "began": self._began,
            "last": self._last,
            "entries": self._entries,
            "bars": [list(b) for b in self._bars],
            "open": [list(o) for o in self._open],
            "seen": self._seen,
            "free_from": self._free_from,
            "ratios": list(self._ratios),
            "matured": self._matured,
            "hits": self._hits,
            "said": self._said,
            "alarms": dict(self._alarms),
        }

    def restored(self, state: Mapping[str, Any]) -> Watch:
        """Make a watch that goes on from a state, with the same bits.

        Parameters
        ----------
        state : mapping
            As :meth:`state` gave it, of a watch of the same reference and rules.

        Returns
        -------
        Watch
            With these rules.

        Raises
        ------
        ParameterError
            If the state is of another watch.
        """
        if state.get("watch") != self.digest:
            raise ParameterError(
                f"the state is of the watch {str(state.get('watch'))[:12]}, this one is {self.digest[:12]}: reference "
                "or rules differ, start a fresh one"
            )
        new = self.fresh()
        new._rows = int(state["rows"])
        new._now, new._before = (_thick(state[n], new._now.shape) for n in ("now", "before"))
        new._psi = unpacked(state["psi"])
        new._drifting = list(state["drifting"])
        new._began, new._last = state["began"], state["last"]
        new._entries = int(state["entries"])
        new._bars = [list(b) for b in state["bars"]]
        new._open = [list(o) for o in state["open"]]
        new._seen, new._free_from = int(state["seen"]), int(state["free_from"])
        new._ratios = list(state["ratios"])
        new._matured = int(state["matured"])
        new._hits, new._said = float(state["hits"]), float(state["said"])
        new._alarms = dict(state["alarms"])
        return new

    def __repr__(self) -> str:
        rules = {
            "feature_psi": self.feature_psi,
            "probability_psi": self.probability_psi,
            "rate": self.rate,
            "calibration": self.calibration or None,
            "outside": self.outside,
        }
        told = ", ".join(f"{k}={v!r}" for k, v in rules.items() if v is not None) or "no rule"
        return f"Watch({self.reference.features} features, {told}, {self._rows:,} rows)"


def _bounds(reference: WatchReference, level: float) -> Floats:
    """Quantile of chi-square of each column's bins, where one of all columns may exceed it by chance."""
    from scipy.stats import chi2

    filled = np.nan_to_num(reference.shares > 0).sum(axis=1)
    count = max(1, int((filled > 1).sum()))
    out: Floats = np.asarray(chi2.ppf(1.0 - level / count, np.maximum(filled - 1, 1)), np.float64)
    return out


def _clamped(p: float) -> float:
    """Probabilities of 0 and 1 would make one miss infinite evidence."""
    return min(max(p, 1e-6), 1.0 - 1e-6)


def _exp(value: float) -> float:
    return math.exp(min(value, LARGEST))


def _thin(counts: Counts) -> str:
    # A bin holds no more rows than a window, which fits.
    return base64.b64encode(counts.astype("<u4").tobytes()).decode()


def _thick(text: str, shape: tuple[int, ...]) -> Counts:
    held = np.frombuffer(base64.b64decode(text), dtype="<u4").astype(np.int64)
    return held.reshape(shape)
