"""Checkpoints of any origin: what is in a file, what is missing to use it, and which reading gives its metric.

Nothing is executed: pickles are followed opcode by opcode without importing what they name, archives and headers are
read within limits.
"""

from __future__ import annotations

import bz2
import io
import json
import lzma
import math
import os
import re
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import polars as pl

from barproof._bundle_files import is_bundle, read_folder
from barproof._pickles import Blob, Made, Name, Stored, dtype_of, read_pickles, walk
from barproof._recreate import Recreation, recreate, recreate_bundle
from barproof._tensors import MOST_HEADER, read_header
from barproof.errors import BundleError, FileError

__all__ = ["Inspection", "Layer", "Recreation", "inspect", "recreate", "recreate_bundle"]

_LIMIT = 64 << 20
_UNFOLDED = 32 << 20
_MOST_FILES = 200
_MOST_TENSORS = 20_000
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C

# What a pickle may name without a remark: it builds numbers and containers, or is a class of these libraries.
_PLAIN = re.compile(
    r"(builtins|__builtin__)\.(object|dict|list|set|frozenset|tuple|int|float|str|bool|complex|slice|bytearray)"
    r"|collections\.(OrderedDict|defaultdict)|copy_?reg\._reconstructor|_codecs\.encode"
    r"|joblib\.numpy_pickle\.NumpyArrayWrapper"
    r"|numpy\.(ndarray|dtype)|numpy\._?core\.multiarray\.(_reconstruct|scalar)|numpy\._?core\.numeric\._frombuffer"
    r"|numpy\.random\._?(pickle\.__\w+_ctor|mtrand\.RandomState|_?\w+\.[A-Z]\w+)"
    r"|torch\._utils\._rebuild_\w+|torch\.(Size|device)"
    r"|(torch\.nn|sklearn|scipy\.sparse|lightgbm|xgboost)\.[\w.]*\b_?([A-Z]\w*|__pyx_unpickle_\w+)"
)
_STORAGE = re.compile(r"torch\.(storage\.)?[A-Za-z0-9]*Storage|torch\.[a-z]+\d*")
_STORAGE_TYPES = {
    "Double": "F64",
    "Float": "F32",
    "Half": "F16",
    "BFloat16": "BF16",
    "Long": "I64",
    "Int": "I32",
    "Short": "I16",
    "Char": "I8",
    "Byte": "U8",
    "Bool": "BOOL",
}
_WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2}


@dataclass(frozen=True)
class Layer:
    """Tensors that belong together.

    Attributes
    ----------
    name : str
        Path of the module.
    what : str
        What their names and shapes say: ``"linear 72 -> 256"``.
    parameters : int
        Numbers that training moves; scalers, counters and running statistics are buffers, which do not count.
    """

    name: str
    what: str
    parameters: int


@dataclass(frozen=True, eq=False)
class Inspection:
    """What is in a checkpoint.

    Attributes
    ----------
    path : str
        As given.
    kind : str
        ``"barproof bundle"``, ``"safetensors"``, ``"torch"``, ``"pickle"``, ``"joblib"``, ``"skops"`` or ``"folder"``.
    size : int
        Bytes.
    tensors : polars.DataFrame
        `name`, `dtype`, `shape` and `count` of every array.
    layers : list of Layer
        The same by module.
    parameters : int
        Numbers in layers.
    facts : dict
        Plain values that stand beside the weights.
    contents : dict of str to str
        What is needed to use a model, and where it was found: empty where it is missing.
    imports : list of str
        What loading it by pickle would import or call besides numbers and containers: code that would run.
    notes : list of str
        What does not fit together.
    """

    path: str
    kind: str
    size: int
    tensors: pl.DataFrame
    layers: list[Layer]
    facts: dict[str, Any]
    contents: dict[str, str]
    imports: list[str]
    notes: list[str] = field(default_factory=list)

    @property
    def parameters(self) -> int:
        """Numbers in all layers."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def missing(self) -> list[str]:
        """What is not in it, of what is needed to use it."""
        return [name for name, where in self.contents.items() if not where]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data that JSON can hold.

        Returns
        -------
        dict
            With the tensors as a list.
        """
        return {
            "path": self.path,
            "kind": self.kind,
            "size": self.size,
            "parameters": self.parameters,
            "layers": [vars(layer) for layer in self.layers],
            "tensors": self.tensors.to_dicts(),
            "facts": self.facts,
            "contents": self.contents,
            "missing": self.missing,
            "imports": self.imports,
            "notes": self.notes,
        }

    def __repr__(self) -> str:
        missing = ", ".join(self.missing)
        return (
            f"Inspection({self.kind}, {self.tensors.height} tensors, {self.parameters:,} parameters"
            f"{f', missing: {missing}' if missing else ''})"
        )


@dataclass
class _Found:
    """What was read so far: arrays by name with type and shape, plain values, names of classes."""

    tensors: dict[str, tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    lists: dict[str, int] = field(default_factory=dict)
    imports: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def inspect(path: str | os.PathLike[str]) -> Inspection:
    """Look into a checkpoint without executing anything of it.

    Parameters
    ----------
    path : path-like
        A bundle of this package; a file of safetensors, torch (``.pt``, both layouts), joblib, pickle (compressed or
        not) or skops; or a folder of such files with JSON beside them, which are looked at together.

    Returns
    -------
    Inspection
        Layers, shapes, parameters, what loading would run, and what is missing.

    Raises
    ------
    FileError
        If there is no such file.
    BundleError
        If it is of no known kind, damaged, or larger than a checkpoint needs.

    Notes
    -----
    Layers are told by names and shapes, so a tensor of an unusual module shows as "parameters". That something is
    found says that it is there, not that it is right: the audits PAR-05 and CKP-05 check a bundle.

    Examples
    --------
    >>> import pickle, tempfile
    >>> from sklearn.linear_model import LinearRegression
    >>> model = LinearRegression().fit([[0.0, 1.0], [1.0, 0.0]], [0.0, 1.0])
    >>> with tempfile.NamedTemporaryFile(suffix=".pkl") as file:
    ...     _ = file.write(pickle.dumps(model)); file.flush()
    ...     found = inspect(file.name)
    >>> found.kind, found.contents["features"], found.missing[:2]
    ('pickle', '', ['features', 'scaler'])
    """
    given = Path(path)
    if not given.exists():
        raise FileError(f"there is no checkpoint {os.fspath(path)!r}: check the path")
    found = _Found()
    if given.is_dir():
        kind, size = _folder(given, found)
    else:
        size = given.stat().st_size
        kind = _file(given, found, "")
    if len(found.tensors) > _MOST_TENSORS:
        found.notes.append(f"only the first {_MOST_TENSORS:,} of {len(found.tensors):,} tensors")
        found.tensors = dict(list(found.tensors.items())[:_MOST_TENSORS])
    layers = _layers(found.tensors)
    return Inspection(
        os.fspath(path),
        kind,
        size,
        pl.DataFrame(
            {
                "name": list(found.tensors),
                "dtype": [dtype for dtype, _ in found.tensors.values()],
                "shape": [list(shape) for _, shape in found.tensors.values()],
                "count": [math.prod(shape) for _, shape in found.tensors.values()],
            },
            schema={
                "name": pl.String,
                "dtype": pl.String,
                "shape": pl.List(pl.Int64),
                "count": pl.Int64,
            },
        ),
        layers,
        dict(list(found.facts.items())[:500]),
        _contents(found, layers, kind),
        found.imports,
        found.notes,
    )


def _folder(path: Path, found: _Found) -> tuple[str, int]:
    if is_bundle(path):
        document, files = read_folder(path)
        told = document["bundle"]
        found.keys |= dict.fromkeys(
            (
                "features",
                "label",
                "split",
                "data",
                "metrics",
                "seed",
                "versions",
                "config",
                "probe",
            ),
            "manifest.json",
        )
        found.keys["architecture"] = "manifest.json"
        for name, part in document["parts"].items():
            found.facts[f"{name}.type"] = part["type"]
            found.facts |= {f"{name}.{key}": value for key, value in part["params"].items()}
            method = told["parts"][name]["calibration"]["method"]
            found.facts[f"{name}.calibration"] = method
            if method:
                found.keys["calibration"] = "manifest.json"
        found.lists["features"] = len(told["features"])
        for name, data in files.items():
            if name != "probe.safetensors":
                _bytes(data, name, found, f"{name.partition('.')[0]}.", name)
        return "barproof bundle", sum(map(len, files.values()))
    size = 0
    entries = sorted(entry for entry in path.iterdir() if entry.is_file())
    for entry in entries[:_MOST_FILES]:
        size += entry.stat().st_size
        try:
            _file(entry, found, f"{entry.stem}.")
        except BundleError as error:
            # One file that is none does not hide the others.
            found.notes.append(str(error))
    if len(entries) > _MOST_FILES:
        found.notes.append(f"only the first {_MOST_FILES} of {len(entries):,} files")
    return "folder", size


def _file(path: Path, found: _Found, prefix: str) -> str:
    where = f"checkpoint {path.name!r}"
    if path.suffix.lower() in (".json",):
        return _json(path, found, where)
    if path.suffix.lower() in (".yaml", ".yml", ".toml", ".ini", ".cfg"):
        found.keys.setdefault("config", path.name)
        return "text"
    with path.open("rb") as stream:
        return _stream(stream, path.stat().st_size, where, found, prefix, path.name)


def _bytes(data: bytes, name: str, found: _Found, prefix: str, file: str) -> str:
    return _stream(io.BytesIO(data), len(data), f"checkpoint {name!r}", found, prefix, file)


def _stream(stream: IO[bytes], size: int, where: str, found: _Found, prefix: str, file: str) -> str:
    head = stream.read(16)
    stream.seek(0)
    if head[:4] == b"PK\x03\x04":
        return _zip(stream, where, found, prefix, file)
    if len(head) >= 9 and head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= size:
        declared = read_header(stream.read(8 + MOST_HEADER), size, where)
        found.tensors |= {f"{prefix}{n}": (d.dtype, d.shape) for n, d in declared.items()}
        return "safetensors"
    plain = _unpacked(stream, head, where)
    opened = plain.read(2)
    plain.seek(0)
    # Protocols 2 to 5 begin with PROTO; older ones with a mark, a constant or a class.
    if not (opened[:1] == b"\x80" or (opened[:1] in b"(]}cNI" and opened)):
        raise BundleError(
            f"{where} is of no kind that is known here: it begins with {head[:8]!r}; known are bundles, safetensors, "
            "torch, joblib, pickle and skops"
        )
    return _pickle(plain, where, found, prefix, file)


def _unpacked(stream: IO[bytes], head: bytes, where: str) -> IO[bytes]:
    """Compressed files as joblib writes them, unfolded within the limit."""
    makers: list[tuple[bytes, Any]] = [
        (b"\x1f\x8b", lambda: zlib.decompressobj(47)),
        (b"\x78", lambda: zlib.decompressobj(47)),
        (b"BZh", bz2.BZ2Decompressor),
        (b"\xfd7zXZ", lzma.LZMADecompressor),
        (b"\x5d\x00", lzma.LZMADecompressor),
    ]
    maker = next((make for magic, make in makers if head.startswith(magic)), None)
    if maker is None:
        return stream
    try:
        data: bytes = maker().decompress(stream.read(_UNFOLDED), _UNFOLDED + 1)
    except (zlib.error, OSError, lzma.LZMAError, EOFError) as error:
        raise BundleError(f"{where} cannot be unfolded: {error}; it is damaged") from error
    if len(data) > _UNFOLDED:
        raise BundleError(
            f"{where} unfolds to more than {_UNFOLDED:,} bytes: save it without compression to have it looked at"
        )
    return io.BytesIO(data)


def _zip(stream: IO[bytes], where: str, found: _Found, prefix: str, file: str) -> str:
    try:
        with zipfile.ZipFile(stream) as archive:
            sizes = {member.filename: member.file_size for member in archive.infolist()}
            main = next((n for n in sizes if n == "schema.json" or n.endswith("data.pkl")), None)
            data = b""
            if main is not None and sizes[main] <= _LIMIT // 4:
                data = archive.read(main)
    except (
        zipfile.BadZipFile,
        OSError,
        ValueError,
        NotImplementedError,
        RuntimeError,
        zlib.error,
    ) as error:
        raise BundleError(
            f"{where} is a zip that cannot be read: {error}; it is damaged"
        ) from error
    if main is None or sizes[main] > _LIMIT // 4:
        raise BundleError(
            f"{where} is a zip without a checkpoint that can be read: it holds {', '.join(list(sizes)[:3])[:120]}; "
            "torch writes data.pkl and skops schema.json"
        )
    if main == "schema.json":
        return _skops(data, where, found, file)
    top = main[: -len("data.pkl")]
    held = {name[len(top) + 5 :]: n for name, n in sizes.items() if name.startswith(f"{top}data/")}
    (tree,), names = read_pickles(io.BytesIO(data), where)
    _describe(tree, names, found, prefix, file, held)
    return "torch"


def _skops(data: bytes, where: str, found: _Found, file: str) -> str:
    names = re.findall(rb'"__class__": "([^"]{1,120})",\s*"__module__": "([^"]{1,200})"', data)
    classes = list(dict.fromkeys(f"{b.decode()}.{a.decode()}" for a, b in names[:100_000]))
    if not classes:
        raise BundleError(f"{where} is a skops file that names no class: it is damaged")
    _classes(classes, found, file)
    if b'"feature_names_in_"' in data:
        found.keys.setdefault("features", file)
    return "skops"


def _pickle(stream: IO[bytes], where: str, found: _Found, prefix: str, file: str) -> str:
    trees, names = read_pickles(stream, where)
    kind = "pickle"
    if trees == [_TORCH_MAGIC]:
        # The layout before torch 1.6: protocol, machine, object, keys, numbers.
        trees, names = read_pickles(stream, where, 3)
        kind = "torch"
    elif any(name.module.startswith("joblib.") for name in names):
        kind = "joblib"
    _describe(trees[-1], names, found, prefix, file, None)
    return kind


def _describe(
    tree: Any,
    names: list[Name],
    found: _Found,
    prefix: str,
    file: str,
    held: dict[str, int] | None,
) -> None:
    """Arrays, plain values and classes of a described object."""
    for name in names:
        text = str(name)
        if not (_PLAIN.fullmatch(text) or _STORAGE.fullmatch(text)):
            found.imports.append(text)
    classes = []
    inner: set[int] = set()
    for path, one in walk(tree):
        if id(one) in inner or "_metadata" in path:
            continue
        key = prefix + ".".join(p for p in path if p not in ("_modules", "_parameters", "_buffers"))
        if isinstance(one, Made):
            array = _array(one)
            if array is not None:
                found.tensors.setdefault(key, array[:2])
                inner |= {id(part) for part in _inside(one)}
                stored = array[2]
                if stored is not None and held is not None and held.get(stored[0]) != stored[1]:
                    found.notes.append(
                        f"tensor {key[:80]!r} needs {stored[1]:,} bytes of storage {stored[0]!r}, the file holds "
                        f"{held.get(stored[0], 0):,}"
                    )
            elif not one.name.startswith(("torch._utils", "collections.", "numpy", "_codecs")):
                classes.append(one.name)
        elif isinstance(one, (list, tuple)) and one and all(isinstance(item, str) for item in one):
            found.lists[key] = len(one)
            _key(path[-1] if path else "", file, found)
        elif isinstance(one, (str, int, float, bool)) and path and not path[-1].isdigit():
            if len(found.facts) < 500 and len(path) <= 4:
                found.facts[key] = one
            _key(path[-1], file, found)
        elif isinstance(one, (dict, Blob)) and path:
            _key(path[-1], file, found)
    _classes(list(dict.fromkeys(classes)), found, file)


def _array(made: Made) -> tuple[str, tuple[int, ...], tuple[str, int] | None] | None:
    """Type and shape of a described array, and the storage that torch keeps it in with the bytes it needs."""
    name = made.name
    args = made.args if isinstance(made.args, tuple) else ()
    if name.startswith("torch._utils._rebuild_parameter") and args and isinstance(args[0], Made):
        return _array(args[0]) if args[0].name.startswith("torch._utils._rebuild_tensor") else None
    if name.startswith("torch._utils._rebuild_tensor") and len(args) >= 3:
        tag = args[0].tag if isinstance(args[0], Stored) else None
        shape = args[2] if isinstance(args[2], tuple) else ()
        kind, stored = "?", None
        if isinstance(tag, tuple) and len(tag) >= 5:
            kind = _STORAGE_TYPES.get(str(tag[1]).rpartition(".")[2].removesuffix("Storage"), "?")
            if kind in _WIDTHS and isinstance(tag[4], int):
                stored = str(tag[2]), tag[4] * _WIDTHS[kind]
        return kind, _whole(shape), stored
    if name.startswith("joblib.numpy_pickle.NumpyArrayWrapper") and isinstance(made.state, dict):
        dtype = dtype_of(made.state.get("dtype"))
        return (dtype[0] if dtype else "objects"), _whole(made.state.get("shape")), None
    if name.endswith("._reconstruct") and isinstance(made.state, tuple) and len(made.state) >= 3:
        dtype = dtype_of(made.state[2])
        return (dtype[0] if dtype else "objects"), _whole(made.state[1]), None
    if name.endswith("numeric._frombuffer") and len(args) >= 3:
        dtype = dtype_of(args[1])
        return (dtype[0] if dtype else "objects"), _whole(args[2]), None
    return None


def _inside(made: Made) -> list[Any]:
    """List what describes an array and is nothing by itself."""
    args = made.args if isinstance(made.args, tuple) else ()
    return [made.args, made.state, *args]


def _whole(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, tuple) or not all(type(n) is int and 0 <= n < 1 << 48 for n in shape):
        return ()
    return shape


def _json(path: Path, found: _Found, where: str) -> str:
    if path.stat().st_size > 2 << 20:
        raise BundleError(
            f"{where} has {path.stat().st_size:,} bytes: no configuration needs that many"
        )
    try:
        told = json.loads(path.read_bytes().decode())
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where} is no JSON: {str(error)[:120]}") from error
    _key(path.stem, path.name, found)
    for keys, one in walk(told):
        key = ".".join((path.stem, *keys))
        if isinstance(one, list) and one and all(isinstance(item, str) for item in one):
            found.lists[key] = len(one)
        if keys and not keys[-1].isdigit():
            _key(keys[-1], path.name, found)
            if isinstance(one, (str, int, float, bool)) and len(found.facts) < 500:
                found.facts[key] = one
    if isinstance(told, list) and "feature" in path.stem.lower():
        found.keys.setdefault("features", path.name)
    return "json"


_TREES = r"\.(\w*GradientBoosting|\w*Forest|\w*Tree|XGB|LGBM|Booster)\w*$"
"""Models that compare one feature with a threshold, so that its scale does not matter."""

NEEDED: dict[str, str] = {
    "features": r"feature_?names?(_in_)?|features|feature_?(list|order|cols|columns)|input_columns",
    "scaler": r"scaler.*|normali[sz]er|(feature_)?(mean|std|scale)s?_?",
    "architecture": r"architecture|model_?(config|args|kwargs|type|class)|hparams|hyper_?parameters",
    "config": r"config.*|hparams|hyper_?parameters|train_?args|args",
    "label": r"labels?(_.*)?|target(s|_.*)?|horizon.*|threshold.*",
    "data": r"data(_.*)?|dataset.*|symbols?|candles.*",
    "split": r"split.*|folds?|train_(rows|range|end|start|idx)|(val|test)_(rows|range|end|start|idx)",
    "calibration": r"calibrat.*|temperature|platt.*|isotonic.*",
    "metrics": r"metrics?|history|(best_|val_|train_|test_)?(loss|accuracy|auc|score)",
    "seed": r"(random_)?(seed|state)",
    "versions": r"versions?|.*_version|_sklearn_version",
    "probe": r"probe.*|sample_(inputs?|outputs?)|expected_outputs?|self_?test",
}
"""What is needed to use and to recreate a model, and the names it goes by."""
_NEEDED = {name: re.compile(pattern) for name, pattern in NEEDED.items()}


def _key(key: str, file: str, found: _Found) -> None:
    for name, pattern in _NEEDED.items():
        if name not in found.keys and pattern.fullmatch(key.lower()[:80]):
            found.keys[name] = f"{key[:40]!r} in {file}"


def _classes(classes: Iterable[str], found: _Found, file: str) -> None:
    for name in classes:
        found.classes.append(name)
        last = name.rpartition(".")[2]
        if re.search("Scaler|QuantileTransformer|PowerTransformer|Normalizer", last):
            found.keys.setdefault("scaler", f"{last} in {file}")
        if name.startswith(("sklearn.", "torch.nn.", "xgboost.", "lightgbm.")):
            found.keys.setdefault("architecture", f"{last} in {file}")
        if "Calibrat" in last:
            found.keys.setdefault("calibration", f"{last} in {file}")


def _contents(found: _Found, layers: list[Layer], kind: str) -> dict[str, str]:
    keys = dict(found.keys)
    scaled = next((layer for layer in layers if layer.what.startswith("scaler")), None)
    if scaled is not None:
        keys["scaler"] = scaled.name
    elif kind != "folder" and "scaler" in keys and layers and "Scaler" not in keys["scaler"]:
        # A lone `mean` or `scale` belongs to some layer.
        keys.pop("scaler")
    if "scaler" not in keys and any(re.search(_TREES, name) for name in found.classes):
        keys["scaler"] = "none needed: trees"
    weights = f"{len(found.tensors):,} tensors" if found.tensors else ""
    made = (name.rpartition(".")[2] for name in found.classes if not name.startswith("builtins"))
    weights = weights or next(made, "")
    return {"weights": weights} | {name: keys.get(name, "") for name in NEEDED}


_TEXTS = ("told", "sha256")
"""Bytes that the nets of this package keep beside their weights: how they were made, and a digest."""


def _layers(tensors: dict[str, tuple[str, tuple[int, ...]]]) -> list[Layer]:
    groups: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, (dtype, shape) in tensors.items():
        if dtype == "U8" and name in _TEXTS:
            continue
        head, _, last = name.rpartition(".")
        groups.setdefault(head, {})[last] = shape
    told = {name: _told(name, group) for name, group in groups.items()}
    return [Layer(name, told[name], _learned(group, told[name])) for name, group in groups.items()]


def _learned(group: dict[str, tuple[int, ...]], what: str) -> int:
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    if what.startswith("scaler"):
        return 0
    return sum(math.prod(shape) for name, shape in group.items() if name not in buffers)


def _told(name: str, group: dict[str, tuple[int, ...]]) -> str:
    """Say what a group of tensors is, by names and shapes."""
    weight, bias = group.get("weight"), group.get("bias")
    last = name.rpartition(".")[2].lower()
    one = [shape for shape in group.values() if len(shape) == 1]
    if "weight_hh_l0" in group and "weight_ih_l0" in group:
        hidden = group["weight_hh_l0"][-1]
        gates = group["weight_hh_l0"][0] // max(hidden, 1)
        kind = {4: "LSTM", 3: "GRU", 1: "RNN"}.get(gates, "recurrent")
        deep = sum(key.startswith("weight_hh_l") and "reverse" not in key for key in group)
        return f"{kind} {group['weight_ih_l0'][-1]} -> {hidden}, {deep} layers"
    if "running_mean" in group:
        return f"batch norm {group['running_mean'][0] if group['running_mean'] else '?'}"
    if "in_proj_weight" in group:
        return f"attention {group['in_proj_weight'][-1]}"
    if (
        {"mean", "scale"} <= {*group}
        or {"mean", "std"} <= {*group}
        or {"mean_", "scale_"} <= {*group}
    ):
        return f"scaler {one[0][0] if one else '?'}"
    if "coef_" in group or "coef" in group:
        shape = group.get("coef_", group.get("coef", ()))
        return f"linear {shape[-1] if shape else '?'} -> {shape[0] if len(shape) > 1 else 1}"
    if weight is not None and len(weight) == 2:
        if bias is None and "emb" in last:
            return f"embedding {weight[0]} x {weight[1]}"
        return f"linear {weight[1]} -> {weight[0]}{'' if bias is not None else ', no bias'}"
    if weight is not None and len(weight) > 2:
        return f"convolution {weight[1]} -> {weight[0]}, {' x '.join(map(str, weight[2:]))}"
    if weight is not None and len(weight) == 1:
        return f"layer norm {weight[0]}"
    return "parameters"
