"""How likely the choice of the best of many trials is overfitted (CSCV)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from barproof import _core
from barproof._machine import thread_count
from barproof._progress import reporter
from barproof.errors import ParameterError
from barproof.stats._common import Floats, Report, Stat, panel, undefined

__all__ = ["Pbo", "check_blocks", "pbo", "pbo_of_sums"]

_MOST_BLOCKS = 20


@dataclass(frozen=True, repr=False, eq=False)
class Pbo(Stat):
    """Probability of backtest overfitting.

    Attributes
    ----------
    pbo : float
        Share of splits in which the best of one half is in the lower half of the other.
    loss : float
        Share of splits in which its Sharpe ratio there is below 0.
    slope : float
        Of its ratio there on its ratio where it was chosen. Negative by construction: the halves share one total.
    mean_logit : float
        Mean log odds of its relative rank.
    logits : ndarray of shape (splits,)
        All of them.
    blocks, splits : int
        Blocks of periods, and ways to take half of them.
    n, trials : int
        Periods, and trials.
    """

    pbo: float
    loss: float
    slope: float
    mean_logit: float
    logits: Floats
    blocks: int
    splits: int
    n: int
    trials: int


def pbo(
    returns: ArrayLike,
    *,
    blocks: int = 16,
    threads: int | None = None,
    progress: Report = None,
) -> Pbo:
    """Compute the probability of backtest overfitting by combinatorially symmetric cross-validation.

    Parameters
    ----------
    returns : array_like of shape (n_periods, n_trials)
        Returns of *every* trial on one calendar, not of the survivors.
    blocks : int, default 16
        Even number of consecutive blocks, from 2 to 20; they differ by one period at most.
    threads : int, optional
        Worker threads. Default: ``BARPROOF_THREADS``, else every core.
    progress : bool or callable, optional
        As in :func:`barproof.sweep`.

    Returns
    -------
    Pbo
        Undefined for a ragged panel, values that are not finite, fewer than two trials, fewer than two periods a block,
        or a trial that is constant but not 0 over a half.

    Raises
    ------
    ParameterError
        If `blocks` is out of bounds.

    Notes
    -----
    D. Bailey, J. Borwein, M. Lopez de Prado and J. Zhu 2017. Performance is the Sharpe ratio (ddof 1); a trial without
    returns over a half has 0 there. Equal ratios share the mean of their ranks; of several that are best alike the one
    that does worst is taken. Relative rank w = rank / (N + 1), log odds ``ln(w / (1 - w))``, and the probability is the
    share of splits where they are at most 0. Splits depend on each other, so there is no binomial interval. On pure
    noise it is 0.5 on average, with a deviation of 0.17 to 0.25: at most 0.10 is about a test at 5%, below 0.5 is none.

    Examples
    --------
    >>> panel = [[0.01, 0.02], [-0.01, 0.01], [0.02, 0.00], [-0.02, 0.01]] * 4
    >>> pbo(panel, blocks=4).pbo
    0.0
    """
    check_blocks(blocks)
    x, reason = panel(returns, least=2 * blocks, columns=2)
    known = {"blocks": blocks, "n": x.shape[0], "trials": x.shape[1]}
    if reason:
        return undefined(Pbo, reason, **known)
    sums = _core.block_sums_of_table(np.ascontiguousarray(x), blocks=blocks)
    return pbo_of_sums(sums[0], sums[1], len(x), threads, progress)


def check_blocks(blocks: int) -> None:
    """Refuse numbers of blocks that cannot be halved, or take too long."""
    if not 2 <= blocks <= _MOST_BLOCKS or blocks % 2:
        raise ParameterError(
            f"`blocks` must be an even number from 2 to {_MOST_BLOCKS}, was {blocks!r}"
        )


def pbo_of_sums(
    first: Floats, second: Floats, periods: int, threads: int | None, progress: Report
) -> Pbo:
    """Probability of backtest overfitting from sums over blocks."""
    blocks, trials = first.shape
    known = {"blocks": blocks, "n": periods, "trials": trials}
    total = math.comb(blocks, blocks // 2) // 2
    with reporter(progress, total, "cscv") as report:
        try:
            found = _core.cscv_splits(
                np.ascontiguousarray(first).ravel(),
                np.ascontiguousarray(second).ravel(),
                periods=periods,
                blocks=blocks,
                threads=thread_count(threads),
                progress=report,
            )
        except ParameterError as error:
            return undefined(Pbo, str(error).replace("`", ""), **known)
    logits, judged, chosen = found["logit"], found["judged"], found["chosen"]
    centred = chosen - chosen.mean()
    spread = float(centred @ centred)
    return Pbo(
        pbo=float(np.mean(logits <= 0)),
        loss=float(np.mean(judged < 0)),
        slope=float(centred @ judged) / spread if spread > 0 else math.nan,
        mean_logit=float(logits.mean()),
        logits=logits,
        splits=len(logits),
        **known,
    )
