"""What a pickle would do, read from its opcodes: nothing is imported, called or built.

Objects become plain descriptions: `Name` for what it would import, `Made` for what it would call, with the arguments.
A file can ask for billions of steps, so steps and text are counted.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from barproof.errors import BundleError

__all__ = ["Blob", "Made", "Name", "Stored", "read_pickles", "walk"]

_MOST_STEPS = 400_000
_MOST_TEXT = 8 << 20
_LONG = 4_096


@dataclass(frozen=True)
class Name:
    """Something that the pickle would import."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True)
class Blob:
    """Bytes or text too long to keep."""

    length: int


@dataclass(frozen=True, eq=False)
class Stored:
    """A reference to what stands elsewhere in the file, as torch writes its numbers."""

    tag: Any


@dataclass(eq=False)
class Made:
    """A call that the pickle would make, and what it would then put into the result."""

    call: Any
    args: Any
    state: Any = None
    items: list[Any] = field(default_factory=list)
    pairs: list[tuple[Any, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What would be called, or constructed by ``copyreg``."""
        if str(self.call) in ("copyreg._reconstructor", "copy_reg._reconstructor"):
            return str(self.args[0]) if isinstance(self.args, tuple) and self.args else ""
        return str(self.call)


class _Mark:
    pass


_MARK = _Mark()


def read_pickles(stream: IO[bytes], where: str, count: int = 1) -> tuple[list[Any], list[Name]]:
    """Describe the pickles of a file, one after the other.

    Parameters
    ----------
    stream : binary file
        At the first opcode; it is left behind the last one.
    where : str
        What it is, for messages.
    count : int
        Pickles to read; fewer if the first is not torch's magic number and there are no more.

    Returns
    -------
    objects : list
        A description of each.
    names : list of Name
        Everything that would be imported, once each, in order.

    Raises
    ------
    BundleError
        If it is no pickle, or asks for more steps or text than a checkpoint needs.
    """
    reader = _Reader(stream, where)
    try:
        objects = [reader.one() for _ in range(count)]
    except BundleError:
        raise
    except Exception as error:
        raise BundleError(
            f"{where} is no pickle that can be followed: {type(error).__name__}: {str(error)[:160]}; it is damaged, or "
            "made to confuse"
        ) from error
    return objects, list(dict.fromkeys(reader.names))


class _Reader:
    """Follows the opcodes of pickles and describes what they would make."""

    def __init__(self, stream: IO[bytes], where: str) -> None:
        self.stream = stream
        self.where = where
        self.steps = 0
        self.text = 0
        self.names: list[Name] = []
        self.memo: dict[int, Any] = {}
        self.stack: list[Any] = []

    def one(self) -> Any:
        """Read one pickle up to its end; what it describes, none of it made."""
        self.stack, self.memo = [], {}
        for code, arg, _ in pickletools.genops(self.stream):
            self.steps += 1
            self.text += (
                len(arg) if isinstance(arg, (str, bytes, bytearray)) and len(arg) <= _LONG else 0
            )
            if self.steps > _MOST_STEPS or self.text > _MOST_TEXT:
                raise BundleError(
                    f"{self.where} takes more than {_MOST_STEPS:,} steps or {_MOST_TEXT:,} bytes of text to read: no "
                    "checkpoint needs that many"
                )
            if code.name == "STOP":
                return self.stack.pop()
            self.step(code.name, arg)
        # genops ends at STOP or raises; a stream without either has nothing more to say.
        return None

    def since_mark(self) -> list[Any]:
        """Take what was pushed since the last mark."""
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
        found = self.stack[at + 1 :]
        del self.stack[at:]
        return found

    def step(self, op: str, arg: Any) -> None:
        """Do what an opcode asks of the stack, without importing or calling anything."""
        stack = self.stack
        if op in ("PROTO", "FRAME", "NEXT_BUFFER", "READONLY_BUFFER"):
            if op == "NEXT_BUFFER":
                stack.append(Blob(0))
        elif op == "MARK":
            stack.append(_MARK)
        elif op in _CONSTANTS:
            stack.append(_CONSTANTS[op])
        elif op in _EMPTY:
            stack.append(_EMPTY[op]())
        elif op in _TUPLES:
            n = _TUPLES[op]
            found = tuple(stack[len(stack) - n :])
            del stack[len(stack) - n :]
            stack.append(found)
        elif op == "TUPLE":
            stack.append(tuple(self.since_mark()))
        elif op in ("LIST", "FROZENSET"):
            stack.append(self.since_mark())
        elif op == "DICT":
            found_list = self.since_mark()
            stack.append(dict(_pairs(found_list)))
        elif op in ("GLOBAL", "STACK_GLOBAL", "INST", "NEWOBJ", "NEWOBJ_EX", "OBJ", "REDUCE"):
            self.call(op, arg)
        elif op in ("EXT1", "EXT2", "EXT4"):
            self.names.append(Name("copyreg", f"extension {arg}"))
            stack.append(self.names[-1])
        elif op in ("PERSID", "BINPERSID"):
            stack.append(Stored(arg if op == "PERSID" else stack.pop()))
        elif op in ("APPEND", "APPENDS", "ADDITEMS", "SETITEM", "SETITEMS", "BUILD"):
            self.fill(op)
        elif op in ("POP", "POP_MARK"):
            self.since_mark() if op == "POP_MARK" else stack.pop()
        elif op == "DUP":
            stack.append(stack[-1])
        elif op in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[arg] = stack[-1]
        elif op == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif op in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[arg])
        else:
            # Numbers, text and bytes stand in the opcode itself.
            long = isinstance(arg, (str, bytes, bytearray)) and len(arg) > _LONG
            stack.append(Blob(len(arg)) if long else arg)

    def call(self, op: str, arg: Any) -> None:
        """Note a name, or what would be made by calling one."""
        stack = self.stack
        if op in ("GLOBAL", "STACK_GLOBAL"):
            if op == "GLOBAL":
                module, _, name = arg.partition(" ")
            else:
                name, module = stack.pop(), stack.pop()
            self.names.append(Name(str(module)[:200], str(name)[:200]))
            stack.append(self.names[-1])
            return
        if op == "INST":
            module, _, name = arg.partition(" ")
            self.names.append(Name(module[:200], name[:200]))
            stack.append(Made(self.names[-1], tuple(self.since_mark())))
        elif op == "OBJ":
            found = self.since_mark()
            stack.append(Made(found[0], tuple(found[1:])))
        else:
            if op == "NEWOBJ_EX":
                stack.pop()
            args = stack.pop()
            stack.append(Made(stack.pop(), args))

    def fill(self, op: str) -> None:
        """Put items or a state into what lies below them."""
        stack = self.stack
        if op == "BUILD":
            state = stack.pop()
            if isinstance(stack[-1], Made):
                stack[-1].state = state
                self.skip_array(stack[-1])
            return
        if op in ("SETITEM", "APPEND"):
            n = 2 if op == "SETITEM" else 1
            found = stack[len(stack) - n :]
            del stack[len(stack) - n :]
        else:
            found = self.since_mark()
        target = stack[-1]
        if op.startswith("SETITEM"):
            if isinstance(target, dict):
                target.update(_pairs(found))
            elif isinstance(target, Made):
                target.pairs += list(zip(found[::2], found[1::2], strict=True))
        elif isinstance(target, list):
            target += found
        elif isinstance(target, Made):
            target.items += found

    def skip_array(self, made: Made) -> None:
        """Pass over the numbers that joblib writes right behind the description of an array."""
        if not made.name.startswith("joblib.numpy_pickle.NumpyArrayWrapper"):
            return
        told = made.state if isinstance(made.state, dict) else {}
        shape, dtype = told.get("shape"), dtype_of(told.get("dtype"))
        if dtype is None or not isinstance(shape, tuple):
            # Objects follow as a pickle of their own.
            made.items.append(_Reader.nested(self))
            return
        size = dtype[1]
        for n in shape:
            size *= int(n)
        if told.get("numpy_array_alignment_bytes") is not None:
            padding = self.stream.read(1)
            self.stream.seek(padding[0], 1)
        here = self.stream.tell()
        end = self.stream.seek(0, 2)
        if size < 0 or here + size > end:
            # Caught where all pickles end.
            raise BundleError(
                f"{self.where} announces an array of {size:,} bytes with {end - here:,} left in the file: it is damaged"
            )
        self.stream.seek(here + size)

    def nested(self) -> Any:
        """Read a pickle that stands inside this one."""
        stack, memo = self.stack, self.memo
        try:
            return self.one()
        finally:
            self.stack, self.memo = stack, memo


def _pairs(found: list[Any]) -> Iterator[tuple[Any, Any]]:
    for key, value in zip(found[::2], found[1::2], strict=True):
        yield key if isinstance(key, (str, int, float, bool, type(None))) else str(key)[:200], value


_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Any] = {
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": list,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def dtype_of(made: Any) -> tuple[str, int] | None:
    """Name and bytes an element of a described numpy dtype; None where elements are objects."""
    if not isinstance(made, Made) or not made.name.endswith("dtype"):
        return None
    text = made.args[0] if isinstance(made.args, tuple) and made.args else None
    if not isinstance(text, str) or text[:1] not in "fiubcSUVMm" or not text[1:].isdigit():
        return None
    # Records say in the first bit of their flags whether a field is an object.
    state = made.state if isinstance(made.state, tuple) else ()
    if text[0] == "V" and len(state) > 7 and isinstance(state[7], int) and state[7] & 1:
        return None
    return text, int(text[1:6]) * (4 if text[0] == "U" else 1)


def walk(value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Everything in a description with the path to it, each object once, the outer before the inner."""
    seen: set[int] = set()
    left: list[tuple[tuple[str, ...], Any]] = [((), value)]
    while left:
        path, one = left.pop()
        if isinstance(one, (dict, list, tuple, Made)):
            if id(one) in seen:
                continue
            seen.add(id(one))
        yield path, one
        inside: list[tuple[tuple[str, ...], Any]] = []
        if len(path) > 60:
            continue
        if isinstance(one, dict):
            inside = [((*path, str(key)), item) for key, item in one.items()]
        elif isinstance(one, (list, tuple)):
            inside = [((*path, str(i)), item) for i, item in enumerate(one)]
        elif isinstance(one, Made):
            inside = [((*path, str(key)[:200]), item) for key, item in one.pairs]
            inside += [((*path, str(i)), item) for i, item in enumerate(one.items)]
            inside += [(path, one.args), (path, one.state)]
        left += reversed(inside)
