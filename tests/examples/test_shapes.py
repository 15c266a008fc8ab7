"""That full size is the shape of each case, as far as it can be seen without training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from examples.casework import Case, Told
from examples.s000_cross_market import study as s000
from examples.s001_raw_prices import study as s001
from examples.s002_all_up import study as s002
from examples.s003_flat import study as s003
from examples.s004_gating import system as s004

import barproof as bp


def full(tmp_path: Path, variant: Any = "broken") -> Case:
    """A case of full size that has not begun."""
    return Case(Told("x", variant, "full", 7, None), tmp_path)


def test_s000_is_240_channels_and_nine_million_parameters(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    assert len(s000.MARKETS) == 12 and len(s000.FEATURES.names) == 20
    at = s000.MARKETS.index("WLD") * 20
    assert (at, at + 19) == (120, 139)
    net = s000.net(full(tmp_path))
    shape = (net.window, net.steps, net.d_model, net.heads, net.encoders, net.decoders)
    assert shape == (120, 24, 256, 8, 6, 4)
    module = net.sequence_module(240, 240)
    held = sum(p.numel() for p in module.parameters())
    # The case had 8,995,009; what lay at its ends is not told.
    assert abs(held / 8_995_009 - 1) < 0.01
    import torch

    with torch.no_grad():
        assert module.eval()(torch.zeros(2, 120, 240)).shape == (2, 24, 240)


def test_s001_is_72_features_of_three_symbols_and_two_years_of_minutes(tmp_path: Path) -> None:
    assert len(s001.NAMES) == 72 and list(s001.PRICES) == ["BTC", "ETH", "SOL"]
    assert s001.PRICES["BTC"] == 79_568.0
    assert s001.BARS["full"] == 730 * 24 * 60
    net = s001.v7(full(tmp_path), "BTC")
    assert net.hidden == (256, 128, 64) and net.dropout == 0.3 and net.batch_norm
    assert (net.loss, net.label_smoothing, net.learning_rate) == ("focal", 0.05, 0.001)


def test_s002_is_51_980_hours_in_three_parts(tmp_path: Path) -> None:
    assert s002.PARTS["full"] == (35_041, 8_784, 8_155)
    assert sum(s002.PARTS["full"]) == 51_980
    lstm: Any = s002.net(full(tmp_path)).models[0]
    assert (lstm.hidden, lstm.layers, lstm.window, lstm.embedding) == (128, 2, 20, 2)


def test_s003_is_293_917_bars_and_two_nets(tmp_path: Path) -> None:
    assert s003.BARS["full"] == 293_917
    shapes = {
        variant: (net.window, net.d_model, net.heads, net.layers, net.feed_forward)
        for variant in ("broken", "mended")
        for net in [s003.net(full(tmp_path, variant))]
    }
    assert shapes == {"broken": (48, 128, 8, 3, 192), "mended": (32, 96, 4, 2, 192)}


def test_s004_is_108_windows_of_four_models_and_a_grid(tmp_path: Path) -> None:
    case = full(tmp_path)
    candles = s004.market(case)
    assert len(candles) == 30_004 and candles.interval_ms == 300_000
    folds = s004._folds(case, candles).folds(candles, bp.labels.horizon(candles, bars=1))
    assert len(folds) == 108 and {len(fold.test) for fold in folds} == {5 * s004.DAY}
    windows = s004._windows(case, (int(folds[0].test[0]), int(folds[-1].test[-1]) + 1))
    assert len(windows) == 108 and {b - a for a, b in windows} == {5 * s004.DAY}
    grid = s004._grid(case)
    rules = grid.rules
    assert (rules.leverage, rules.stop_loss, rules.stop_loss_kind) == (4, 0.03, "equity")
    tried: Any = grid
    assert {one.entry_long for one in tried} == {0.75, 0.80}
    assert {one.exit_long for one in tried} == {0.75, 0.80, 0.90}
    names = [
        len(bp.FeatureSet.preset(f"gating_{name}").names)
        for name in ("long_85", "short_79", "109", "171")
    ]
    assert names == [85, 79, 109, 171]
    # Mended: windows that share no day, on a longer market that has something to find.
    mended = full(tmp_path, "mended")
    longer = s004.market(mended)
    assert len(longer) == (75 + 108 * 5) * s004.DAY
    folds = s004._folds(mended, longer).folds(longer, bp.labels.horizon(longer, bars=1))
    assert len(folds) == 108
    assert all(a.test[-1] < b.test[0] for a, b in zip(folds, folds[1:], strict=False))
