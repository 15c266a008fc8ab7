"""Features: what a model is told about each bar, and nothing that the bar could not know."""

from __future__ import annotations

from barproof.features.bar_clock import BarClock, TimedRow
from barproof.features.memory import Memory, cumulative, fading, finite
from barproof.features.own import OwnFeature, feature
from barproof.features.sets import FeatureSet
from barproof.features.streams import FeatureStream
from barproof.features.tables import windows
from barproof.features.verification import Verification

__all__ = [
    "BarClock",
    "FeatureSet",
    "FeatureStream",
    "Memory",
    "OwnFeature",
    "TimedRow",
    "Verification",
    "cumulative",
    "fading",
    "feature",
    "finite",
    "windows",
]
