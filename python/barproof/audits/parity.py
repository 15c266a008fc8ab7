"""PAR-01: the features are those that the model was trained with."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from barproof import _core
from barproof.audits.common import audited, capped, made, plural
from barproof.audits.model import Finding, Gate, Measured
from barproof.errors import LayoutError

__all__ = ["feature_identity"]


def _names(features: Any) -> list[str]:
    for attribute in ("names", "columns"):
        held = getattr(features, attribute, None)
        if held is not None and not callable(held):
            return [str(name) for name in held if name != "open_time"]
    if isinstance(features, Sequence) and not isinstance(features, str):
        return [str(name) for name in features]
    raise LayoutError(
        f"`features` must be a FeatureSet, a frame or a list of names, was {type(features).__name__}"
    )


class _Trained(NamedTuple):
    """What a model was trained on; with `chosen` it took some of the columns, by its own selection."""

    names: tuple[str, ...]
    digest: str | None = None
    chosen: bool = False


def _bundles(bundles: Any) -> list[_Trained]:
    """Names, recorded digest and selection of each bundle."""
    if hasattr(bundles, "features"):
        bundles = [bundles]
    if not isinstance(bundles, Sequence) or isinstance(bundles, str):
        raise LayoutError(
            f"`bundles` must be bundles or a list of feature names, was {type(bundles).__name__}"
        )
    if bundles and all(isinstance(item, str) for item in bundles):
        return [_Trained(tuple(bundles))]
    out = []
    for i, bundle in enumerate(bundles):
        if not hasattr(bundle, "features"):
            raise LayoutError(f"bundle {i} has no `features`, was {type(bundle).__name__}")
        parts = getattr(bundle, "parts", None)
        facts = [getattr(p, "facts", {}) for p in parts.values()] if isinstance(parts, dict) else []
        chosen = any(isinstance(f, dict) and f.get("selection") for f in facts)
        digest = getattr(bundle, "features_digest", None)
        out.append(_Trained(tuple(map(str, bundle.features)), digest, chosen))
    return out


@audited
def feature_identity(features: Any, bundles: Any) -> Finding:
    """PAR-01: names, order and number of the features are those of the model.

    Parameters
    ----------
    features : FeatureSet, frame or sequence of str
        What is computed now; a column `open_time` is no feature.
    bundles : Bundle, sequence of Bundle, or sequence of str
        What was trained on.

    Returns
    -------
    Finding
        Inconclusive without features or without bundles.

    Raises
    ------
    LayoutError
        If either has no names.

    Examples
    --------
    >>> feature_identity(["a", "b"], ["a", "b"]).outcome
    'pass'
    >>> feature_identity(["a"], ["a", "b"]).evidence["absent"]
    ['b']
    """
    now = _names(features)
    trained = _bundles(bundles)
    gate = Gate("=", 0, "cases S000 and S004", "a model answers other questions than it is asked")
    if not now or not trained or not all(one.names for one in trained):
        return made(
            "PAR-01",
            "inconclusive",
            f"{plural(len(now), 'feature')} against {plural(len(trained), 'model')} of nothing: nothing to compare",
            gate=gate,
            remedy="give the features and bundles that were used",
        )
    rows: list[dict[str, Any]] = []
    title = ""
    evidence: dict[str, Any] = {}
    for i, (names, digest, chosen) in enumerate(trained):
        absent = [name for name in names if name not in now]
        # A model that chose among the columns need not know them all, but must keep their order.
        mine = [name for name in now if name in names] if chosen else now
        extra = [name for name in mine if name not in names]
        moved = [(k, a, b) for k, (a, b) in enumerate(zip_longest(mine, names)) if a != b]
        if moved or len(set(now)) != len(now):
            if not title:
                evidence = {"absent": absent[:20], "extra": extra[:20]}
                title = _title(mine, names, absent, extra, moved)
            rows += [{"model": i, "position": k, "now": a, "model_has": b} for k, a, b in moved]
        elif digest is not None and digest != _core.digest("features/1", list(names)):
            title = (
                title
                or f"the digest in model {i} is not that of its own {len(names)} feature names"
            )
            rows.append(
                {
                    "model": i,
                    "recorded": digest,
                    "of_names": _core.digest("features/1", list(names)),
                }
            )
    measured = Measured(
        "features that differ", max(len(rows), int(bool(title))), "count", n=len(now)
    )
    if rows or title:
        return made(
            "PAR-01",
            "fail",
            title,
            measured=measured,
            gate=gate,
            evidence={
                **capped(rows, len(rows)),
                **evidence,
                "now": len(now),
                "model": len(trained[0].names),
            },
            cause=(
                "another version of the feature list",
                "columns in order of insertion",
                "a column added by hand",
            ),
            remedy="compute the features of the bundle: bp.FeatureSet(list(bundle.features)).compute(candles)",
            fixable=True,
        )
    return made(
        "PAR-01",
        "pass",
        f"{plural(len(now), 'feature')} the same, in the same order, in {plural(len(trained), 'model')}",
        measured=measured,
        gate=gate,
    )


def _title(
    now: list[str],
    names: Sequence[str],
    absent: list[str],
    extra: list[str],
    moved: list[tuple[int, Any, Any]],
) -> str:
    """Say first what is wrong with a list of features: twice there, lacking, unknown, or moved."""
    if len(set(now)) != len(now):
        return f"a feature stands twice among {plural(len(now), 'feature')}"
    if absent or extra:
        told = []
        if absent:
            told.append(f"lack {plural(len(absent), 'feature')} of the model, first `{absent[0]}`")
        if extra:
            told.append(f"hold {len(extra)} that it never saw, first `{extra[0]}`")
        return f"{len(now)} features against {len(names)} of the model: they {' and '.join(told)}"
    _, a, b = moved[0]
    return f"{plural(len(moved), 'feature')} stand in another order than in the model: first `{a}` where it has `{b}`"
