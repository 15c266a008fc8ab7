"""Bundles on disk: the same bits back, whole or not at all, and nothing believed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import barproof as bp
from barproof import models
from barproof._bundle_files import FORMAT, LIMIT, MANIFEST
from barproof._tensors import read_tensors
from tests.models import forged
from tests.models.forged import BINARY, RETURN, TERNARY, WALK, X, bundle, forge, sound
from tests.models.market import quiet

Edit = Callable[[dict[str, Any], dict[str, bytes]], object]
WEIGHTS = "model.weights.safetensors"
TREES = "model.trees.skops"
PIPE = make_pipeline(StandardScaler(), LogisticRegression())


@pytest.mark.parametrize(
    ("model", "labels"),
    [
        (models.Logistic(C=0.3), TERNARY),
        (models.Logistic(), BINARY),
        (models.Logistic(), RETURN),
        (models.GradientBoosting(max_iter=5, min_samples_leaf=20), TERNARY),
        (models.GradientBoosting(max_iter=5, min_samples_leaf=20), RETURN),
        (models.Sklearn(PIPE), TERNARY),
        (models.Sklearn(GaussianNB(), allows_nan=False), BINARY),
    ],
    ids=lambda v: repr(v) if isinstance(v, models.Sklearn) else str(getattr(v, "kind", v)),
)
@pytest.mark.parametrize("calibrate", ["isotonic", "platt"])
def test_the_same_bits_come_back(model: Any, labels: Any, calibrate: str, tmp_path: Path) -> None:
    for made in quiet(model, X, labels, WALK, calibrate=calibrate).bundles:
        again = bp.Bundle.load(made.save(tmp_path / "b"))
        again.save(tmp_path / "c")
        for calibrated in (False, True):
            a, b = (one.predict(X, calibrated=calibrated) for one in (made, again))
            assert a.tobytes() == b.tobytes()
        assert again.manifest == made.manifest
        assert again.digest == made.digest
        assert again.features == made.features
        assert repr(again) == repr(made)
        part, then = again.part(), made.part()
        assert part.model.params == then.model.params
        assert (part.kind, part.met, part.calibration) == (then.kind, then.met, then.calibration)
        assert again.verify() == bp.bundle.Replay(32, 0.0, True)
        # And once more from what was read.
        first, second = (forged.contents(path) for path in (tmp_path / "b", tmp_path / "c"))
        assert {name: first[0][name] for name in ("bundle", "parts")} == {
            name: second[0][name] for name in ("bundle", "parts")
        }
        assert first[1]["probe.safetensors"] == second[1]["probe.safetensors"]


def test_named_parts_of_one_bundle(tmp_path: Path) -> None:
    part = bp.Part(models.Logistic(), X, TERNARY)
    other = bp.Part(models.Logistic(C=0.1), X.select("open_time", "noise1", "score"), TERNARY)
    made = quiet({"long": part, "short": other}, folds=WALK).bundles[0]
    again = bp.Bundle.load(made.save(tmp_path / "b"))
    assert sorted(os.listdir(tmp_path / "b")) == [
        "long.weights.safetensors",
        "manifest.json",
        "probe.safetensors",
        "short.weights.safetensors",
    ]
    for name in ("long", "short"):
        np.testing.assert_array_equal(made.predict(X, part=name), again.predict(X, part=name))


def test_a_model_of_your_own(tmp_path: Path) -> None:
    class Own(models.Logistic):
        pass

    made = quiet(Own(), X, TERNARY, WALK).bundles[0]
    path = made.save(tmp_path / "b")
    with pytest.raises(bp.BundleError, match=r"a model of your own, 'tests.models.test_bundle"):
        bp.Bundle.load(path)
    again = bp.Bundle.load(path, factory=Own)
    assert isinstance(again.part().model, Own)
    np.testing.assert_array_equal(made.predict(X), again.predict(X))


def test_a_bundle_is_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    path = sound(tmp_path)
    bundle("boosting").save(path)
    assert bp.Bundle.load(path).digest == bundle("boosting").digest
    assert os.listdir(tmp_path) == ["bundle"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("x")
    for name in ("mine", "file"):
        with pytest.raises(bp.FileError, match="exists and is no bundle"):
            bundle().save(tmp_path / name)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    with pytest.raises(bp.FileError, match="could not be written: No such file"):
        bundle().save(tmp_path / "absent" / "b")


# --- damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["logistic", "boosting"])
def test_every_flipped_byte_is_seen(name: str, tmp_path: Path) -> None:
    path = sound(tmp_path, name)
    rng = np.random.default_rng(5)
    for file in sorted(path.iterdir()):
        whole = file.read_bytes()
        places = {0, len(whole) - 1, *rng.integers(0, len(whole), 60).tolist()}
        for at in places:
            bit = 1 << int(rng.integers(8))
            file.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
            with pytest.raises(bp.BundleError):
                bp.Bundle.load(path)
        for cut in (b"", whole[:-1], whole + b"\n", whole[len(whole) // 2 :]):
            file.write_bytes(cut)
            with pytest.raises(bp.BundleError):
                bp.Bundle.load(path)
        file.write_bytes(whole)
    assert bp.Bundle.load(path).verify().same_bits


def test_members_that_are_not_those_that_were_saved(tmp_path: Path) -> None:
    path = sound(tmp_path)
    for file in sorted(path.iterdir()):
        aside = tmp_path / "aside"
        file.rename(aside)
        with pytest.raises(bp.BundleError, match=r"lacks its file|no readable manifest"):
            bp.Bundle.load(path)
        for put in (lambda f, to=aside: f.symlink_to(to), os.mkfifo, lambda f: f.mkdir()):
            put(file)
            with pytest.raises(bp.BundleError, match=r"is not the file of|no readable manifest"):
                bp.Bundle.load(path)
            file.rmdir() if file.is_dir() else file.unlink()
        aside.rename(file)
    for extra in ("code.py", ".hidden", "weights.pkl"):
        (path / extra).write_text("import os")
        with pytest.raises(bp.BundleError, match=f"holds '{extra}', which its manifest does not"):
            bp.Bundle.load(path)
        (path / extra).unlink()
    assert bp.Bundle.load(path).verify().same_bits


@pytest.mark.parametrize(
    "name", ["../secret.bin", "/etc/passwd", "a/b.bin", "..", "manifest.json", "A.bin", "a b.c", ""]
)
def test_names_stay_inside(name: str, tmp_path: Path) -> None:
    path = sound(tmp_path)
    (tmp_path / "secret.bin").write_bytes(b"x")
    document, _ = forged.contents(path)
    document["files"][name] = {"bytes": 1, "sha256": "0" * 64}
    forged.sign(path, document)
    with pytest.raises(bp.BundleError, match="not as it was written"):
        bp.Bundle.load(path)


def test_a_manifest_is_read_only_as_it_was_written(tmp_path: Path) -> None:
    path = sound(tmp_path)
    good = (path / MANIFEST).read_bytes()
    document = json.loads(good)
    for text in (
        json.dumps(document).encode(),
        good.replace(b'"seed": 0', b'"seed": 0, "seed": 0'),
        b"[" * 100_000,
        b"null",
        b"3",
        b'{"format": NaN}',
        b"\xff",
        good.rstrip() + b" " * (3 << 20),
        b'{"a": ' + b"9" * 10_000 + b"}",
    ):
        (path / MANIFEST).write_bytes(text)
        with pytest.raises(bp.BundleError, match=r"not as it was written|no readable manifest"):
            bp.Bundle.load(path)
    (path / MANIFEST).write_bytes(good.replace(FORMAT.encode(), b"barproof-bundle/9"))
    with pytest.raises(
        bp.BundleError, match="is of format 'barproof-bundle/9', this version reads"
    ):
        bp.Bundle.load(path)


# --- forgery: the digests fit -----------------------------------------------------------------------------------------


def swapped(items: list[Any]) -> list[Any]:
    return [items[1], items[0], *items[2:]]


def reorder(document: dict[str, Any], _: dict[str, bytes]) -> None:
    document["bundle"]["features"] = swapped(document["bundle"]["features"])


def reorder_all(document: dict[str, Any], _: dict[str, bytes]) -> None:
    from barproof.inference import features_digest

    told = document["bundle"]
    for one in (told, told["parts"]["model"]):
        one["features"] = swapped(one["features"])
        one["features_digest"] = features_digest(one["features"])


def recalibrate(document: dict[str, Any], _: dict[str, bytes]) -> None:
    document["bundle"]["parts"]["model"]["calibration"]["temperature"] *= 1.01


def forget(document: dict[str, Any], _: dict[str, bytes]) -> None:
    del document["bundle"]["parts"]["model"]["kind"]


def scaled(_: dict[str, Any], files: dict[str, bytes]) -> None:
    forged.with_weights(files, WEIGHTS, lambda a: a | {"scale": np.ones_like(a["scale"])})


def unscaled(_: dict[str, Any], files: dict[str, bytes]) -> None:
    forged.with_weights(files, WEIGHTS, lambda a: {k: v for k, v in a.items() if k != "scale"})


def undefined(_: dict[str, Any], files: dict[str, bytes]) -> None:
    forged.with_weights(files, WEIGHTS, lambda a: a | {"coef": a["coef"] * np.nan})


def single(_: dict[str, Any], files: dict[str, bytes]) -> None:
    forged.with_weights(files, WEIGHTS, lambda a: a | {"coef": a["coef"].astype(np.float32)})


def longer(_: dict[str, Any], files: dict[str, bytes]) -> None:
    forged.with_weights(files, "probe.safetensors", lambda a: a | {"more": np.zeros(3)})


def shorter(_: dict[str, Any], files: dict[str, bytes]) -> None:
    forged.with_weights(files, "probe.safetensors", lambda a: a | {"feature/score": np.zeros(3)})


def other_type(document: dict[str, Any], _: dict[str, bytes]) -> None:
    document["parts"]["model"]["type"] = "os.system"


def other_params(document: dict[str, Any], _: dict[str, bytes]) -> None:
    document["parts"]["model"]["params"]["__class__"] = "x"


def no_parts(document: dict[str, Any], files: dict[str, bytes]) -> None:
    document["parts"] = {}
    files.pop(WEIGHTS)


FORGED: dict[str, tuple[str, Edit, str]] = {
    "order of features": ("logistic", reorder, "names or order were changed"),
    "order, digests and all": ("logistic", reorder_all, "predicts its probe rows otherwise"),
    "calibration": ("logistic", recalibrate, "predicts its probe rows otherwise"),
    "manifest without kind": ("logistic", forget, "cannot be put together: KeyError: 'kind'"),
    "scaler of ones": ("logistic", scaled, "predicts its probe rows otherwise"),
    "no scaler": ("logistic", unscaled, "the model needs finite float64 arrays"),
    "weights of NaN": ("logistic", undefined, "the model needs finite float64 arrays"),
    "weights of another type": ("logistic", single, "the model needs finite float64 arrays"),
    "probe with more": ("logistic", longer, "is not of its features and parts"),
    "probe with less": ("logistic", shorter, "cannot be put together: ValueError"),
    "another class": ("logistic", other_type, "holds a model of your own, 'os.system'"),
    "another parameter": ("logistic", other_params, "cannot be put together: TypeError"),
    "no parts": ("logistic", no_parts, "is not of its features and parts"),
}


@pytest.mark.parametrize(("name", "edit", "message"), FORGED.values(), ids=FORGED)
def test_forged_bundles(name: str, edit: Edit, message: str, tmp_path: Path) -> None:
    path = forge(tmp_path, name, edit)
    with pytest.raises(bp.BundleError, match=message):
        bp.Bundle.load(path)


def replace(file: str, data: Callable[[bytes], bytes]) -> Edit:
    def edit(_: dict[str, Any], files: dict[str, bytes]) -> None:
        files[file] = data(files[file])

    return edit


@pytest.mark.parametrize("data", forged.BROKEN_TENSORS.values(), ids=forged.BROKEN_TENSORS)
def test_broken_weights(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(bp.BundleError):
        read_tensors(data, "'x'")
    path = forge(tmp_path, "logistic", replace(WEIGHTS, lambda _: data))
    with pytest.raises(bp.BundleError, match=r"'weights.safetensors' of bundle"):
        bp.Bundle.load(path)


def bomb(old: bytes) -> bytes:
    members = forged.unzipped(old)
    first = next(name for name in members if name.endswith(".npy"))
    return forged.zipped(
        members | {first: forged.npy("(20_000_000,)", b"\0" * 160_000_000)}, squeeze=True
    )


def lying(old: bytes) -> bytes:
    members = forged.unzipped(old)
    first = next(name for name in members if name.endswith(".npy"))
    return forged.zipped(members | {first: forged.npy("(10_000_000_000,)")})


def with_pickle(old: bytes) -> bytes:
    members = forged.unzipped(old)
    first = next(name for name in members if name.endswith(".npy"))
    return forged.zipped(members | {first: forged.npy("(1,)", b"\x80\x04N.", "|O")})


PREDICTOR = '"TreePredictor"'
BAD_TREES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "bomb": (bomb, r"unfolds to 160,\d+,\d+ bytes"),
    "array that lies": (lying, "which is no array of the size that it declares"),
    "array of objects": (with_pickle, "which is no array of the size that it declares"),
    "schema too large": (
        lambda old: forged.zipped(
            forged.unzipped(old) | {"schema.json": b"[" * (3 << 20)}, squeeze=True
        ),
        "of them its schema",
    ),
    "deep schema": (
        lambda old: forged.zipped({"schema.json": b'{"a":' * 100_000}),
        "is no skops file that can be read: RecursionError",
    ),
    "code in it": (
        lambda old: forged.zipped(forged.unzipped(old) | {"run.py": b"import os"}),
        "holds 'run.py'",
    ),
    "no zip": (lambda old: old[100:], "is no skops file"),
    "system": (
        lambda old: forged.swap_schema(
            forged.swap_schema(old, PREDICTOR, '"system"'),
            '"sklearn.ensemble._hist_gradient_boosting.predictor"',
            '"posix"',
        ),
        "would construct posix.system, which nobody has reviewed",
    ),
    "child beyond": (
        lambda old: forged.with_nodes(old, forged.set_node("left", 1 << 30)),
        r"a tree that cannot be: node 0 of \d+ points at node 1073741824",
    ),
    "circle": (
        lambda old: forged.with_nodes(old, forged.set_node("right", 0)),
        r"a tree that cannot be: node 0 of \d+ points at node 0",
    ),
    "feature beyond": (
        lambda old: forged.with_nodes(old, forged.set_node("feature_idx", 1 << 20)),
        "a node looks at feature 1048576 of 3",
    ),
    "categories": (
        lambda old: forged.with_nodes(old, forged.set_node("is_categorical", 1)),
        "a node asks for categories that there are not",
    ),
}


@pytest.mark.parametrize(("data", "message"), BAD_TREES.values(), ids=BAD_TREES)
def test_forged_trees(data: Callable[[bytes], bytes], message: str, tmp_path: Path) -> None:
    path = forge(tmp_path, "boosting", replace(TREES, data))
    with pytest.raises(bp.BundleError, match=message):
        bp.Bundle.load(path)


def test_forged_forest(tmp_path: Path) -> None:
    def far(old: bytes) -> bytes:
        import io

        members = forged.unzipped(old)
        for name, content in members.items():
            array: Any = np.load(io.BytesIO(content)) if name.endswith(".npy") else np.zeros(1)
            if array.dtype.names and "left_child" in array.dtype.names:
                array = array.copy()
                array["left_child"][0] = 1 << 40
                out = io.BytesIO()
                np.save(out, array)
                return forged.zipped(members | {name: out.getvalue()})
        raise AssertionError

    sound_one = bp.Bundle.load(sound(tmp_path, "forest"))
    np.testing.assert_array_equal(sound_one.predict(X), bundle("forest").predict(X))
    path = forge(tmp_path, "forest", replace("model.estimator.skops", far))
    with pytest.raises(bp.BundleError, match=r"cannot be: node 0 of \d+ points at node 1099511"):
        bp.Bundle.load(path)


def test_trusted_types_are_named_by_the_refusal(tmp_path: Path) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    made = quiet(models.Sklearn(KNeighborsClassifier()), X, BINARY, WALK).bundles[0]
    path = made.save(tmp_path / "b")
    with pytest.raises(bp.BundleError, match="which nobody has reviewed: if you trust") as caught:
        bp.Bundle.load(path)
    told = str(caught.value).rpartition("trusted=")[2]
    again = bp.Bundle.load(path, trusted=json.loads(told.replace("'", '"')))
    np.testing.assert_array_equal(again.predict(X), made.predict(X))


PICKLE = """
import resource, sys
from pathlib import Path
import barproof as bp

def peak():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1])

bp.Bundle.load(sys.argv[1])
bp.Bundle.load(sys.argv[2])
for path in sys.argv[3:]:
    open("/proc/self/clear_refs", "w").write("5")
    before = peak()
    try:
        bp.Bundle.load(path)
        verdict = "loaded"
    except bp.BundleError:
        verdict = "refused"
    print(Path(path).parent.name, verdict, peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc to measure memory")
def test_nothing_runs_and_memory_stays(tmp_path: Path) -> None:
    canary = tmp_path / "ran"
    code = forged.payload(canary)

    def sparse(size: int) -> Callable[[Path], Path]:
        def make(folder: Path) -> Path:
            path = sound(folder)
            document, _ = forged.contents(path)
            with (path / WEIGHTS).open("wb") as stream:
                stream.truncate(size)
            document["files"][WEIGHTS]["bytes"] = size
            forged.sign(path, document)
            return path

        return make

    cases: dict[str, Callable[[Path], Path]] = {
        "pickle_as_weights": lambda f: forge(f, "logistic", replace(WEIGHTS, lambda _: code)),
        "pickle_as_probe": lambda f: forge(
            f, "logistic", replace("probe.safetensors", lambda _: code)
        ),
        "pickle_as_trees": lambda f: forge(f, "boosting", replace(TREES, lambda _: code)),
        "pickle_in_zip": lambda f: forge(
            f, "boosting", replace(TREES, lambda _: forged.zipped({"archive/data.pkl": code}))
        ),
        "object_array": lambda f: forge(f, "boosting", replace(TREES, with_pickle)),
        "bomb": lambda f: forge(f, "boosting", replace(TREES, bomb)),
        "lying": lambda f: forge(f, "boosting", replace(TREES, lying)),
        "lists": lambda f: forge(
            f,
            "boosting",
            replace(
                TREES,
                lambda _: forged.zipped({"schema.json": b"[" + b"[]," * 690_000 + b"[]]"}),
            ),
        ),
        "many_files": lambda f: forge(
            f,
            "boosting",
            replace(TREES, lambda _: forged.zipped({f"{i}.npy": b"" for i in range(20_000)})),
        ),
        "huge_tensor": lambda f: forge(
            f,
            "logistic",
            replace(WEIGHTS, lambda _: forged.BROKEN_TENSORS["huge tensor"]),
        ),
        "sparse_terabyte": sparse(1 << 40),
        "sparse_at_the_limit": sparse(LIMIT - (1 << 20)),
    }
    paths = []
    for name, make in cases.items():
        (tmp_path / name).mkdir()
        paths.append(str(make(tmp_path / name)))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    good = [str(sound(tmp_path / "a")), str(sound(tmp_path / "b", "boosting"))]
    done = subprocess.run(
        [sys.executable, "-c", PICKLE, *good, *paths], capture_output=True, text=True, check=True
    )
    found = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert set(found) == set(cases)
    assert {name: verdict for name, (verdict, _) in found.items()} == dict.fromkeys(
        cases, "refused"
    )
    assert max(int(grown) for _, grown in found.values()) < 100_000  # kB
    assert not canary.exists()


KILLED = """
import json, os, signal, sys
from pathlib import Path
from barproof import _bundle_files as files

path = Path(sys.argv[1])
step = int(sys.argv[2])

def counted(call):
    def inner(*args, **kw):
        global step
        step -= 1
        if step == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kw)
    return inner

for name in ("mkdir", "fsync", "rename", "unlink", "rmdir"):
    setattr(os, name, counted(getattr(os, name)))
files._exchange = counted(files._exchange)
files.Path.mkdir = counted(files.Path.mkdir)
files.write_folder(path, {"which": sys.argv[3]}, {"a.bin": b"a" * 9999, "b.bin": sys.argv[3].encode()})
print("whole")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize("old", [False, True], ids=["first", "replacing"])
def test_a_kill_leaves_the_old_one_or_the_new_one(old: bool, tmp_path: Path) -> None:
    from barproof._bundle_files import read_folder, write_folder

    path = tmp_path / "b"
    left = []
    for step in range(1, 40):
        if old:
            write_folder(path, {"which": "old"}, {"a.bin": b"a" * 9999, "b.bin": b"old"})
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(path), str(step), "new"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            break
        assert done.returncode == -9, done.stderr
        if path.exists():
            document, files = read_folder(path)
            assert files["b.bin"].decode() == document["which"]
            left.append(document["which"])
        else:
            assert not old
            left.append("none")
    else:
        raise AssertionError("never ended")
    before = "old" if old else "none"
    # Every step before the exchange leaves what there was, every one after it the new one.
    turn = left.index("new")
    assert left == [before] * turn + ["new"] * (len(left) - turn)
    assert turn >= 5 and len(left) > turn
    assert read_folder(path)[0]["which"] == "new"
