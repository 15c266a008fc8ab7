"""The published JSON schema of audit reports."""

from __future__ import annotations

import json
from typing import Any

from barproof.audits.model import OUTCOMES, SEVERITIES
from barproof.audits.report import SCHEMA, VERDICTS

__all__ = ["report_schema", "schema_text"]

_TEXT = {"type": "string"}
_NUMBER = {"type": ["number", "null"]}
_TEXTS = {"type": "array", "items": _TEXT}


def _record(required: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Describe an object with these keys and no others."""
    return {
        "type": "object",
        "required": list(required),
        "properties": required,
        "additionalProperties": False,
        **more,
    }


def report_schema() -> dict[str, Any]:
    """Make the schema of what :meth:`Report.to_json` writes.

    Returns
    -------
    dict
        JSON Schema, draft 2020-12; also in ``docs/schemas/``.
    """
    numbers = ("value", "low", "high", "level", "n", "n_eff", "p_value")
    measured = _record(
        {
            **dict.fromkeys(("name", "unit", "form", "method", "reason"), _TEXT),
            **dict.fromkeys(numbers, _NUMBER),
        }
    )
    gate = _record(
        {
            **dict.fromkeys(("operator", "source", "why"), _TEXT),
            "threshold": {"type": ["number", "string", "null"]},
        }
    )
    waiver = _record(
        {
            **dict.fromkeys(("code", "reason", "owner"), _TEXT),
            **{key: {"type": "string", "format": "date"} for key in ("created", "expires")},
            "accepts": {"type": "number"},
            **{
                key: {"type": "object", "additionalProperties": _TEXT}
                for key in ("scope", "inputs")
            },
        }
    )

    def or_null(schema: dict[str, Any]) -> dict[str, Any]:
        """Describe what may be absent."""
        return {"anyOf": [schema, {"type": "null"}]}

    finding = _record(
        {
            "id": {"type": "string", "pattern": "^[A-Z]+-[0-9]{2}$"},
            "slug": _TEXT,
            "outcome": {"enum": list(OUTCOMES)},
            "severity": {"enum": list(SEVERITIES)},
            "title": _TEXT,
            "measured": or_null({"$ref": "#/$defs/measured"}),
            "gate": or_null({"$ref": "#/$defs/gate"}),
            "evidence": {"type": "object"},
            "cause": _TEXTS,
            "remedy": _TEXT,
            "fixable": {"type": "boolean"},
            "scope": {"type": "object"},
            "assumptions": {"type": "object"},
            "provenance": {"type": "object"},
            "waiver": or_null({"$ref": "#/$defs/waiver"}),
            "docs": _TEXT,
        }
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Audit report of barproof",
        "description": "NaN and infinities are null, with a reason beside them.",
        **_record(
            {
                "schema": {"const": SCHEMA},
                "verdict": {"enum": list(VERDICTS)},
                "exit_code": {"enum": list(VERDICTS.values())},
                "reasons": _TEXTS,
                "required": _TEXTS,
                "fail_on": {"enum": list(SEVERITIES)},
                "counts": {
                    "type": "object",
                    "propertyNames": {"enum": list(OUTCOMES)},
                    "additionalProperties": {
                        "type": "object",
                        "propertyNames": {"enum": list(SEVERITIES)},
                        "additionalProperties": {"type": "integer", "minimum": 1},
                    },
                },
                "inputs": {"type": "object"},
                "provenance": {"type": "object"},
                "findings": {"type": "array", "items": {"$ref": "#/$defs/finding"}},
            }
        ),
        "$defs": {"finding": finding, "measured": measured, "gate": gate, "waiver": waiver},
    }


def schema_text() -> str:
    """Write ``docs/schemas/audit-report-1.schema.json``.

    Returns
    -------
    str
        Indented JSON.
    """
    return json.dumps(report_schema(), indent=2) + "\n"
