"""Bits of every function, and snapshots of every release.

A digest that differs means that a feature gives other bits than before: models and backtests that rest on it change. If
that is meant, write the digests again with ``python -m tests.features.pinned``, in a commit of its own with a line
under "Changed values" in CHANGELOG.md; new functions only add lines. A snapshot that does not go on as it should means
that ``SNAPSHOT_FORMAT`` must rise, so that its owners are told how many bars rebuild the state.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

import barproof as bp
from tests.features import pinned

RELEASES = sorted(pinned.SNAPSHOTS.glob("*.bin"))


def test_every_function_is_pinned() -> None:
    names = (*pinned.features().names, *pinned.patterns().names)
    for row in bp._core.feature_table():
        assert any(name.startswith(f"{row['name']}(") for name in names)
    assert list(json.loads(pinned.DIGESTS.read_text(encoding="utf-8"))) == list(names)


def test_bits_are_those_that_were_pinned() -> None:
    expected = json.loads(pinned.DIGESTS.read_text(encoding="utf-8"))
    found = pinned.digests()
    moved = [name for name, digest in found.items() if expected.get(name) != digest]
    assert not moved, f"features that give other bits: {', '.join(moved)}"


def test_columns_hold_more_than_their_warm_up() -> None:
    """A digest over NaN alone would pin nothing."""
    table, patterns = pinned.tables()
    for name in table.columns[1:]:
        known = table[name].drop_nans()
        assert len(known) > 2_000, name
        # Flags and directions have two values; the market has no holes, and prices fall below no threshold.
        still = ("time_gap()", "cusum(close, 200).down")
        assert known.n_unique() > 1 or name in still, name
    for name in patterns.columns[1:]:
        assert np.count_nonzero(patterns[name].drop_nans().to_numpy()) > 2, name


@pytest.mark.parametrize("path", RELEASES, ids=lambda path: path.stem)
def test_snapshots_of_releases_go_on_with_the_same_bits_or_say_what_a_rebuild_takes(
    path: Path,
) -> None:
    candles = pinned.candles()
    names = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    features = bp.FeatureSet(names)
    state = path.read_bytes()
    if state[8:12] != pinned.snapshot()[8:12]:
        with pytest.raises(bp.FeatureError, match="rebuild with update_many"):
            features.stream("5m").restore(state)
        return
    stream = features.stream("5m").restore(state)
    assert stream.bars == pinned.SAVED
    rest = stream.update_many(candles[pinned.SAVED :])
    whole = features.stream("5m").update_many(candles)
    np.testing.assert_array_equal(rest, whole[pinned.SAVED :])


def test_there_is_a_snapshot_of_this_version() -> None:
    assert bp.__version__ in [path.stem for path in RELEASES]


def test_another_format_names_the_bars_that_rebuild_the_state() -> None:
    features = pinned.features()
    state = bytearray(pinned.snapshot())
    assert state[:8] == b"BPFEATS\n"
    (now,) = struct.unpack("<I", state[8:12])
    state[8:12] = struct.pack("<I", now + 1)
    message = f"snapshot has format {now + 1}, this version reads {now}: rebuild with update_many from the first bar"
    with pytest.raises(bp.FeatureError, match=message):
        features.stream("5m").restore(bytes(state))
    finite = bp.FeatureSet(["sma(20)@1h"]).stream("5m")
    with pytest.raises(bp.FeatureError, match=r"rebuild with update_many of the last 252 bars"):
        finite.restore(bytes(state))
