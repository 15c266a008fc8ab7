"""From a golden vector's text to what barproof says: each audit has a reader of its inputs and a call.

A vector is `id`, `audit`, `inputs` (text), `value`, `source`. What no reader understands is unmapped, which is not the
same as passed. Where inputs refer to other vectors ("same p", "C01 data") the reader knows them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
from sklearn.model_selection import TimeSeriesSplit

import barproof as bp
from barproof import audits, stats
from barproof.audits.claim_arithmetic import annual_growth, evaluate, least_sd
from tests.tolerances import GOLDEN, OPTIMISED

Numbers = list[float]
Reader = Callable[[str], Numbers]

# Where an optimiser or a quadrature is involved.
SOFT = ("E07", "S11", "S20", "S21", "S22", "C07", "C12", "C15")

READERS: list[tuple[re.Pattern[str], Reader]] = []
UNSIGNED = r"\d+(?:\.\d+)?(?:e-?\d+)?"
NUMBER = rf"-?{UNSIGNED}"

# The two systems of case S004: wins, trades, mean win and loss.
OPTIONS = {"A": (2008, 3892, 0.005524, 0.010678), "B": (1600, 3072, 0.003766, 0.007892)}


class UnreadError(Exception):
    """A reader cannot make sense of the inputs."""


def reader(audit: str) -> Callable[[Reader], Reader]:
    def keep(function: Reader) -> Reader:
        READERS.append((re.compile(audit), function))
        return function

    return keep


def take(pattern: str, text: str) -> tuple[str, ...]:
    found = re.search(pattern, text)
    if found is None:
        raise UnreadError(text)
    return found.groups()


def number(name: str, text: str, otherwise: float | None = None) -> float:
    """The number after a name, such as `T=24`, `skew -2.448`, `SR=0.036/0.079`."""
    found = re.search(rf"(?<!\w){name}\s*=?\s*({NUMBER})(?:/({UNSIGNED}))?", text)
    if found is None:
        if otherwise is None:
            raise UnreadError(text)
        return otherwise
    return float(found[1]) / float(found[2] or 1)


def numbers(text: str) -> Numbers:
    return [float(x) for x in re.findall(rf"(?<![\w.]){NUMBER}", text)]


def answer(vector: dict[str, Any]) -> Numbers | None:
    """What barproof says, or None where no reader understands the vector."""
    for audit, read in READERS:
        if audit.search(vector["audit"]):
            try:
                return read(vector["inputs"])
            except UnreadError:
                continue
    return None


def tolerance(name: str) -> float:
    return OPTIMISED if name in SOFT else GOLDEN


# ---- shares ------------------------------------------------------------------------------------


@reader("^wilson")
def _(text: str) -> Numbers:
    k, n, level = take(r"k=(\d+) n=(\d+) (\d+)%", text)
    found = stats.wilson(int(k), int(n), level=int(level) / 100)
    return [found.low, found.high]


@reader("^clopper-pearson")
def _(text: str) -> Numbers:
    k, n, level = take(r"k=(\d+) n=(\d+) (\d+)%", text)
    found = stats.clopper_pearson(int(k), int(n), level=int(level) / 100)
    return [found.low, found.high]


@reader("^exact binomial")
def _(text: str) -> Numbers:
    k, n = map(int, take(r"(\d+) wins of (\d+): P\(X=\d+\), P\(X>=\d+\) at p=0.5", text))

    def tail(k: int) -> float:
        return stats.binomial_test(k, n, alternative="greater").p if k <= n else 0.0

    return [tail(k) - tail(k + 1), tail(k)]


@reader("^exact binomial")
def _(text: str) -> Numbers:
    k, n, p = take(rf"(\d+) of (\d+) against p0=({NUMBER}), two-sided / greater", text)
    return [
        stats.binomial_test(int(k), int(n), float(p)).p,
        stats.binomial_test(int(k), int(n), float(p), alternative="greater").p,
    ]


@reader("^win rate against break-even")
def _(text: str) -> Numbers:
    k, n, null = take(rf"(\d+) of (\d+) against ({NUMBER})", text)
    # The text has a few digits; the vector was made with all of them.
    last = 10.0 ** -len(null.split(".")[1])
    levels = [stats.break_even(win, loss) for _, _, win, loss in OPTIONS.values()]
    whole = [level for level in levels if abs(level - float(null)) < last]
    return [stats.proportion_test(int(k), int(n), whole[0] if whole else float(null)).z]


@reader("^sample size, one proportion")
def _(text: str) -> Numbers:
    p0, p1, level, power = take(
        rf"p0=({NUMBER}) p1=({NUMBER}) two-sided (\d+)%, power ({NUMBER})", text
    )
    found = stats.required_trials(float(p0), float(p1), level=int(level) / 100, power=float(power))
    return [found.n, found.n_arcsine]


@reader("^sample size, interval")
def _(text: str) -> Numbers:
    half, p, level = take(rf"half-width ({NUMBER}) at p=({NUMBER}), (\d+)%", text)
    return [stats.interval_size(float(half), share=float(p), level=int(level) / 100)]


@reader("^detectable effect")
def _(text: str) -> Numbers:
    n, level, power = take(rf"n=(\d+), two-sided (\d+)%, power ({NUMBER})", text)
    return [stats.detectable_share(int(n), level=int(level) / 100, power=float(power))]


@reader("^zero events")
def _(text: str) -> Numbers:
    k, n, level = take(r"(\d+) trades in (\d+) bars: one-sided (\d+)%", text)
    return [stats.upper_bound(int(k), int(n), level=int(level) / 100)]


@reader("^paired classifiers")
def _(text: str) -> Numbers:
    b, c = take(r"b=(\d+) c=(\d+): exact McNemar", text)
    return [stats.mcnemar(int(b), int(c)).p]


@reader("^live rate against claimed rate")
def _(text: str) -> Numbers:
    k, days, rate = take(rf"(\d+) trades in (\d+) days against a claimed ({NUMBER}) per day", text)
    found = stats.rate_test(int(k), float(days), float(rate))
    return [found.less, found.p]


@reader("^label against price")
def _(text: str) -> Numbers:
    a, n, b, m = take(r"(\d+) of (\d+) labels up; (\d+) of (\d+) bars up", text)
    return list(stats.two_proportions(int(a), int(n), int(b), int(m)))


# ---- money -------------------------------------------------------------------------------------


def option(text: str) -> tuple[int, int, float, float]:
    return OPTIONS[take(r"option ([AB])", text)[0]]


@reader("^break-even win rate")
def _(text: str) -> Numbers:
    win, loss = take(rf"avg win ({NUMBER})% avg loss ({NUMBER})%", text)
    return [stats.break_even(float(win), float(loss))]


@reader("^break-even with costs")
def _(text: str) -> Numbers:
    _, _, win, loss = option(text)
    costs = re.findall(rf"({NUMBER})%", text)
    return [stats.break_even(win, loss, cost=float(c) / 100) for c in costs]


@reader("^expectancy per trade")
def _(text: str) -> Numbers:
    _, _, win, loss = option(text)
    k, n = take(r"k=(\d+) n=(\d+)", text)
    return [stats.expectancy(int(k) / int(n), win, loss)]


@reader("^kelly, fixed odds")
def _(text: str) -> Numbers:
    k, n, win, loss = option(text)
    return [stats.kelly_fixed_odds(k / n, win, loss)]


@reader("^kelly, growth-optimal leverage")
def _(text: str) -> Numbers:
    k, n, win, loss = option(text)
    return [stats.kelly_leverage(k / n, win, loss)]


@reader("^stop distance")
def _(text: str) -> Numbers:
    risk, leverage, shares = take(
        rf"({NUMBER})% of balance at ({NUMBER})x leverage, position share s=(.*)", text
    )
    return [
        stats.stop_distance(float(risk) / 100, leverage=float(leverage), share=s)
        for s in numbers(shares)
    ]


@reader("^claims arithmetic$")
def _(text: str) -> Numbers:
    (share,) = take(rf"({NUMBER})% wins: expectancy in R at 1:1 and at loss = 2 wins", text)
    p = float(share) / 100
    return [stats.expectancy(p, 1, 1), stats.expectancy(p, 1, 2)]


# ---- Sharpe ratios -----------------------------------------------------------------------------


def shape(text: str) -> dict[str, float]:
    return {
        "skewness": number("skew", text, 0.0),
        "kurtosis": number("kurt", text, 3.0),
        "rho": number("rho", text, 0.0),
    }


@reader("^sharpe standard error, iid normal")
def _(text: str) -> Numbers:
    pairs = re.findall(rf"SR=({NUMBER}) T=(\d+)", text)
    return [stats.sharpe_error(float(s), int(n)) for s, n in pairs]


@reader("^annualisation under AR")
def _(text: str) -> Numbers:
    q, rhos = take(r"q=(\d+), rho = (.*)", text)
    return [stats.annualisation(int(q), rho) for rho in numbers(rhos)]


def made(text: str) -> np.ndarray:
    """Series of a formula over normals, such as `0.01*(n11+0.3*n12^2), 250 rows`."""
    formula, rows = take(r"x=([-+*/^().\dn]+), (\d+) rows", text)
    names = {f"n{k}": stats.normals(int(k), int(rows)) for k in re.findall(r"n(\d+)", formula)}
    x: np.ndarray = eval(formula.replace("^", "**"), {"__builtins__": {}}, names)
    return x


@reader("^psr, 2012 form, from returns")
def _(text: str) -> Numbers:
    m = stats.moments(made(text), corrected=True)
    found = stats.psr_of(m.sharpe, m.n, skewness=m.skewness, kurtosis=m.kurtosis)
    return [found.psr]


@reader("^psr, 20(12|25) form$")
def _(text: str) -> Numbers:
    hurdles = [float(x) for x in re.findall(rf"SR0=({NUMBER})", text)]
    if not hurdles:
        raise UnreadError(text)
    sharpe, n = number("SR", text), int(number("T", text))
    return [stats.psr_of(sharpe, n, benchmark=h, form="2025", **shape(text)).psr for h in hurdles]


@reader("^sharpe variance, 2025 form")
def _(text: str) -> Numbers:
    if not text.endswith("SE; normal SE"):
        raise UnreadError(text)
    sharpe, n = number("SR", text), int(number("T", text))
    return [stats.sharpe_error(sharpe, n, **shape(text)), stats.sharpe_error(sharpe, n)]


@reader("^minTRL, 2012 form")
def _(text: str) -> Numbers:
    mark = "years, annual SR 2 against 1, 95%: daily/252, weekly/52, monthly/12 normal; monthly "
    if not text.startswith(mark):
        raise UnreadError(text)
    rest = text[len(mark) :]
    found = []
    for q, more in ((252, ""), (52, ""), (12, ""), (12, rest)):
        form: dict[str, Any] = {k: v for k, v in shape(more).items() if k != "rho"}
        root = math.sqrt(q)
        found.append(stats.min_track_record(2 / root, benchmark=1 / root, **form) / q)
    return found


@reader("^expected maximum of N sharpes")
def _(text: str) -> Numbers:
    (listed,) = take(r"N=(.*)", text)
    return [stats.expected_maximum(n) for n in numbers(listed)]


@reader("^expected maximum, exact order statistic")
def _(text: str) -> Numbers:
    (listed,) = take(r"N=(.*) standard normals", text)
    return [stats.expected_maximum(n, exact=True) for n in numbers(listed)]


@reader("^fold selection")
def _(text: str) -> Numbers:
    (listed,) = take(r"K=(.*) \(exact\)", text)
    return [stats.expected_maximum(n, exact=True) for n in numbers(listed)]


@reader("^spread of the best of K")
def _(text: str) -> Numbers:
    (listed,) = take(r"K=(.*) standard normals", text)
    return [stats.deviation_of_maximum(n) for n in numbers(listed)]


def deflated(trials: float, skewness: float, kurtosis: float) -> stats.Deflated:
    return stats.deflated_sharpe(
        2.5 / math.sqrt(250),
        1_250,
        trials=trials,
        variance=0.5 / 250,
        skewness=skewness,
        kurtosis=kurtosis,
    )


@reader("^deflated sharpe ratio")
def _(text: str) -> Numbers:
    take(r"^annual SR 2.5, 1250 days \(250/yr\), N=100, .*V\[SR\]=1/2.*: SR0 \(daily\), DSR$", text)
    found = deflated(100, number("skew", text), number("kurt", text))
    return [found.hurdle, found.dsr_2014]


@reader("^deflated sharpe ratio")
def _(text: str) -> Numbers:
    first, second = take(r"as S13 with N=(\d+); and N=(\d+) with normal moments", text)
    return [deflated(int(first), -3, 10).dsr_2014, deflated(int(second), 0, 3).dsr_2014]


@reader("^minimum backtest length")
def _(text: str) -> Numbers:
    (listed,) = take(r"^N=([\d, ]+)(?:: years| trials)", text)
    return [stats.min_backtest_years(n) for n in numbers(listed)]


@reader("^power and false discovery")
def _(text: str) -> Numbers:
    found = stats.odds_of_skill(
        int(number("T", text)),
        skill=number("SR1", text),
        prior=number(r"P\(H1\)", text),
        sharpe=0.036 / 0.079,
        **shape(text),
    )
    return [found.beta, found.pfdr, found.ofdr]


# ---- memory and pairs --------------------------------------------------------------------------


def ar(rho: float, noise: np.ndarray) -> np.ndarray:
    out, last = np.empty(len(noise)), 0.0
    for i, e in enumerate(noise):
        last = rho * last + e
        out[i] = last
    return out


@reader("^optimal block length")
def _(text: str) -> Numbers:
    rho, n, seed = take(
        rf"AR\(1\) rho=({NUMBER}), n=(\d+), SplitMix64 seed (\d+): stationary, circular", text
    )
    x = ar(float(rho), stats.normals(int(seed), int(n)))
    return [stats.block_length(x), stats.block_length(x, bootstrap="circular")]


@reader("^HAC standard error of a mean")
def _(text: str) -> Numbers:
    n, lags = take(r"first (\d+) of D01, Bartlett, (\d+) lags, no correction: mean, SE", text)
    found = stats.hac_mean(ar(0.5, stats.normals(21, 500))[: int(n)], lags=int(lags))
    return [found.mean, found.error]


@reader("^effective sample size")
def _(text: str) -> Numbers:
    n, rho = take(rf"(?:AR\(1\) )?n=(\d+),? rho=({NUMBER})", text)
    return [stats.effective_size_of(int(n), float(rho)).size]


@reader("^average uniqueness")
def _(text: str) -> Numbers:
    n, span = take(r"(\d+) labels, one per bar, each spanning (\d+) bars: mean, sum", text)
    at = np.arange(int(n))
    total = stats.effective_labels(at, at + int(span) - 1)
    return [total / int(n), total]


@reader("^paired against unpaired bootstrap")
def _(text: str) -> Numbers:
    take(r"a = 0.02 \+ n41\[64\], b = 0.6 a \+ 0.8 n42; 400 rows, p = 0.2, index seeds 43 ", text)
    a = 0.02 + stats.normals(41, 64)
    b = 0.6 * a + 0.8 * stats.normals(42, 64)
    found = stats.paired_difference(a, b, mean_block=5, resamples=400, seed=43)
    first, second = (stats.stationary_indices(64, mean_block=5, rows=400, seed=s) for s in (43, 44))
    apart = a[first].mean(axis=1) - b[second].mean(axis=1)
    return [found.difference, found.error, float(apart.std(ddof=1)), found.p]


@reader("^difference of two Sharpe ratios")
def _(text: str) -> Numbers:
    (n, lags) = take(r"a=0.08\+n45, b=0.6a\+0.8\*n46, T=(\d+): .* Bartlett (\d+) lags, z", text)
    a = 0.08 + stats.normals(45, int(n))
    b = 0.6 * a + 0.8 * stats.normals(46, int(n))
    found = stats.sharpe_difference(a, b, lags=int(lags))
    return [found.difference, found.error_independent, found.error, found.z]


# ---- splits ------------------------------------------------------------------------------------


@reader("^CPCV counts$")
def _(text: str) -> Numbers:
    groups, tests = take(r"^(\d+) folds, (\d+) test: splits, paths$", text)
    splitter, rows = bp.CombinatorialPurged(int(groups), int(tests)), range(10 * int(groups))
    return [splitter.get_n_splits(rows), len(splitter.paths(rows))]


@reader("^CPCV index sums$")
def _(text: str) -> Numbers:
    n, groups, tests, purge, embargo = map(
        int,
        take(r"^(\d+) rows, (\d+) folds, (\d+) test, purge (\d+), embargo (\d+): per split", text),
    )
    at = np.arange(n)
    splitter = bp.CombinatorialPurged(groups, tests, embargo=embargo, labels=(at, at + purge))
    return [float(x) for parts in splitter.split(at) for p in parts for x in (len(p), p.sum())]


@reader("^overlap detector$")
def _(text: str) -> Numbers:
    n, span, blocks, gap, groups, tests, reach = map(
        int,
        take(
            r"^(\d+) rows, labels of (\d+) bars; overlapping .*: TimeSeriesSplit\((\d+)\); with gap=(\d+); "
            r"CPCV\((\d+),(\d+)\) purge 0; purge (\d+)$",
            text,
        ),
    )
    at = np.arange(n)
    out: Numbers = []
    for folds in (
        TimeSeriesSplit(blocks).split(at),
        TimeSeriesSplit(blocks, gap=gap).split(at),
        beside(at, groups, tests, 0),
        beside(at, groups, tests, reach),
    ):
        found = audits.purge(list(folds), (at, at + span - 1)).measured
        assert found is not None and found.value is not None and found.n is not None
        out += [found.value, found.n]
    return out


def beside(
    at: np.ndarray, groups: int, tests: int, reach: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Combinatorial folds that drop `reach` rows on both sides of every test block."""
    out = []
    for chosen in combinations(np.split(at, groups), tests):
        test = np.concatenate(chosen)
        near = (test[:, None] + np.arange(-reach, reach + 1)).ravel()
        out.append((np.setdiff1d(at, near), test))
    return out


# ---- many trials -------------------------------------------------------------------------------

EIGHT = [0.001, 0.008, 0.012, 0.021, 0.039, 0.041, 0.20, 0.55]


def looks(text: str) -> Numbers:
    if text == "same p":
        return EIGHT
    (listed,) = take(r"^p = (.*)$", text)
    return [float(x) for x in listed.split()]


@reader("^holm$")
def _(text: str) -> Numbers:
    return list(stats.holm(looks(text)).p)


@reader("^benjamini-hochberg$")
def _(text: str) -> Numbers:
    return list(stats.benjamini_hochberg(looks(text)).p)


@reader("^benjamini-yekutieli$")
def _(text: str) -> Numbers:
    return list(stats.benjamini_yekutieli(looks(text)).p)


@reader("^bonferroni, sidak$")
def _(text: str) -> Numbers:
    take("^smallest p of the same eight$", text)
    return [float(f(EIGHT).p[0]) for f in (stats.bonferroni, stats.sidak)]


@reader("^effective trials, average correlation")
def _(text: str) -> Numbers:
    m, listed = take(r"M=(\d+), rho=(.*)", text)
    return [stats.effective_trials_of(int(m), rho) for rho in numbers(listed)]


def matrix(text: str) -> np.ndarray:
    (rows,) = take(r"C=\[(\[.*?\])\]", text)
    return np.array([[float(x) for x in r.split(",")] for r in re.findall(r"\[(.*?)\]", rows)])


@reader("^effective rank")
def _(text: str) -> Numbers:
    return [stats.effective_rank(matrix(text))[0]]


@reader("^participation ratio")
def _(text: str) -> Numbers:
    return [stats.effective_rank(matrix(text))[1]]


def noisy(shape: tuple[int, int], seed: int) -> np.ndarray:
    return stats.normals(seed, shape[0] * shape[1]).reshape(shape)


def trials_of_m05() -> np.ndarray:
    panel = noisy((120, 6), 51)
    panel[:, 0] += 0.26
    panel[:, 4] -= 0.60
    panel[:, 5] *= 3
    return panel


@reader("^SPA")
def _(text: str) -> Numbers:
    plain = (
        r"^panel n51\[120,6\] with shifts, 500 index rows seed 52 p=0.2: .* "
        r"\| column 0 \+0.26, column 4 -0.60, column 5 x3"
    )
    own = re.search(plain, text)
    flag = re.search("^arch with studentize=False, same panel", text)
    studentised = re.search("^same panel: lower, consistent, upper p", text)
    if not (own or flag or studentised):
        raise UnreadError(text)
    index = stats.stationary_indices(120, mean_block=5, rows=500, seed=52)
    found = stats.spa(
        trials_of_m05(),
        indices=index,
        mean_block=5,
        studentise="sample" if studentised else "none",
    )
    # The vectors are raw shares; ours are (1 + exceed) / (1 + resamples).
    return [int(e) / 500 for e in found.exceed]


@reader("^PBO by CSCV")
def _(text: str) -> Numbers:
    panel = noisy((64, 6), 61)
    if re.search(r"^same with \+0.8 on column 2, S=8", text):
        panel[:, 2] += 0.8
    elif not re.search(r"^noise n61\[64,6\], S=8", text):
        raise UnreadError(text)
    found = stats.pbo(panel, blocks=8)
    return [found.pbo, found.loss, found.slope, found.mean_logit]


# ---- probabilities -----------------------------------------------------------------------------


def calibration_rows() -> tuple[np.ndarray, np.ndarray]:
    u = stats.uniforms(71, 800)
    p = 0.02 + 0.96 * u[:400]
    return p, (u[400:] < 0.5 + 0.6 * (p - 0.5)).astype(float)


def of_c01(text: str) -> tuple[np.ndarray, np.ndarray]:
    known = (
        r"^p=0\.02\+0\.96u, y~0\.5\+0\.6\(p-0\.5\), n=400, seed 71",
        "^same data",
        "^C01 data",
    )
    if not any(re.search(mark, text) for mark in known):
        raise UnreadError(text)
    return calibration_rows()


@reader("^ECE, 10 equal-width bins")
def _(text: str) -> Numbers:
    return [stats.calibration_error(*of_c01(text), bins=10, form="width").ece]


@reader("^ECE, 10 equal-mass bins")
def _(text: str) -> Numbers:
    return [stats.calibration_error(*of_c01(text), bins=10).ece]


@reader("^ECE of a calibrated forecaster")
def _(text: str) -> Numbers:
    first, second = take(
        r"^same p, y drawn from p itself: (\d+) and (\d+) equal-width bins .*seed 1000\+i", text
    )
    p, _ = calibration_rows()
    y = [float(stats.uniforms(1000 + i, 1)[0] < p[i]) for i in range(400)]
    return [
        stats.calibration_error(p, y, bins=int(bins), form="width").ece for bins in (first, second)
    ]


@reader("^Brier, log loss")
def _(text: str) -> Numbers:
    found = stats.scores(*of_c01(text))
    return [found.brier, found.log_loss]


@reader("^[Ss]piegelhalter")
def _(text: str) -> Numbers:
    found = stats.spiegelhalter(*of_c01(text))
    return [found.z, found.p] if re.search(r"z[,;] (two-sided )?p", text) else [found.z]


@reader("^temperature scaling")
def _(text: str) -> Numbers:
    p, y = of_c01(text)
    return [stats.temperature(np.log(p / (1 - p)), y).temperature]


@reader("^temperature of saturated logits")
def _(text: str) -> Numbers:
    pairs = re.findall(r"\(([\d+]+),(\.\d+)\)", text)
    return [stats.saturated_temperature(sum(map(float, a.split("+"))), float(c)) for a, c in pairs]


@reader("^constant-forecast baselines")
def _(text: str) -> Numbers:
    k, n = take(r"(\d+) positives of (\d+)", text)
    return list(stats.constant_forecast(int(k), int(n)))


@reader("^spread of a useful forecast")
def _(text: str) -> Numbers:
    auc, share = take(rf"AUC ({NUMBER}) at base ({UNSIGNED})", text)
    return [stats.spread_of_forecast(float(auc), float(share))]


# ---- drift -------------------------------------------------------------------------------------

TENTHS = [0.1] * 10
SHARES = [0.05, 0.08, 0.09, 0.10, 0.10, 0.10, 0.10, 0.11, 0.12, 0.15]


def two_samples() -> tuple[np.ndarray, np.ndarray]:
    return stats.normals(81, 1_000), 0.25 + 1.1 * stats.normals(82, 1_000)


@reader("^PSI from shares")
def _(text: str) -> Numbers:
    (listed,) = take(r"expected ten tenths; actual (.*)", text)
    return [stats.psi_of(TENTHS, [float(x) for x in listed.split()])]


@reader("^PSI, decile bins of the reference")
def _(text: str) -> Numbers:
    take(r"^n81\[1000\] against 0\.25\+1\.1\*n82\[1000\]$", text)
    return [stats.psi(*two_samples()).psi]


@reader("^KS two-sample")
def _(text: str) -> Numbers:
    take("^same two samples: D, p", text)
    found = stats.ks(*two_samples())
    return [found.d, found.p]


@reader("^KS is a sample-size test")
def _(text: str) -> Numbers:
    d, listed = take(rf"p at D=({NUMBER}) for n=m=(.*) \(asymptotic\)", text)
    return [stats.ks_p(float(d), int(n), int(n)) for n in numbers(listed)]


@reader("^Jensen-Shannon")
def _(text: str) -> Numbers:
    take("^shares of F01: distance base 2, divergence base 2$", text)
    return list(stats.jensen_shannon(TENTHS, SHARES))


@reader("^threshold reachability$")
def _(text: str) -> Numbers:
    highest, threshold = take(
        rf"^logit\(({NUMBER})\), logit\(({NUMBER})\), and the ratio of odds$", text
    )
    values = np.linspace(0.01, float(highest), 100)
    found = audits.threshold_reachability({"long": (values, float(threshold))})
    (row,) = found.evidence["rows"]
    return [row["logit_max"], row["logit_threshold"], row["odds_apart"]]


@reader("^degenerate labels$")
def _(text: str) -> Numbers:
    up, down = map(
        int, take(r"^always-up forecast on (\d+) up / (\d+) down: accuracy, balanced", text)
    )
    found = audits.class_scores(np.ones(up + down), np.r_[np.ones(up), np.zeros(down)])
    assert not found.proves
    return [found.accuracy, found.balanced_accuracy, found.kappa, found.mcc]


@reader("^feature scale$")
def _(text: str) -> Numbers:
    close, weight, mean, spread = map(
        float,
        take(
            rf"^close ({NUMBER}) with first-layer \|w\| <= ({NUMBER}): one term; "
            rf"after z-scoring at mean ({NUMBER}) sd ({NUMBER})$",
            text,
        ),
    )
    # The other input varies, and weighs nothing.
    varying = np.linspace(-1, 1, 40)

    def term(value: float) -> float:
        rows = np.column_stack([np.full(40, value), varying])
        return float(audits.first_layer(rows, np.array([[weight, 0.0]])).evidence["term"])

    return [term(close), term((close - mean) / spread)]


@reader("^overlapping windows$")
def _(text: str) -> Numbers:
    n, days, windows = map(
        int,
        take(
            r"^(\d+) five-minute bars in days; windows of (\d+) days that fit end to end; (\d+) windows imply",
            text,
        ),
    )
    length = days * 288
    start = np.linspace(0, n - length, windows).astype(np.int64)
    found = audits.overlap(start, start + length - 1)
    fit = found.evidence["effective"]
    return [fit * days, fit, measured(found)]


@reader("^warm-up of recursive features$")
def _(text: str) -> Numbers:
    span, bars, period = map(
        int,
        take(
            r"^EMA span (\d+): weight of the start after (\d+) bars; bars until 1e-6; Wilder (\d+)",
            text,
        ),
    )
    alpha = 2 / (span + 1)
    return [
        audits.start_weight(alpha, bars),
        audits.bars_to_forget(alpha),
        audits.bars_to_forget(1 / period),
    ]


@reader("^truncated recompute$")
def _(text: str) -> Numbers:
    last, cut, row = map(
        int,
        take(
            r"^x=t\^2, t=0\.\.(\d+), cut after row (\d+), value at row (\d+): trailing mean full/cut; centred mean "
            r"full \(cut is NaN\); whole-sample z full/cut$",
            text,
        ),
    )
    x = pl.col("x")
    columns = {
        "trailing": x.rolling_mean(3),
        "centred": x.rolling_mean(3, center=True),
        "z": (x - x.mean()) / x.std(ddof=0),
    }
    frame = pl.DataFrame({"x": np.arange(last + 1.0) ** 2})
    found = bp.find_lookahead(
        lambda bars: bars.select(**columns), frame, cuts=[cut], tail=1, full=0, perturb=False
    )
    leaks = {leak.column: leak for leak in found.leaks}
    assert set(leaks) == {"centred", "z"} and {leak.bar for leak in found.leaks} == {row}
    assert math.isnan(leaks["centred"].after)
    trailing = float(frame.select(columns["trailing"]).item(row, 0))
    # No leak of the trailing mean: cut or whole, it has one value.
    return [trailing, trailing, leaks["centred"].before, leaks["z"].before, leaks["z"].after]


@reader("^compounding plausibility$")
def _(text: str) -> Numbers:
    pairs = re.findall(rf"\(({NUMBER})\^(\d+)\)", text)
    if len(pairs) != 2:
        raise UnreadError(text)
    return [annual_growth(float(base) - 1, 5, over=5 * float(times)) for base, times in pairs]


@reader("^claims arithmetic$")
def _(text: str) -> Numbers:
    before, after, unit = map(
        float,
        take(
            rf"^({NUMBER}) -> ({NUMBER}) trades: change, and its range when both are rounded to ({NUMBER})$",
            text,
        ),
    )
    formula = "({after} - {before}) / {before}"
    ends = {k: (v - unit / 2, v + unit / 2) for k, v in (("before", before), ("after", after))}
    exact, _ = evaluate(formula, {"before": (before, before), "after": (after, after)})
    rows = [{"id": "before", "value": str(before)}, {"id": "after", "value": str(after)}]
    claim = {"id": "more", "value": "39.1", "unit": "percent", "derived": formula}
    assert audits.claim_arithmetic([*rows, claim]).outcome == "pass"
    return [exact, *evaluate(formula, ends)]


@reader("^claims arithmetic, growth identity$")
def _(text: str) -> Numbers:
    take(
        r"^per-trade SD implied by mean and final equity .*: A, B; least SD two outcomes allow: A, B$",
        text,
    )
    # As case S004 prints them: mean trade, trades, final of 10,000; win rate, mean win, mean loss.
    printed = ((-0.002319, 3892, 0.87), (-0.00182, 3072, 32.37))
    payoffs = ((0.5159, 0.005524, 0.010678), (0.5208, 0.003766, 0.007892))
    implied = [stats.growth_identity(m, n, final / 10_000).deviation for m, n, final in printed]
    least = [least_sd(*payoff) for payoff in payoffs]
    assert all(a >= b for a, b in zip(implied, least, strict=True))
    return [*implied, *least]


def measured(finding: Any) -> float:
    """What an audit measured."""
    if finding.measured is None or finding.measured.value is None:
        raise UnreadError(finding.title)
    return float(finding.measured.value)


@reader("^checkpoint loss ratio")
def _(text: str) -> Numbers:
    again, stored, train, validation = map(
        float, take(rf"({NUMBER})/({NUMBER}); train/val ({NUMBER})/({NUMBER})", text)
    )
    ratio = audits.metric_reproduction(stored, again).evidence["ratio"]
    return [ratio, 1 / measured(audits.loss_pair(train, validation))]


@reader("^overtrading, cost drag")
def _(text: str) -> Numbers:
    trades, percent = take(rf"(\d+) trades at ({NUMBER})% round trip: sum of costs", text)
    found = audits.overtrading(
        int(trades),
        0.0,
        baseline_trades=1,
        baseline_result=0.0,
        cost=float(percent) / 100,
        gross=1.0,
    )
    return [found.evidence["cost_share_of_gross"], found.evidence["wealth_left_after_costs"]]


@reader("^split arithmetic")
def _(text: str) -> Numbers:
    a, b, c, whole, rows, steps, before, after = map(
        int,
        take(
            r"(\d+)\+(\d+)\+(\d+) against (\d+) rows; leap-year hours; (\d+)-(\d+); bars lost (\d+)-(\d+)",
            text,
        ),
    )
    unexplained = audits.row_accounting(whole, a, lost={"validation": b, "test": c})
    lost = audits.row_accounting(before, after)
    return [measured(unexplained), 366 * 24.0, float(rows - steps), measured(lost)]
