"""`LiveSession`: the backtest, one closed bar at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from barproof.bundle import Bundle
from barproof.candles import Candles, Instrument
from barproof.candles.interval import format_interval
from barproof.candles.table import show_time
from barproof.errors import BundleError, FileError, LayoutError, ParameterError
from barproof.features import FeatureSet
from barproof.live.accounts import Fed
from barproof.live.decision import Decision
from barproof.live.intake import Intake, server_milliseconds
from barproof.live.market import arrays_of, kind_of
from barproof.live.resuming import check_features, check_same, resume
from barproof.live.settling import settle
from barproof.live.state import Store
from barproof.live.stepping import Stepper, micro
from barproof.live.terms import CatchUp, Gap, Terms, read_markets
from barproof.rules import Costs, Rules

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["LiveSession"]


class LiveSession:
    """Features, model, rules and a paper account on closed bars, one decision a bar.

    It is :func:`barproof.backtest` with ``engine="replay"`` stepped: the same code takes each bar, so that a backtest
    over the same candles has the same features and trades, bit for bit. No order is ever sent.

    With a `state` folder every bar clock is one synced transaction. After a kill at any instant the same call goes on
    where the last transaction stood, with the same bits; feed the bars after :attr:`last` again.

    Parameters
    ----------
    bundle : Bundle, or mapping of str to Bundle
        What to ask, by symbol where there are several; they trade in the order of the mapping.
    rules : Rules
        What turns predictions into trades. Where rules leave by a signal that no part of the bundle gives, the other
        side's entry signal closes a position, as ``run.signals(exit="opposite")`` has it.
    costs : Costs
        Of the paper account.
    state : path-like or None, default "state/"
        Folder of the log; made if it is not there. None keeps nothing.
    candles : Candles, or mapping of str to Candles, optional
        History for a warm start: features know it, nothing is decided on it. Only where the state is new.
    symbol, interval, instrument : optional
        Where neither `candles` nor a mapping of bundles says so: name, bar length such as ``"5m"``, kind or Instrument
        (default: that of the candles).
    funding : {"events", "none"}, default "events"
        Whether a perpetual pays funding, which then comes with bars or by :meth:`settle`.
    initial_equity : float, default 10,000
        Of each account, in quote.
    features : FeatureSet, optional
        Where the bundle's names do not make one: features of your own.
    clock : callable, optional
        Gives the time in milliseconds UTC. Default: that of the machine.
    gap : {"raise", "accept"} or callable, default "raise"
        What to do where bars are missing: refuse the bar; go on as a backtest over candles with a hole; or call
        ``gap(symbol, first, end)`` (opening times in milliseconds, the end left out) for the bars in between, which are
        taken first. Markets in sessions (equity, fx) accept by default.
    patience : int, optional
        With several symbols: bars that the others may be ahead before a missing bar is given up. Default: wait.
    watch : Watch, optional
        Decides when entries are withheld; a fresh copy for each symbol.
    log_features : bool, default False
        Keep the values of the features too, not only their digest.
    max_skew : int, default 1,000
        Milliseconds that the clock may be apart from a feed's ``server_time`` before it is reported.
    checkpoint_bars : int, default 256
        Bars between two saves of the features' state; a restart takes the bars since again.
    account : {"own", "shared"}, default "own"
        With several symbols: each has an account of its own, or all trade from one, as in :func:`barproof.portfolio`.
        Entries without room are events of the log.
    max_positions, max_gross : optional
        Limits of a shared account, as in :func:`barproof.portfolio`. Default: none.

    Attributes
    ----------
    symbols : tuple of str
        That are traded.
    feeds : tuple of str
        Whose bars it needs: the same, and symbols that features name.
    last : dict of str to int or None
        Opening time of the last bar taken, by feed, milliseconds UTC.
    skew : int or None
        Last known distance of the clock from that of the feed, milliseconds; positive where ours is ahead.

    Raises
    ------
    BundleError
        If features of the bundle cannot be computed, or the state is of another bundle.
    RulesError, ParameterError, LayoutError
        If an argument is wrong, or the state is of other rules, costs or markets.
    FileError
        If the folder cannot be written, or is damaged.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(7, bars=1_500)
    >>> X = bp.FeatureSet(["log_return(1)", "rsi(14)"]).compute(candles)
    >>> labels = bp.labels.horizon(candles, bars=3, kind="binary")
    >>> run = bp.train(bp.models.Logistic(), X, labels, bp.WalkForward(600, 200, tune=200), ledger=False)
    >>> rules = bp.Rules(entry_long=0.5, max_hold=3)
    >>> costs = bp.Costs(taker=0.0005)
    >>> session = bp.LiveSession(run.bundles[0], rules, costs=costs, state=None, candles=candles[:1_000])
    >>> decision = session.on_bar(candles[1_000])
    >>> decision.symbol, decision.close_time - decision.open_time
    ('SIM', 300000)
    """

    def __init__(
        self,
        bundle: Bundle | Mapping[str, Bundle],
        rules: Rules,
        *,
        costs: Costs,
        state: str | os.PathLike[str] | None = "state/",
        candles: Candles | Mapping[str, Candles] | None = None,
        symbol: str | None = None,
        interval: str | None = None,
        instrument: Instrument | str | None = None,
        funding: Literal["events", "none"] = "events",
        initial_equity: float = 10_000.0,
        features: FeatureSet | None = None,
        clock: Callable[[], int] | None = None,
        gap: Gap | CatchUp | None = None,
        patience: int | None = None,
        watch: Any = None,
        log_features: bool = False,
        max_skew: int = 1_000,
        checkpoint_bars: int = 256,
        account: Literal["own", "shared"] = "own",
        max_positions: int | None = None,
        max_gross: float | None = None,
    ) -> None:
        bundles, books = read_markets(bundle, candles, symbol)
        self._terms = Terms.read(
            bundles,
            books,
            rules,
            costs=costs,
            interval=interval,
            instrument=instrument,
            funding=funding,
            initial_equity=initial_equity,
            features=features,
            clock=clock,
            gap=gap,
            patience=patience,
            watch=watch,
            log_features=log_features,
            max_skew=max_skew,
            checkpoint_bars=checkpoint_bars,
            account=account,
            max_positions=max_positions,
            max_gross=max_gross,
        )
        self.interval_ms = self._terms.interval_ms
        self.symbols = self._terms.symbols
        self._store = None if state is None else Store(state)
        try:
            self._begin(books)
        except BaseException:
            self.close()
            raise

    def _begin(self, books: Mapping[str, Candles]) -> None:
        if self._store is None or not self._resumed(self._store):
            self._stepper = Stepper(self._terms, self._store)
            if books:
                self._stepper.warm(books)
            if self._store is not None:
                self._stepper.write_beginning()
        self._intake = Intake(self._stepper)

    def _resumed(self, store: Store) -> bool:
        """Go on from a state, if the folder holds one."""
        with store.reading():
            known = store.session()
            if "bundle_digests" not in known:
                return False
            check_features(self._terms, store, known)
            self._stepper = Stepper(self._terms, store)
            check_same(self._stepper, store, known)
            resume(self._stepper, store)
        return True

    @property
    def feeds(self) -> tuple[str, ...]:
        """Symbols whose bars it needs."""
        return self._stepper.feeds

    @property
    def last(self) -> dict[str, int | None]:
        """Opening time of the last bar taken, by feed, milliseconds UTC."""
        return self._stepper.last

    @property
    def skew(self) -> int | None:
        """Last known distance of the clock from that of the feed, milliseconds; positive where ours is ahead."""
        return self._intake.skew

    # Bars ---------------------------------------------------------------------------------------------------

    def on_bar(self, bar: Any) -> Any:
        """Take a closed bar.

        Parameters
        ----------
        bar : Bar, six values or mapping; a mapping of symbol to bar where there are several
            As :meth:`barproof.FeatureStream.update` takes it; a mapping may say ``symbol``, ``interval``,
            ``close_time``, ``server_time`` and ``funding`` too.

        Returns
        -------
        Decision, or dict of str to Decision
            For several symbols those that are complete now: a time is decided when every symbol has shown its bar of
            that time or a later one. A bar that was taken before gives the decision of then.

        Raises
        ------
        CandleError
            If the bar is no sound closed bar of the session that comes next; nothing has changed then.
        FundingError
            If a settlement comes after the bar that it belongs to.
        LayoutError
            If it is no bar.
        FileError
            If the log cannot be written; nothing has changed then.
        """
        intake = self._intake
        intake.check()
        if intake.alone:
            return intake.one(bar)
        if not isinstance(bar, Mapping):
            raise LayoutError(
                f"a bar of a session of {len(self.feeds)} symbols must be a mapping of symbol to bar, was "
                f"{type(bar).__name__}: such as {{{self.feeds[0]!r}: bar}}"
            )
        return intake.several({str(bar.get("symbol")): bar} if "open_time" in bar else bar)

    def flush(self) -> dict[str, Decision]:
        """Give up waiting: symbols that have no bar so far have none.

        Returns
        -------
        dict of str to Decision
            The last of each symbol that was decided.
        """
        return self._intake.release(everything=True)

    # Funding, models, fills ---------------------------------------------------------------------------------

    def settle(
        self, funding_time: int | datetime, funding_rate: float, *, symbol: str | None = None
    ) -> None:
        """Take a settlement of funding, before the bar that follows it.

        Parameters
        ----------
        funding_time : int or datetime
            Milliseconds UTC; rounded to the nearest second, as in candles.
        funding_rate : float
            A fraction; positive where longs pay shorts.
        symbol : str, optional
            Whose; needed where there are several.

        Raises
        ------
        FundingError
            If it is late, known already, or the market pays none.
        """
        settle(
            self._stepper, self._stepper.markets[self._symbol(symbol)], funding_time, funding_rate
        )

    def _symbol(self, symbol: str | None) -> str:
        if symbol is None and len(self.symbols) == 1:
            return self.symbols[0]
        if symbol not in self._stepper.markets:
            raise ParameterError(
                f"`symbol` must be one of {', '.join(self.symbols[:5])}, was {symbol!r}"
            )
        return str(symbol)

    def roll(
        self, bundle: Bundle, *, rules: Rules | None = None, symbol: str | None = None
    ) -> None:
        """Change the model, and the rules if given, from the next bar on; recorded in the log.

        A position keeps the rules of its signal bar, as in a schedule of :func:`barproof.backtest`. Where the session
        is made again from its state, give the bundle and the rules that are in force.

        Parameters
        ----------
        bundle : Bundle
            Trained on the session's features, or some of them.
        rules : Rules, optional
            In force for all symbols from now on. ATR and volatility must be measured as before.
        symbol : str, optional
            Whose model. Default: of all.

        Raises
        ------
        BundleError
            If the bundle needs other features, or forecasts values where the one before gave probabilities, or the
            other way round.
        RulesError
            If the rules need what the session does not measure.
        LayoutError
            If it is no bundle.
        """
        if not isinstance(bundle, Bundle):
            raise LayoutError(
                f"`bundle` of roll(...) must be a Bundle, was {type(bundle).__name__}: see run.bundles"
            )
        names = self.symbols if symbol is None else (self._symbol(symbol),)
        book = [*self._terms.book, *(() if rules is None else (rules,))]
        markets = self._stepper.markets
        new = {name: bundle if name in names else one.bundle for name, one in markets.items()}
        fed: dict[str, Fed] = {}
        for name, market in markets.items():
            lacking = [one for one in new[name].features if one not in market.names]
            if lacking:
                raise BundleError(
                    f"the bundle needs {len(lacking)} features that the session of {name} does not compute, first "
                    f"`{lacking[0]}`: begin another session with it"
                )
            kind = kind_of(new[name])
            if kind != market.fed.kind:
                raise BundleError(
                    f"the bundle gives signals of kind {kind!r}, the session of {name} trades {market.fed.kind!r}, to "
                    f"which the thresholds of its rules belong: begin another session with it"
                )
            arrays: dict[str, None] = {}
            for one in book:
                arrays |= dict.fromkeys(arrays_of(new[name], one))
            fed[name] = Fed(kind, tuple(arrays))
        accounts = self._stepper.accounts.rolled(book, fed)
        self._stepper.accounts = accounts
        self._terms.book = book
        for name, market in markets.items():
            market.use(new[name], book)
            self._terms.bundles[name] = market.bundle
            if name in names:
                told = {"bundle": market.model, "rules": market.rules_digest}
                self._stepper.note("roll", name, {**told, "after": micro(self.last[name])})
        self._stepper.write_events(markets, session=self._stepper.facts())

    def on_fill(
        self,
        side: Literal["buy", "sell"],
        price: float,
        quantity: float,
        *,
        time: int | datetime | None = None,
        fee: float = 0.0,
        reason: str | None = None,
        symbol: str | None = None,
    ) -> None:
        """Record a real fill beside the paper account: of an entry or an exit, whole or in parts.

        :func:`barproof.parity` puts the fills of each order beside the price that the paper account had for it
        (``Parity.fills``), and DEC-05 holds the difference against the slippage that the costs assume.

        Parameters
        ----------
        side : {"buy", "sell"}
            Of the order.
        price, quantity : float
            In quote, and in units of the base.
        time : int or datetime, optional
            Milliseconds UTC. Default: now.
        fee : float, default 0
            Paid, in quote.
        reason : str, optional
            Such as "entry", "stop", "take". Of an exit by stop or target, the price that was assumed is that level.
        symbol : str, optional
            Whose; needed where there are several.

        Raises
        ------
        ParameterError, LayoutError
            If a value is out of its bounds.
        """
        from barproof.features._bar_reading import milliseconds

        name = self._symbol(symbol)
        if side not in ("buy", "sell"):
            raise ParameterError(f'`side` of a fill must be "buy" or "sell", was {side!r}')
        for what, value in (("price", price), ("quantity", quantity)):
            if not (isinstance(value, (int, float)) and 0.0 < value < float("inf")):
                raise ParameterError(f"`{what}` of a fill must be finite and > 0, was {value!r}")
        at = self._terms.clock() if time is None else milliseconds(time, name)
        paper = self._stepper.markets[name].paper_price(side, reason)
        body = {
            "time": at * 1000,
            "side": side,
            "price": float(price),
            "quantity": float(quantity),
            "fee": float(fee),
            "reason": reason,
            "paper_price": paper,
        }
        self._stepper.note("fill", name, body, at)
        self._stepper.write_events()

    def report_time(self, server_time: int) -> int:
        """Compare the clock with that of the feed; a skew beyond `max_skew` is logged.

        Parameters
        ----------
        server_time : int
            Milliseconds UTC by the feed, now.

        Returns
        -------
        int
            Milliseconds by which the session's clock is ahead.

        Raises
        ------
        LayoutError
            If it is no number.
        """
        return self._intake.report_time(server_milliseconds(server_time))

    # Looking ------------------------------------------------------------------------------------------------

    def decision(self, symbol: str | None = None) -> Decision | None:
        """Give the last decision of a symbol.

        Parameters
        ----------
        symbol : str, optional
            Whose; needed where there are several.

        Returns
        -------
        Decision or None
            None before the first.
        """
        return self._stepper.markets[self._symbol(symbol)].last_decision

    def log(self) -> Any:
        """Read the log, as of the last transaction.

        Returns
        -------
        LiveLog
            For :func:`barproof.parity` and :func:`barproof.audit`.

        Raises
        ------
        FileError
            If the session keeps no state.
        """
        if self._store is None:
            raise FileError("a session with state=None keeps no log: give it a folder")
        from importlib import import_module

        return import_module("barproof.live.log").LiveLog.read(self._store.folder)

    def close(self) -> None:
        """Let go of the file; the session ends, its state stays."""
        if getattr(self, "_store", None) is not None:
            self._store.close()  # type: ignore[union-attr]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        last = max((t for t in self.last.values() if t is not None), default=None)
        upto = "no bars yet" if last is None else f"up to {show_time(last)}"
        return f"LiveSession({', '.join(self.symbols[:5])}, {format_interval(self.interval_ms)}, {upto})"
