"""`Decision`: what a live session says at the close of a bar, and the published schema of its JSON."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from barproof.errors import ParameterError

__all__ = ["SCHEMA", "Decision", "decision_schema", "schema_text"]

SCHEMA = "barproof-decision/1"

_ACTIONS = ("enter", "exit", "reverse", "hold", "wait", "none", "withheld", "ruined")


class Decision(NamedTuple):
    """What to do after a closed bar. No order is ever sent: whoever reads this sends one, or does not.

    Times are milliseconds UTC; None where there is nothing to say.

    Attributes
    ----------
    symbol : str
        Market.
    open_time, close_time, decided_at : int
        Of the bar, and when it was decided by the clock of the session.
    action : str
        ``enter`` (an order to place), ``exit`` (leave at the next open), ``reverse`` (both), ``hold`` (a position
        stays), ``wait`` (a resting order stays), ``none`` (flat, and nothing to do), ``withheld`` (an entry was wanted
        and is not allowed), ``ruined``.
    side : {"long", "short"} or None
        Of the order to place, or else of the position.
    order_type : {"market", "limit"} or None
        Of the entry.
    entry_zone : tuple of (float, float) or None
        From the limit level to the current price, lower price first; for a market order both are the close.
    stop, target : float or None
        Levels of the entry if it fills at the zone's far end, or those in force of the position.
    size : float or None
        Share of the equity put up as margin and fee, in (0, 1].
    quantity : float or None
        Units of the base that this makes of the session's equity.
    leverage : float or None
        Notional per margin.
    confidence : float or None
        Calibrated probability of the side (a score of a regression) at the decision.
    valid_until : int or None
        Close of the last bar in which the entry may fill; an exit is for the next open.
    reason : str or None
        Why a position is left: signal, time, reverse.
    position : int
        Held over the close by the paper account: 1 long, -1 short, 0 flat.
    equity : float
        Of the paper account, marked at the close.
    p_long, p_short, p_exit_long, p_exit_short : float or None
        What the model says at this close.
    withheld : str or None
        Why no entry was allowed at this bar.
    features, feature_set, model, rules, code : str
        Digests: values of the features at this bar, their names, bundle, rules, and the code that ran.
    """

    symbol: str
    open_time: int
    close_time: int
    decided_at: int
    action: str
    side: str | None
    order_type: str | None
    entry_zone: tuple[float, float] | None
    stop: float | None
    target: float | None
    size: float | None
    quantity: float | None
    leverage: float | None
    confidence: float | None
    valid_until: int | None
    reason: str | None
    position: int
    equity: float
    p_long: float | None
    p_short: float | None
    p_exit_long: float | None
    p_exit_short: float | None
    withheld: str | None
    features: str
    feature_set: str
    model: str
    rules: str
    code: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values by name, in the shape of the published schema.

        Returns
        -------
        dict
            For JSON.
        """
        out: dict[str, Any] = {"schema": SCHEMA}
        out.update(self._asdict())
        zone = self.entry_zone
        out["entry_zone"] = None if zone is None else list(zone)
        out["probabilities"] = {name: out.pop(f"p_{name}") for name in _SIDES}
        out["digests"] = {name: out.pop(name) for name in _DIGESTS}
        return out

    def to_json(self) -> str:
        """One line of JSON; floats come back bit for bit.

        Returns
        -------
        str
            Held by :func:`decision_schema`.
        """
        return _encode(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Decision:
        """Read what :meth:`to_json` wrote.

        Parameters
        ----------
        text : str
            One document.

        Returns
        -------
        Decision
            Equal to the one that was written.

        Raises
        ------
        ParameterError
            If it is none.
        """
        try:
            held = json.loads(text)
            zone = held.pop("entry_zone")
            held.update({f"p_{name}": value for name, value in held.pop("probabilities").items()})
            held.update(held.pop("digests"))
            held.pop("schema")
            return cls(entry_zone=None if zone is None else (zone[0], zone[1]), **held)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise ParameterError(
                "the text is no decision: it must be the JSON that to_json() wrote"
            ) from error


_SIDES = ("long", "short", "exit_long", "exit_short")
_DIGESTS = ("features", "feature_set", "model", "rules", "code")
_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":"), check_circular=False).encode


def decision_schema() -> dict[str, Any]:
    """Make the schema of what :meth:`Decision.to_json` writes.

    Returns
    -------
    dict
        JSON Schema, draft 2020-12; also in ``docs/schemas/``.
    """
    text, number, whole = {"type": "string"}, {"type": "number"}, {"type": "integer"}
    digest = {"type": "string", "pattern": "^[0-9a-f]{16,64}$"}

    def or_null(kind: dict[str, Any]) -> dict[str, Any]:
        return {"anyOf": [kind, {"type": "null"}]}

    def record(fields: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "required": list(fields),
            "properties": fields,
            "additionalProperties": False,
        }

    fields: dict[str, Any] = {
        "schema": {"const": SCHEMA},
        "symbol": text,
        **dict.fromkeys(("open_time", "close_time", "decided_at"), whole),
        "action": {"enum": list(_ACTIONS)},
        "side": {"enum": ["long", "short", None]},
        "order_type": {"enum": ["market", "limit", None]},
        "entry_zone": or_null(
            {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0}, "minItems": 2}
            | {"maxItems": 2}
        ),
        "stop": or_null({"type": "number", "exclusiveMinimum": 0}),
        "target": or_null({"type": "number", "exclusiveMinimum": 0}),
        "size": or_null({"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
        "quantity": or_null({"type": "number", "exclusiveMinimum": 0}),
        "leverage": or_null({"type": "number", "exclusiveMinimum": 0}),
        "confidence": or_null(number),
        "valid_until": or_null(whole),
        "reason": {"enum": ["signal", "time", "reverse", None]},
        "position": {"enum": [-1, 0, 1]},
        "equity": {"type": "number", "minimum": 0},
        "withheld": or_null(text),
        "probabilities": record(dict.fromkeys(_SIDES, or_null(number))),
        "digests": record({**dict.fromkeys(_DIGESTS[:-1], digest), "code": text}),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Decision of a live session",
        "description": "What to do after a closed bar; times in milliseconds UTC.",
        **record(fields),
    }


def schema_text() -> str:
    """Give the schema as it is published."""
    return json.dumps(decision_schema(), indent=2) + "\n"
