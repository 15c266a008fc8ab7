"""Foreign checkpoints: what torch and scikit-learn say is in them, and nothing runs."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import barproof as bp
from barproof._pickles import Made, Name, read_pickles
from barproof.checkpoints import inspect
from tests.models import forged

GOLDEN = Path(__file__).parents[1] / "golden" / "checkpoints"
TOLD = json.loads((GOLDEN / "told.json").read_text())
DTYPES = {
    "torch.float32": "F32",
    "torch.float64": "F64",
    "torch.float16": "F16",
    "torch.int64": "I64",
}


@pytest.mark.parametrize("name", [name for name in TOLD if name != "torch"])
def test_torch_files_hold_what_torch_says(name: str) -> None:
    assert hashlib.sha256((GOLDEN / name).read_bytes()).hexdigest() == TOLD[name]["sha256"]
    found = inspect(GOLDEN / name)
    assert found.kind == "torch"
    made = {
        row["name"]: [row["dtype"], row["shape"]] for row in found.tensors.iter_rows(named=True)
    }
    assert made == {
        key: [DTYPES[dtype], shape] for key, (dtype, shape) in TOLD[name]["tensors"].items()
    }
    assert found.parameters == TOLD[name]["parameters"]
    assert found.imports == [] and found.notes == []


def test_layers_and_what_is_missing() -> None:
    found = inspect(GOLDEN / "v7_legacy.pt")
    assert [(layer.name.rpartition(".")[2], layer.what) for layer in found.layers] == [
        ("0", "linear 7 -> 6"),
        ("1", "batch norm 6"),
        ("4", "linear 6 -> 5"),
        ("5", "batch norm 5"),
        ("8", "linear 5 -> 3"),
    ]
    # Batch norm is no scaler of the inputs (S001).
    assert "scaler" in found.missing
    assert found.contents["features"] == "'feature_names' in v7_legacy.pt"
    assert found.facts == {"epoch": 25, "val_loss": 0.009572}
    assert json.loads(json.dumps(found.to_dict()))["parameters"] == 123
    lstm = {layer.name: layer.what for layer in inspect(GOLDEN / "lstm_module.pt").layers}
    assert lstm == {
        "lstm": "LSTM 4 -> 8, 2 layers",
        "emb": "embedding 3 x 2",
        "head": "linear 8 -> 2",
    }
    scaled = inspect(GOLDEN / "transformer_state.pt")
    assert scaled.contents["scaler"] == "scaler"
    assert [layer.what for layer in scaled.layers][:3] == [
        "scaler 6",
        "linear 6 -> 8",
        "attention 8",
    ]


def fitted() -> Any:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 4))
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(x, x[:, 0] > 0)


def dumped(**options: Any) -> bytes:
    out = io.BytesIO()
    joblib.dump(fitted(), out, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        *((lambda p=p: pickle.dumps(fitted(), protocol=p), "pickle") for p in range(6)),
        (dumped, "joblib"),
        (lambda: dumped(compress=3), "joblib"),
        (lambda: dumped(compress=("gzip", 3)), "joblib"),
        (lambda: dumped(compress=("bz2", 3)), "joblib"),
        (lambda: dumped(compress=("xz", 3)), "joblib"),
        (lambda: gzip.compress(pickle.dumps(fitted())), "pickle"),
    ],
)
def test_estimators_of_scikit_learn(data: Callable[[], bytes], kind: str, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(data())
    found = inspect(path)
    assert found.kind == kind
    assert found.imports == []
    shapes = {row["name"]: row["shape"] for row in found.tensors.iter_rows(named=True)}
    assert shapes["steps.0.1.mean_"] == [4]
    assert shapes["steps.1.1.coef_"] == [1, 4]
    assert found.contents["scaler"] == "steps.0.1"
    assert {layer.what for layer in found.layers} >= {"scaler 4", "linear 4 -> 1"}
    assert found.facts["steps.0.1.n_features_in_"] == 4


def test_arrays_of_objects_and_forests(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((80, 3))
    names = np.array(["down", "up"], dtype=object)[(x[:, 0] > 0).astype(int)]
    forest = RandomForestClassifier(3, max_depth=2).fit(x, names)
    for write in (joblib.dump, lambda value, to: Path(to).write_bytes(pickle.dumps(value))):
        write(forest, tmp_path / "forest.pkl")
        found = inspect(tmp_path / "forest.pkl")
        assert found.imports == []
        assert found.contents["scaler"] == "none needed: trees"
        assert found.facts["n_features_in_"] == 3


def test_own_bundles_and_bare_safetensors(tmp_path: Path) -> None:
    made = forged.bundle()
    path = made.save(tmp_path / "b")
    found = inspect(path)
    assert found.kind == "barproof bundle"
    assert found.missing == []
    assert made.inspect().to_dict() | {"path": ""} == found.to_dict() | {"path": ""}
    assert found.contents["scaler"] == "model"
    bare = inspect(path / "model.weights.safetensors")
    assert bare.kind == "safetensors"
    assert bare.tensors["shape"].to_list() == [[3], [3], [3, 3], [3]]
    forest = inspect(forged.bundle("boosting").save(tmp_path / "c"))
    assert forest.missing == []


def test_a_folder_as_s002_left_it(tmp_path: Path) -> None:
    """Files, configuration, data, split, features, architecture: six steps, and what each lacks."""
    (tmp_path / "lstm.pt").write_bytes((GOLDEN / "lstm_module.pt").read_bytes())
    (tmp_path / "config.json").write_text(json.dumps({"hidden": 128, "seed": 1, "horizon": 1}))
    (tmp_path / "notes.txt").write_text("accuracy 100%")
    found = inspect(tmp_path)
    assert found.kind == "folder"
    assert found.contents["weights"] == "11 tensors"
    assert found.contents["config"] == "'config' in config.json"
    assert found.contents["label"] == "'horizon' in config.json"
    assert found.missing == [
        *("features", "scaler", "data", "split", "calibration", "metrics", "versions", "probe")
    ]
    assert "notes.txt" in found.notes[0]
    (tmp_path / "selected_features.json").write_text(json.dumps(["rsi", "macd"]))
    (tmp_path / "scaler.pkl").write_bytes(pickle.dumps(StandardScaler().fit(np.eye(2))))
    (tmp_path / "split.json").write_text(json.dumps({"train_end": "2023-01-01"}))
    found = inspect(tmp_path)
    assert found.missing == ["data", "calibration", "metrics", "probe"]


def test_a_storage_that_is_shorter_than_its_tensor(tmp_path: Path) -> None:
    members = forged.unzipped((GOLDEN / "v7_state.pt").read_bytes())
    name = next(name for name in members if name.endswith("data/0"))
    path = tmp_path / "short.pt"
    path.write_bytes(forged.zipped(members | {name: b"\0" * 4}))
    assert inspect(path).notes == [
        "tensor '0.weight' needs 168 bytes of storage '0', the file holds 4"
    ]


# --- nothing runs -----------------------------------------------------------------------------------------------------


class Sneaky(dict[str, Any]):
    """A state dict with something in it."""

    def __init__(self, call: Callable[..., Any], *args: Any) -> None:
        super().__init__()
        self.call, self.args = call, args

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call, self.args


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("how", ["plain", "joblib", "torch", "compressed"])
def test_code_is_named_and_not_run(protocol: int, how: str, tmp_path: Path) -> None:
    canary = tmp_path / "ran"
    value = {"weights": np.zeros(3), "x": Sneaky(os.system, f"touch {canary}")}
    data = pickle.dumps(value, protocol=protocol)
    if how == "joblib":
        out = io.BytesIO()
        joblib.dump(value, out, protocol=protocol)
        data = out.getvalue()
    elif how == "torch":
        data = forged.zipped({"archive/data.pkl": data, "archive/version": b"3\n"})
    elif how == "compressed":
        data = zlib.compress(data)
    path = tmp_path / "model.pt"
    path.write_bytes(data)
    found = inspect(path)
    assert found.imports == ["posix.system" if os.name == "posix" else "nt.system"]
    assert found.tensors["shape"].to_list() == [[3]]
    assert not canary.exists()


@pytest.mark.parametrize(
    ("call", "args"),
    [(eval, ("1",)), (exec, ("1",)), (getattr, (1, "real")), (__import__, ("os",))],
)
def test_ways_around_are_named(call: Any, args: Any, tmp_path: Path) -> None:
    path = tmp_path / "m.pkl"
    path.write_bytes(pickle.dumps({"a": Sneaky(call, *args)}))
    assert inspect(path).imports == [f"builtins.{call.__name__}"]


def test_what_would_be_called_is_described() -> None:
    data = pickle.dumps([Sneaky(os.system, "rm -rf /")], protocol=4)
    (tree,), names = read_pickles(io.BytesIO(data), "it")
    (made,) = tree
    assert isinstance(made, Made)
    assert (made.call, made.args) == (Name(os.system.__module__, "system"), ("rm -rf /",))
    assert names == [made.call]


BROKEN: dict[str, bytes] = {
    "empty": b"",
    "text": b"hello world",
    "zip of nothing": forged.zipped({"a.txt": b""}),
    "half a zip": (GOLDEN / "v7_state.pt").read_bytes()[:500],
    "half a pickle": pickle.dumps(np.zeros(5))[:40],
    "no stop": b"\x80\x04N",
    "pop of nothing": b"\x80\x040.",
    "mark of nothing": b"\x80\x04t.",
    "memo of nothing": b"\x80\x04h\x05.",
    "endless steps": b"\x80\x04" + b"N0" * 400_000 + b".",
    "endless marks": b"\x80\x04" + b"(" * 500_000,
    "long text": b"\x80\x04" + (b"X\x00\x10\x00\x00" + b"a" * 4096) * 3000 + b".",
    "eight exabytes": b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
    "bomb": gzip.compress(b"\x80\x04" + b"\0" * (40 << 20)),
    "skops of nothing": forged.zipped({"schema.json": b"{}"}),
    "headless tensors": forged.header({"a": forged.entry(shape=[1 << 40], offsets=[0, 8])}),
    "array beyond": dumped().replace(b"\x85", b"\x86", 1)[:300],
}

CHECK = """
import sys
from barproof.checkpoints import inspect
from barproof.errors import BarproofError

def peak():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1])

inspect(sys.argv[1])
for path in sys.argv[2:]:
    open("/proc/self/clear_refs", "w").write("5")
    before = peak()
    try:
        inspect(path)
        verdict = "read"
    except BarproofError:
        verdict = "refused"
    print(path, verdict, peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc to measure memory")
def test_broken_files_are_refused_in_little_memory(tmp_path: Path) -> None:
    paths = []
    for i, data in enumerate(BROKEN.values()):
        paths.append(tmp_path / f"{i}.pt")
        paths[-1].write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", CHECK, str(GOLDEN / "v7_state.pt"), *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = [line.split() for line in done.stdout.splitlines()]
    assert [verdict for _, verdict, _ in found] == ["refused"] * len(BROKEN)
    # The bomb is unfolded up to the limit of 32 MiB.
    assert max(int(grown) for *_, grown in found) < 100_000
    for path in paths:
        with pytest.raises(bp.BundleError):
            inspect(path)


def test_flipped_bytes_are_read_or_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    path = tmp_path / "m.pt"
    for name in ("v7_state.pt", "v7_legacy.pt", "lstm_module.pt"):
        whole = (GOLDEN / name).read_bytes()
        for _ in range(150):
            data = bytearray(whole)
            for at in rng.integers(0, len(data), 3):
                data[at] ^= 1 << int(rng.integers(8))
            path.write_bytes(bytes(data))
            try:
                found = inspect(path)
            except bp.BundleError:
                continue
            json.dumps(found.to_dict())


def test_texts_beside_weights_are_no_parameters(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "net.safetensors"
    note = np.frombuffer(b'{"targets": ["WLD"]}', dtype=np.uint8).copy()
    save_file({"told": note, "sha256": note, "body.weight": np.ones((3, 4), np.float32)}, path)
    found = inspect(path)
    assert found.parameters == 12 and found.tensors.height == 3
    assert [layer.name for layer in found.layers] == ["body"]
    # Bytes under another name are weights that somebody quantised.
    save_file({"body.weight": np.ones((3, 4), np.uint8)}, path)
    assert inspect(path).parameters == 12
