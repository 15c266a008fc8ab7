"""An example of every error of bundles on disk: id, call, class, exact message."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import barproof as bp
from barproof import models
from barproof._bundle_files import MANIFEST
from barproof._tensors import read_header, read_tensors, write_tensors
from barproof.models.state import Reading, State, take_arrays
from tests.models import forged
from tests.models.forged import BINARY, WALK, X, bundle, contents, sign, sound
from tests.models.market import quiet

Example = tuple[str, Callable[[], object], type[BaseException], str]

READING = Reading("bundle 'b'", 1 << 20)
TREES = "trees.skops"


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Work in an empty folder."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as path:
        os.chdir(path)
        try:
            yield Path()
        finally:
            os.chdir(before)


def load(change: Callable[[Path], object], **options: Any) -> Callable[[], object]:
    """Load a bundle that something was done to; sizes that vary are written as 0."""

    def call() -> object:
        with folder() as here:
            path = sound(here)
            change(path)
            try:
                return bp.Bundle.load("bundle", **options)
            except bp.BundleError as error:
                plain = re.sub(r"has [\d,]+ bytes", "has 0 bytes", str(error))
                error.args = (re.sub(r"file of [\d,]+ bytes", "file of 0 bytes", plain),)
                raise

    return call


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def edit(path: Path) -> None:
        document, _ = contents(path)
        change(document)
        sign(path, document)

    return edit


def write(path: str) -> Callable[[], object]:
    def call() -> object:
        with folder() as here:
            (here / "mine").mkdir()
            return bundle().save(path)

    return call


def no_exchange() -> object:
    with folder() as here, mock.patch("sys.platform", "plan9"):
        sound(here)
        try:
            return bundle().save("bundle")
        except bp.FileError as error:
            error.args = (str(error).replace(os.getcwd(), "FOLDER"),)
            raise


def read(name: str, data: bytes) -> Callable[[], object]:
    from barproof.models.state import load_object

    return lambda: load_object(data, name, READING)


@contextlib.contextmanager
def trees() -> Iterator[bytes]:
    with folder() as here:
        yield contents(sound(here, "boosting"))[1]["model.trees.skops"]


def tampered(change: Callable[[bytes], bytes], **limits: Any) -> Callable[[], object]:
    from barproof.models.state import load_object

    def call() -> object:
        with trees() as data:
            return load_object(
                change(data), TREES, Reading("bundle 'b'", limits.get("limit", 1 << 26))
            )

    return call


class Unsaved(models.Logistic):
    state = None  # type: ignore[assignment]


def own(**options: Any) -> Callable[[], object]:
    def change(document: dict[str, Any]) -> None:
        document["parts"]["model"]["type"] = "mine.Net"

    return load(edited(change), **options)


def features(document: dict[str, Any]) -> None:
    document["bundle"]["features"].reverse()


def no_kind(document: dict[str, Any]) -> None:
    del document["bundle"]["parts"]["model"]["kind"]


def without_parts(document: dict[str, Any]) -> None:
    document["parts"] = {}


def probe_gap() -> object:
    made = bundle()
    rows = np.ones((1, 3))
    bare = bp.Bundle(made.parts, made.features, made.manifest | {"versions": {}}, probe=rows)
    assert bare._answers is not None
    bare._answers["model"][:] = [[1.0, 0.0, 0.0]]
    raw = made.parts["model"].predict(rows)
    with mock.patch.object(
        type(bare), "_answer", lambda *_: {"model": raw * 0 + [0.5, 0.25, 0.25]}
    ):
        return bare.verify()


def look(name: str, data: bytes) -> Callable[[], object]:
    """Inspect a file of this content."""

    def call() -> object:
        with folder() as here:
            (here / name).write_bytes(data)
            return bp.checkpoints.inspect(name)

    return call


def pickled(data: bytes) -> Callable[[], object]:
    return look("m.pkl", data)


SERIES = np.random.default_rng(0).standard_normal((50, 4))


def search(series: Any = SERIES, rows: Any = range(10, 40), outputs: int = 2, **o: Any) -> object:
    def forward(windows: Any, _: bool) -> Any:
        return np.zeros((len(windows), 3, outputs))

    given: dict[str, Any] = {"stored": 1.0, "window": 5, "steps": 3, "groups": {"A": [0, 1]}}
    return bp.checkpoints.recreate(forward, series, np.array(rows), **given | o)


def search_bundle(**options: Any) -> object:
    given: dict[str, Any] = {"stored": 1.0, "metric": "log_loss", "X": X}
    return bp.checkpoints.recreate_bundle(bundle(), forged.BARS, **given | options)


def untold() -> object:
    from barproof.cli.bundle import _told

    return _told(bundle(), None, "luck")


def array_beyond() -> object:
    import io

    import joblib

    out = io.BytesIO()
    joblib.dump(np.zeros(8), out)
    return pickled(out.getvalue()[:-10])()


EXAMPLES: list[Example] = [
    (
        "no checkpoint",
        lambda: bp.checkpoints.inspect("nowhere.pt"),
        bp.FileError,
        "there is no checkpoint 'nowhere.pt': check the path",
    ),
    (
        "unknown kind",
        pickled(b"hello"),
        bp.BundleError,
        "checkpoint 'm.pkl' is of no kind that is known here: it begins with b'hello'; known are bundles, safetensors, torch, joblib, pickle and skops",
    ),
    (
        "compressed and cut",
        pickled(b"\x1f\x8bxxxxxxxx"),
        bp.BundleError,
        "checkpoint 'm.pkl' cannot be unfolded: Error -3 while decompressing data: unknown compression method; it is damaged",
    ),
    (
        "compressed bomb",
        pickled(gzip.compress(b"\0" * (33 << 20))),
        bp.BundleError,
        "checkpoint 'm.pkl' unfolds to more than 33,554,432 bytes: save it without compression to have it looked at",
    ),
    (
        "half a zip",
        pickled(b"PK\x03\x04"),
        bp.BundleError,
        "checkpoint 'm.pkl' is a zip that cannot be read: File is not a zip file; it is damaged",
    ),
    (
        "zip without checkpoint",
        pickled(forged.zipped({"a.txt": b""})),
        bp.BundleError,
        "checkpoint 'm.pkl' is a zip without a checkpoint that can be read: it holds a.txt; torch writes data.pkl and skops schema.json",
    ),
    (
        "skops without class",
        pickled(forged.zipped({"schema.json": b"{}"})),
        bp.BundleError,
        "checkpoint 'm.pkl' is a skops file that names no class: it is damaged",
    ),
    (
        "large JSON",
        look("config.json", b" " * (3 << 20)),
        bp.BundleError,
        "checkpoint 'config.json' has 3,145,728 bytes: no configuration needs that many",
    ),
    (
        "no JSON",
        look("config.json", b"{"),
        bp.BundleError,
        "checkpoint 'config.json' is no JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
    ),
    (
        "broken pickle",
        pickled(b"\x80\x040."),
        bp.BundleError,
        "checkpoint 'm.pkl' is no pickle that can be followed: IndexError: pop from empty list; it is damaged, or made to confuse",
    ),
    (
        "endless pickle",
        pickled(b"\x80\x04" + b"N0" * 200_001 + b"."),
        bp.BundleError,
        "checkpoint 'm.pkl' takes more than 400,000 steps or 8,388,608 bytes of text to read: no checkpoint needs that many",
    ),
    (
        "array beyond the file",
        array_beyond,
        bp.BundleError,
        "checkpoint 'm.pkl' announces an array of 64 bytes with 55 left in the file: it is damaged",
    ),
    (
        "series",
        lambda: search(np.zeros(5)),
        bp.ShapeError,
        "`series` has shape (5,): give one row a bar, one column a channel",
    ),
    (
        "loss",
        lambda: search(loss="luck"),
        bp.ParameterError,
        "`loss` must be mse, mae, huber, was 'luck'",
    ),
    (
        "stored",
        lambda: search(stored=0.0),
        bp.ParameterError,
        "`stored` must be above 0 and finite, was 0.0",
    ),
    (
        "rows",
        lambda: search(rows=[3, 20]),
        bp.ParameterError,
        "`rows` must leave 5 bars before and 5 after them in the 50 of the series: were 3 to 20",
    ),
    (
        "steps",
        lambda: search(steps=2),
        bp.ShapeError,
        "the model gives outputs of shape (3, 2) a window, not (2, n_outputs): tell `steps`, or wrap it",
    ),
    (
        "outputs",
        lambda: search(outputs=3),
        bp.ShapeError,
        "the model has 3 outputs, but there are 4 channels, and groups of A 2: name the group that it predicts in `groups`",
    ),
    (
        "stored metric",
        lambda: search_bundle(stored=0.0),
        bp.ParameterError,
        "`stored` must be finite and not 0, was 0.0",
    ),
    (
        "metric",
        lambda: search_bundle(metric="luck"),
        bp.BundleError,
        "no reading of the bundle has a metric `luck`: ternary labels have accuracy, log_loss, brier, auc, ..., and rows with both label and prediction are needed",
    ),
    (
        "metric of the manifest",
        untold,
        bp.BundleError,
        "the manifest tells no `luck` of test rows, but accuracy, auc_down, auc_up, log_loss, brier: name one of them with `--metric`, or give `--value`",
    ),
    (
        "no file of arrays",
        lambda: read_header(b"1234", 4, "'x'"),
        bp.BundleError,
        "'x' is no safetensors file: its first 8 bytes announce a header of 0 bytes, the file has 4; save it again",
    ),
    (
        "header is no object",
        lambda: read_header(forged.header([1]), 11, "'x'"),
        bp.BundleError,
        "'x' is no safetensors file: its header is no JSON object; save it again",
    ),
    (
        "tensor too large",
        lambda: read_tensors(forged.header({"a": forged.entry(shape=[9])}, data=b"\0" * 8), "'x'"),
        bp.BundleError,
        "tensor 'a' of 'x' is declared as {'dtype': 'F64', 'shape': [9], 'data_offsets': [0, 8]}, which does not fit the 77 bytes of the file: it is damaged",
    ),
    (
        "bytes behind the last tensor",
        lambda: read_tensors(write_tensors({}) + b"\0\0\0", "'x'"),
        bp.BundleError,
        "'x' has 3 bytes behind its last tensor: it is damaged, or something hides there",
    ),
    (
        "type without numpy",
        lambda: read_tensors(
            forged.header({"a": forged.entry("BF16", [1], [0, 2])}, data=b"\0\0"), "'x'"
        ),
        bp.BundleError,
        "tensor 'a' of 'x' is of type BF16, which numpy has not: save it as F32",
    ),
    (
        "arrays of another model",
        lambda: take_arrays(
            State({"weights.safetensors": write_tensors({"a": np.ones(2)})}), {"b": (3,)}, READING
        ),
        bp.BundleError,
        "'weights.safetensors' of bundle 'b' holds {'a': ('<f8', (2,))}, but the model needs finite float64 arrays {'b': (3,)}: the file belongs to another model",
    ),
    (
        "no skops",
        read(TREES, b"no"),
        bp.BundleError,
        "'trees.skops' of bundle 'b' is no skops file: BadZipFile: File is not a zip file; save it again",
    ),
    (
        "skops without schema",
        read(TREES, forged.zipped({"a.json": b"{}"})),
        bp.BundleError,
        "'trees.skops' of bundle 'b' is no skops file that can be read: KeyError: \"There is no item named 'schema.json' in the archive\"; save it again",
    ),
    (
        "unfolds",
        read(TREES, forged.zipped({"schema.json": b" " * 40_000}, squeeze=True)),
        bp.BundleError,
        "'trees.skops' of bundle 'b' unfolds to 40,000 bytes, 40,000 of them its schema, the limits are 1,048,576 and 32,768: if you trust where it comes from, load with a larger limit_bytes=",
    ),
    (
        "odd member",
        read(TREES, forged.zipped({"schema.json": b"{}", "run.py": b""})),
        bp.BundleError,
        "'trees.skops' of bundle 'b' holds 'run.py', which is no array of the size that it declares: it is damaged",
    ),
    (
        "not reviewed",
        tampered(
            lambda old: forged.swap_schema(
                forged.swap_schema(old, '"TreePredictor"', '"system"'),
                '"sklearn.ensemble._hist_gradient_boosting.predictor"',
                '"posix"',
            )
        ),
        bp.BundleError,
        "'trees.skops' of bundle 'b' would construct posix.system, which nobody has reviewed: if you trust where it comes from, load with trusted=['posix.system']",
    ),
    (
        "cannot be constructed",
        tampered(lambda old: forged.swap_schema(old, '"nodes": {', '"knots": {')),
        bp.BundleError,
        "'trees.skops' of bundle 'b' cannot be read: AttributeError: 'TreePredictor' object has no attribute 'nodes'; it was saved by another version of scikit-learn, or is damaged",
    ),
    (
        "impossible tree",
        tampered(lambda old: forged.with_nodes(old, forged.set_node("feature_idx", 7))),
        bp.BundleError,
        "'trees.skops' of bundle 'b' holds a tree that cannot be: a node looks at feature 7 of 3; it is damaged, or made to crash",
    ),
    (
        "no manifest",
        load(lambda path: (path / MANIFEST).unlink()),
        bp.BundleError,
        "bundle 'bundle' has no readable manifest.json of at most 2,097,152 bytes: give the folder that save() made",
    ),
    (
        "no folder",
        lambda: bp.Bundle.load("nowhere"),
        bp.BundleError,
        "there is no bundle 'nowhere': give the folder that save() made",
    ),
    (
        "edited manifest",
        load(lambda path: (path / MANIFEST).write_text("{}")),
        bp.BundleError,
        "manifest.json of bundle 'bundle' is not as it was written: it is damaged or was edited; take it from its source again",
    ),
    (
        "another format",
        load(edited(lambda document: document.update(format="barproof-bundle/9"))),
        bp.BundleError,
        "bundle 'bundle' is of format 'barproof-bundle/9', this version reads 'barproof-bundle/1': load it with the barproof that saved it",
    ),
    (
        "missing member",
        load(lambda path: (path / "probe.safetensors").unlink()),
        bp.BundleError,
        "bundle 'bundle' lacks its file 'probe.safetensors': it was not copied whole",
    ),
    (
        "extra member",
        load(lambda path: (path / "run.py").write_text("")),
        bp.BundleError,
        "bundle 'bundle' holds 'run.py', which its manifest does not know: nothing may be put into it; remove it",
    ),
    (
        "limit",
        load(lambda path: None, limit_bytes=10),
        bp.BundleError,
        "bundle 'bundle' has 0 bytes, the limit is 10: if you trust where it comes from, load with a larger limit_bytes=",
    ),
    (
        "damaged member",
        load(lambda path: (path / "probe.safetensors").write_bytes(b"")),
        bp.BundleError,
        "'probe.safetensors' of bundle 'bundle' is not the file of 0 bytes that was saved: it is damaged, or a link; take it from its source again",
    ),
    (
        "features changed",
        load(edited(features)),
        bp.BundleError,
        "the list of features of bundle 'bundle' is not the one that it was trained with: names or order were changed",
    ),
    (
        "put together",
        load(edited(no_kind)),
        bp.BundleError,
        "bundle 'bundle' cannot be put together: KeyError: 'kind'; its manifest does not fit its files, save it again",
    ),
    (
        "files of another",
        load(edited(without_parts)),
        bp.BundleError,
        "the probe of bundle 'bundle' is not of its features and parts: the files belong to another bundle",
    ),
    (
        "own model",
        own(),
        bp.BundleError,
        "bundle 'bundle' holds a model of your own, 'mine.Net': give its class, Bundle.load(path, factory=...)",
    ),
    (
        "factory",
        own(factory=len),
        bp.LayoutError,
        "`factory` must be a class with `restore`, was <built-in function len>: give the class of 'mine.Net'",
    ),
    (
        "no probe",
        lambda: bp.Bundle(bundle().parts, bundle().features, bundle().manifest).verify(),
        bp.BundleError,
        "the bundle has no probe rows to check it by: take it from train, or give Bundle(..., probe=rows)",
    ),
    (
        "predicts otherwise",
        probe_gap,
        bp.BundleError,
        "part `model` predicts its probe rows otherwise than when it was saved: they differ by 0.5, 1e-09 is allowed; weights or features are not those of training, or the versions that it was saved by matter",
    ),
    (
        "cannot be saved",
        lambda: quiet(Unsaved(), X, BINARY, WALK).bundles[0].save("b"),
        bp.BundleError,
        "model Unsaved of part `model` cannot be saved: give its class the methods `state` and `restore`, as models.Logistic has them",
    ),
    (
        "something stands there",
        write("mine"),
        bp.FileError,
        "`path` 'mine' exists and is no bundle: name a folder that does not exist yet",
    ),
    (
        "no parent",
        write("absent/b"),
        bp.FileError,
        "`path` 'absent/b' could not be written: No such file or directory; choose another folder, with room and write permission",
    ),
    (
        "no exchange",
        no_exchange,
        bp.FileError,
        "bundle 'FOLDER/bundle' exists, and this system cannot exchange two folders in one step: save under another name, or remove it first",
    ),
]
