"""The benches of inference run, compare answers before they time, and say what they leave out."""

from __future__ import annotations

import csv
import importlib
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

pytest.importorskip("torch")

gpu: Any = importlib.import_module("benches.gpu")
inference: Any = importlib.import_module("benches.inference")


@pytest.mark.parametrize("record", [False, True])
def test_without_an_accelerator_it_says_so(
    record: bool, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """On the screen, and in a record if one is asked for: what was not measured is not silently absent."""
    with (
        mock.patch("sys.argv", ["gpu", *(["--record"] if record else [])]),
        mock.patch.object(gpu, "accelerator", lambda _: None),
        mock.patch.object(gpu.timing, "RECORDS", tmp_path),
    ):
        gpu.main()
    said = "left out: this machine has no accelerator that torch knows, so nothing was measured"
    assert capsys.readouterr().out.startswith(f"{said}\n")
    written = list(tmp_path.glob("*_gpu.csv"))
    assert len(written) == record
    for path in written:
        with path.open(encoding="utf-8") as lines:
            (line,) = csv.DictReader(lines)
        assert (line["note"], line["device"], line["median_s"]) == (said, "none", "")
        assert line["torch"] and line["machine"]


def test_parts_beyond_ten_minutes_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["gpu", "--device", "cpu", "--bars", "400", "--runs", "1", "--record"]
    with (
        mock.patch("sys.argv", words),
        mock.patch.object(gpu, "LIMIT_SECONDS", -1),
        mock.patch.object(gpu.timing, "write", return_value="there") as written,
    ):
        gpu.main()
    rows = written.call_args.args[0]
    assert [line["runs"] for line in rows] == [0, 0, 0]
    assert all("left out" in line["note"] for line in rows)
    assert capsys.readouterr().out.count("left out") == 3


def test_the_whole_bench_runs_on_a_processor_too(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["gpu", "--device", "cpu", "--bars", "400", "--runs", "1", "--record"]
    with (
        mock.patch("sys.argv", words),
        mock.patch.object(gpu.timing, "write", return_value="there") as written,
    ):
        gpu.main()
    rows, where, name, fields = written.call_args.args
    assert (name, where["device"].partition(",")[0]) == ("gpu", "cpu")
    assert {line["part"] for line in rows} == {"transformer", "feed forward", "end to end"}
    assert all(set(line) <= set(fields) for line in rows)
    shares = [float(line["share"]) for line in rows if line["part"] == "end to end"]
    assert len(shares) == 3
    assert sum(shares) == pytest.approx(1.0, abs=0.01)
    assert "recorded in there" in capsys.readouterr().out


def test_wrong_answers_are_not_timed() -> None:
    """The comparison can fail: a loop that scales otherwise is refused."""
    import torch

    real = gpu.loader_loop
    with (
        mock.patch.object(gpu, "loader_loop", lambda *a: real(*a) + 0.1),
        pytest.raises(AssertionError),
    ):
        gpu.transformer(torch.device("cpu"), 400, 1)
    shape = inference.SHAPES["LstmClassifier, 20 x 10"]
    with (
        mock.patch.object(inference, "SHAPES", {"x": inference.Shape(shape.net.clone(), 10, 64)}),
        mock.patch.object(inference, "resident", lambda *_: np.zeros((8, 3))),
        pytest.raises(AssertionError),
    ):
        inference.nets(True, 1)


def test_windows_that_lie_ready_are_those_of_the_table() -> None:
    net = inference.SHAPES["LstmClassifier, 20 x 10"].net.clone()
    values = inference.table(40, 10)
    _, module = inference.ready(net, 10, values)
    found = inference.windows_ready(module, values, 20)
    scaled = ((values - values.mean(axis=0)) / values.std(axis=0)).astype(np.float32)
    assert found.shape == (21, 20, 10)
    for i in (0, 7, 20):
        np.testing.assert_array_equal(found[i].numpy(), scaled[i : i + 20])
