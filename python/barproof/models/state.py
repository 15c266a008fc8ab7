"""What of a fitted model is written to disk, and how estimators of scikit-learn are read back.

Weights are plain arrays; estimators go through skops, which constructs types of a list and nothing else. The list is
skops' own plus the trees below, whose nodes are looked at after reading: their code follows indices unchecked, so a
forged one would read foreign memory.
"""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barproof._tensors import read_tensors
from barproof.errors import BundleError

__all__ = ["Reading", "State", "dump_object", "load_object", "take_arrays"]

TREES = (
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)
"""Types that are read because `_check_trees` looks at them."""

REVIEWED = (
    *TREES,
    # Plain holders of arrays and numbers; their methods run on what is checked elsewhere.
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.utils._bunch.Bunch",
)
# A schema becomes Python objects of some thirty times its size.
_SCHEMA_SHARE = 32


@dataclass(frozen=True)
class State:
    """A fitted model as files and plain facts.

    Attributes
    ----------
    files : dict of str to bytes
        By name, such as ``"weights.safetensors"``: small letters, digits, `_`, and dots.
    facts : dict
        What JSON can hold.
    """

    files: Mapping[str, bytes]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """What the reader of a bundle allows.

    Attributes
    ----------
    where : str
        What is read, for messages.
    limit : int
        Bytes that it may unfold to.
    trusted : tuple of str
        Types that may be constructed besides those that were reviewed.
    factory : callable, optional
        Makes what the package does not know.
    """

    where: str
    limit: int
    trusted: tuple[str, ...] = ()
    factory: Callable[..., Any] | None = None

    def of(self, name: str) -> str:
        """One of its files, for messages."""
        return f"{name!r} of {self.where}"


def take_arrays(
    state: State, shapes: Mapping[str, tuple[int | None, ...]], reading: Reading
) -> dict[str, NDArray[np.float64]]:
    """Arrays of ``weights.safetensors``, of these shapes and of float64; None is any length.

    Raises
    ------
    BundleError
        If arrays are missing, too many, of other shapes, or not finite.
    """
    name = "weights.safetensors"
    found = read_tensors(state.files.get(name, b""), reading.of(name))
    told = {key: (array.dtype.str, array.shape) for key, array in found.items()}
    fits = set(found) == set(shapes) and all(
        found[key].dtype == np.float64
        and found[key].ndim == len(shape)
        and all(b is None or a == b for a, b in zip(found[key].shape, shape, strict=True))
        and bool(np.all(np.isfinite(found[key])))
        for key, shape in shapes.items()
    )
    if not fits:
        raise BundleError(
            f"{reading.of(name)} holds {str(told)[:200]}, but the model needs finite float64 arrays {dict(shapes)}: "
            "the file belongs to another model"
        )
    return found


def dump_object(value: Any) -> bytes:
    """Estimators as a skops file."""
    import skops.io

    return bytes(skops.io.dumps(value))


def load_object(data: bytes, name: str, reading: Reading) -> Any:
    """Estimators of a skops file; nothing but types of the list is constructed.

    Raises
    ------
    BundleError
        If it is no such file, unfolds to more than the limit, names other types, or holds broken trees.
    """
    import skops.io

    _check_archive(data, name, reading)
    with warnings.catch_warnings():
        # Another version of scikit-learn warns; whether it matters is what the probe says.
        warnings.simplefilter("ignore")
        try:
            strange = sorted(
                {*skops.io.get_untrusted_types(data=data)} - {*REVIEWED, *reading.trusted}
            )
        except Exception as error:
            raise BundleError(
                f"{reading.of(name)} is no skops file that can be read: {type(error).__name__}: {str(error)[:160]}; "
                "save it again"
            ) from error
        if strange:
            raise BundleError(
                f"{reading.of(name)} would construct {', '.join(strange[:5])}, which nobody has reviewed: if you trust "
                f"where it comes from, load with trusted={strange[:5]!r}"
            )
        try:
            value = skops.io.loads(data, trusted=[*REVIEWED, *reading.trusted])
        except Exception as error:
            raise BundleError(
                f"{reading.of(name)} cannot be read: {type(error).__name__}: {str(error)[:160]}; it was saved by "
                "another version of scikit-learn, or is damaged"
            ) from error
    broken = _broken_tree(value)
    if broken:
        raise BundleError(
            f"{reading.of(name)} holds a tree that cannot be: {broken}; it is damaged, or made to crash"
        )
    return value


def _check_archive(data: bytes, name: str, reading: Reading) -> None:
    """Look at a zip before anything unfolds it."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            whole = sum(member.file_size for member in members)
            schema = next((m.file_size for m in members if m.filename == "schema.json"), 0)
            fits = whole <= reading.limit and schema <= reading.limit // _SCHEMA_SHARE
            arrays = [m for m in members if m.filename.endswith(".npy")]
            wrong = next((m.filename for m in arrays if fits and not _honest(archive, m)), None)
            odd = [
                m.filename for m in members if not m.filename.endswith((".npy", ".json", ".npz"))
            ]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise BundleError(
            f"{reading.of(name)} is no skops file: {type(error).__name__}: {str(error)[:160]}; save it again"
        ) from error
    if not fits:
        raise BundleError(
            f"{reading.of(name)} unfolds to {whole:,} bytes, {schema:,} of them its schema, the limits are "
            f"{reading.limit:,} and {reading.limit // _SCHEMA_SHARE:,}: if you trust where it comes from, load "
            "with a larger limit_bytes="
        )
    if wrong or odd:
        raise BundleError(
            f"{reading.of(name)} holds {(wrong or odd[0])[:80]!r}, which is no array of the size that it declares: it "
            "is damaged"
        )


def _honest(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    """Whether an array of a zip is as large as its header says; object arrays, which are pickles, are not."""
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        # Headers of version 3 are those of 2 with names in UTF-8.
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(stream)
        count = 1
        for n in shape:
            count *= int(n)
        return not dtype.hasobject and stream.tell() + count * dtype.itemsize == member.file_size


def _broken_tree(value: Any) -> str:
    """Say what is wrong with the trees in an object; empty if nothing is."""
    for one in _everything(value):
        kind = f"{type(one).__module__}.{type(one).__qualname__}"
        features = getattr(one, "n_features_in_", None)
        whole = features is None or kind in TREES
        why = _broken_nodes(one, kind) if whole else _broken_estimator(one, features)
        if why:
            return why
    return ""


def _everything(value: Any) -> Iterator[Any]:
    """Go through the object and all that it holds, each once."""
    seen: set[int] = set()
    left: list[Any] = [value]
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, (str, bytes, int, float, type(None))):
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, Mapping):
            left += one.values()
        elif isinstance(one, (list, tuple, set, frozenset)):
            left += one
        elif isinstance(one, np.ndarray):
            left += one.ravel().tolist() if one.dtype.hasobject else []
        else:
            left += getattr(one, "__dict__", {}).values()


def _broken_nodes(tree: Any, kind: str) -> str:
    """Whether every path through a tree ends: children come after their parents, and exist."""
    if kind == TREES[0]:
        nodes = tree.nodes
        inner = np.flatnonzero(nodes["is_leaf"] == 0)
        sides = nodes["left"], nodes["right"]
    elif kind == TREES[1]:
        inner = np.flatnonzero(tree.children_left != -1)
        sides = tree.children_left, tree.children_right
    else:
        return ""
    for side in sides:
        children = np.asarray(side)[inner].astype(np.int64)
        lost = np.flatnonzero((children <= inner) | (children >= len(side)))
        if len(lost):
            return f"node {inner[lost[0]]} of {len(side)} points at node {children[lost[0]]}"
    return "" if len(sides[0]) else "it has no node"


def _broken_estimator(one: Any, features: Any) -> str:
    """Whether trees of an estimator look at columns that it gets."""
    if not isinstance(features, (int, np.integer)):
        return f"an estimator of {str(features)[:40]!r} features"
    looked: list[NDArray[Any]] = []
    if hasattr(one, "tree_"):
        tree = one.tree_
        looked.append(tree.feature[tree.children_left != -1])
    for tree in (tree for row in getattr(one, "_predictors", ()) for tree in row):
        inner = tree.nodes[tree.nodes["is_leaf"] == 0]
        looked.append(inner["feature_idx"].astype(np.int64))
        sets = inner[inner["is_categorical"] != 0]
        known = getattr(one._bin_mapper, "is_categorical_", np.zeros(int(features), dtype=bool))
        if len(sets) and not (
            np.all(sets["feature_idx"] < min(len(known), int(features)))
            and np.all(known[sets["feature_idx"]])
            and np.all(sets["bitset_idx"] < len(tree.raw_left_cat_bitsets))
        ):
            return "a node asks for categories that there are not"
    for columns in looked:
        if len(columns) and not (columns.min() >= 0 and columns.max() < features):
            return f"a node looks at feature {columns.max()} of {features}"
    for part in _everything(getattr(one, "estimators_", ())):
        # An ensemble hands its own columns on without looking.
        if getattr(part, "n_features_in_", 0) > features:
            return f"a part takes {part.n_features_in_} features of {features}"
    return ""
