"""What stands in the files of a checkpoint: arrays, plain values and names of classes.

Nothing is executed: pickles are followed opcode by opcode, archives and headers are read within limits.
"""

from __future__ import annotations

import bz2
import io
import json
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from barproof._bundle_files import is_bundle, read_folder
from barproof._pickles import Blob, Made, Name, Stored, dtype_of, read_pickles, walk
from barproof._tensors import MOST_HEADER, read_header
from barproof.errors import BundleError

_LIMIT = 64 << 20
_UNFOLDED = 32 << 20
_MOST_FILES = 200
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


@dataclass
class Found:
    """What was read so far: arrays by name with type and shape, plain values, names of classes."""

    tensors: dict[str, tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    imports: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def look_into_folder(path: Path, found: Found) -> tuple[str, int]:
    """Look into a bundle, or into the files of any folder together; its kind and bytes."""
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
        for name, data in files.items():
            if name != "probe.safetensors":
                _bytes(data, name, found, f"{name.partition('.')[0]}.", name)
        return "barproof bundle", sum(map(len, files.values()))
    size = 0
    entries = sorted(entry for entry in path.iterdir() if entry.is_file())
    for entry in entries[:_MOST_FILES]:
        size += entry.stat().st_size
        try:
            look_into_file(entry, found, f"{entry.stem}.")
        except BundleError as error:
            # One file that is none does not hide the others.
            found.notes.append(str(error))
    if len(entries) > _MOST_FILES:
        found.notes.append(f"only the first {_MOST_FILES} of {len(entries):,} files")
    return "folder", size


def look_into_file(path: Path, found: Found, prefix: str) -> str:
    """Look into one file, whose arrays get a prefix; its kind."""
    where = f"checkpoint {path.name!r}"
    if path.suffix.lower() in (".json",):
        return _json(path, found, where)
    if path.suffix.lower() in (".yaml", ".yml", ".toml", ".ini", ".cfg"):
        found.keys.setdefault("config", path.name)
        return "text"
    with path.open("rb") as stream:
        return _stream(stream, path.stat().st_size, where, found, prefix, path.name)


def _bytes(data: bytes, name: str, found: Found, prefix: str, file: str) -> str:
    return _stream(io.BytesIO(data), len(data), f"checkpoint {name!r}", found, prefix, file)


def _stream(stream: IO[bytes], size: int, where: str, found: Found, prefix: str, file: str) -> str:
    """Tell the kind by the first bytes and read on by it."""
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


def _zip(stream: IO[bytes], where: str, found: Found, prefix: str, file: str) -> str:
    """Read the one member that describes the rest: archives of torch and of skops."""
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


def _skops(data: bytes, where: str, found: Found, file: str) -> str:
    names = re.findall(rb'"__class__": "([^"]{1,120})",\s*"__module__": "([^"]{1,200})"', data)
    classes = list(dict.fromkeys(f"{b.decode()}.{a.decode()}" for a, b in names[:100_000]))
    if not classes:
        raise BundleError(f"{where} is a skops file that names no class: it is damaged")
    _classes(classes, found, file)
    if b'"feature_names_in_"' in data:
        found.keys.setdefault("features", file)
    return "skops"


def _pickle(stream: IO[bytes], where: str, found: Found, prefix: str, file: str) -> str:
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
    found: Found,
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


def _json(path: Path, found: Found, where: str) -> str:
    """Read a configuration that lies beside weights."""
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
        if keys and not keys[-1].isdigit():
            _key(keys[-1], path.name, found)
            if isinstance(one, (str, int, float, bool)) and len(found.facts) < 500:
                found.facts[key] = one
    if isinstance(told, list) and "feature" in path.stem.lower():
        found.keys.setdefault("features", path.name)
    return "json"


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


def _key(key: str, file: str, found: Found) -> None:
    for name, pattern in _NEEDED.items():
        if name not in found.keys and pattern.fullmatch(key.lower()[:80]):
            found.keys[name] = f"{key[:40]!r} in {file}"


def _classes(classes: Iterable[str], found: Found, file: str) -> None:
    for name in classes:
        found.classes.append(name)
        last = name.rpartition(".")[2]
        if re.search("Scaler|QuantileTransformer|PowerTransformer|Normalizer", last):
            found.keys.setdefault("scaler", f"{last} in {file}")
        if name.startswith(("sklearn.", "torch.nn.", "xgboost.", "lightgbm.")):
            found.keys.setdefault("architecture", f"{last} in {file}")
        if "Calibrat" in last:
            found.keys.setdefault("calibration", f"{last} in {file}")
