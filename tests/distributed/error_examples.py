"""An example of every error of clusters: id, call, class, exact message. Ray is played, so that none has to run."""

from __future__ import annotations

import pickle
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

import barproof as bp
from barproof._sweep_job import Piece
from barproof.distributed import executor as executors
from barproof.distributed import worker
from barproof.distributed.sweeps import Spread, Written
from tests.helpers import flat, market

Example = tuple[str, Callable[[], object], type[BaseException], str]

NODE = platform.node()
VERSION = bp.__version__
BARS = market(flat(100.0, 10))
P = bp.Signals(long=np.full(10, 0.7))
GRID = bp.Grid(bp.Rules(entry_long=0.5), max_hold=[1, 2])


class _RayError(Exception):
    """Base of what the played Ray raises."""


def _errors() -> SimpleNamespace:
    names = (
        "OutOfMemoryError OutOfDiskError ObjectStoreFullError NodeDiedError WorkerCrashedError ObjectLostError "
        "RuntimeEnvSetupError RayTaskError"
    )
    kinds = {name: type(name, (_RayError,), {}) for name in names.split()}
    return SimpleNamespace(RayError=_RayError, **kinds)


class Ref:
    """What a shard will come to."""

    def __init__(self, run: Callable[[], Any]) -> None:
        self.run = run


class PlayedRay:
    """As much of Ray as a crew asks for: one node of two processors, shards run when they are asked for."""

    exceptions = _errors()
    cloudpickle = SimpleNamespace(
        dumps=pickle.dumps, loads=pickle.loads, CloudPickler=pickle.Pickler
    )
    __spec__ = None

    def __init__(
        self,
        *,
        processors: float = 2.0,
        connected: bool = True,
        init: BaseException | None = None,
        put: BaseException | None = None,
        told: Any = None,
        never: bool = False,
    ) -> None:
        self.processors = processors
        self.connected, self.told, self.never = connected, told, never
        self._init, self._put = init, put

    def is_initialized(self) -> bool:
        return self.connected

    def init(self, **_: Any) -> None:
        if self._init is not None:
            raise self._init

    def shutdown(self) -> None:
        self.connected = False

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": self.processors}}]

    def remote(self, function: Any) -> Any:
        ray = self

        class Remote:
            def options(self, **_: Any) -> Remote:
                return self

            def remote(self, *arguments: Any) -> Ref:
                return Ref(lambda: ray.outcome(function, arguments))

        return Remote()

    def outcome(self, function: Any, arguments: Any) -> Any:
        if self.told is None:
            return function(*arguments)
        if isinstance(self.told, BaseException):
            raise self.told
        return self.told

    def put(self, thing: Any) -> Any:
        if self._put is not None:
            raise self._put
        return SimpleNamespace(hex=lambda: str(id(thing)), thing=thing)

    def get(self, ref: Any) -> Any:
        return ref.run() if hasattr(ref, "run") else ref.thing

    def wait(self, refs: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        if self.never:
            self.processors = 0.0
            return [], refs
        return refs[:1], refs[1:]

    def cancel(self, ref: Any, **_: Any) -> None:
        del ref


def ends(thing: None, text: str) -> str:
    """A shard that comes to an end."""
    return text


def raises(thing: None, error: Exception) -> None:
    """A shard that fails."""
    raise error


def on(ray: PlayedRay | None, call: Callable[[], object]) -> object:
    with mock.patch.dict(sys.modules, {"ray": ray}):
        return call()


def run(call: Any = ends, argument: Any = "x", *, retries: int = 1, **ray: Any) -> object:
    """One shard on a played cluster."""

    def asked() -> list[Any]:
        task = executors.Task(call, None, (argument,))
        with bp.RayExecutor(retries=retries) as made:
            return list(made.team.run([task], what="sweep"))

    return on(PlayedRay(**ray), asked)


def differs(**changed: str) -> object:
    have = {**worker.versions(), **changed}
    return run(told={"state": "versions", "node": "n2", "have": have})


def raises_local(thing: None, text: str) -> None:
    """A shard whose error cannot travel."""
    raise type("Odd", (Exception,), {})("text")


def alone(executor: Any) -> object:
    return bp.sweep(BARS, P, GRID, costs=bp.Costs(taker=0.0), ledger=False, executor=executor)


def no_nodes() -> object:
    with mock.patch.object(executors, "_IDLE_SECONDS", -1.0):
        return run(never=True)


def elsewhere() -> object:
    """A part that a worker wrote to a folder that is not this one."""
    folder = SimpleNamespace(path=Path("out"), finish=lambda *_: False)
    job: Any = SimpleNamespace()
    work = Spread(job, [Piece(0, 0, 0, 2)], set(), [2], folder, SimpleNamespace())  # type: ignore[arg-type]
    work._keep(0, Written(2, None, None, {"frame": "x"}))
    return None


def unanswered() -> object:
    """A head that listens, and says no."""
    with mock.patch.object(executors, "_knock", lambda _: None):
        return bp.RayExecutor("10.0.0.1:6379").__enter__()


def watched() -> object:
    labels = bp.labels.horizon(BARS, bars=1, kind="binary")
    return bp.train(
        bp.models.Logistic(),
        BARS.to_polars().select("open_time", "close"),
        labels,
        bp.WalkForward(3, 2),
        watch=print,
        executor="ray",
        ledger=False,
    )


FULL = PlayedRay.exceptions.ObjectStoreFullError("full")
DISK = OSError(28, "No space left on device")
REMEDY = "give workers more memory (larger `threads`, `memory=`), or see the logs of Ray"

EXAMPLES: list[Example] = [
    (
        "no such executor",
        lambda: alone("dask"),
        bp.ParameterError,
        '`executor` must be "local", "ray" or a RayExecutor, was \'dask\'',
    ),
    (
        "no ray",
        lambda: on(None, lambda: alone("ray")),
        bp.ClusterError,
        "executor=\"ray\" needs ray, which is not installed: pip install 'barproof[cluster]'",
    ),
    (
        "address of another type",
        lambda: bp.RayExecutor(6379),  # type: ignore[arg-type]
        bp.LayoutError,
        "`address` of a RayExecutor must be a text such as '10.0.0.1:6379', was int",
    ),
    (
        "Ray Client",
        lambda: bp.RayExecutor("ray://head:10001"),
        bp.ParameterError,
        "`address` of a RayExecutor is 'ray://head:10001', a Ray Client: results would pass through a proxy; run the "
        "program on a node of the cluster, or with `ray job submit`, and say 'auto'",
    ),
    (
        "no thread",
        lambda: bp.RayExecutor(threads=0),
        bp.ParameterError,
        "`threads` of a RayExecutor must be a whole number >= 1, was 0",
    ),
    (
        "fewer than no retries",
        lambda: bp.RayExecutor(retries=-1),
        bp.ParameterError,
        "`retries` of a RayExecutor must be a whole number >= 0, was -1",
    ),
    (
        "gpus",
        lambda: bp.RayExecutor(gpus=-1),
        bp.ParameterError,
        "`gpus` of a RayExecutor must be from 0 to 1,024, was -1",
    ),
    (
        "connected elsewhere",
        lambda: on(PlayedRay(), lambda: bp.RayExecutor("10.0.0.1:6379").__enter__()),
        bp.ClusterError,
        "this process is connected to a Ray cluster already: leave out the address '10.0.0.1:6379' to use that one, or "
        "call ray.shutdown() first",
    ),
    (
        "cluster not reached",
        lambda: on(
            PlayedRay(connected=False, init=ConnectionError("no answer.\nlong tale")),
            unanswered,
        ),
        bp.ClusterError,
        "no Ray can be reached or started at '10.0.0.1:6379': no answer; see that `ray status` answers there, and that "
        "both sides have the same versions of ray and Python",
    ),
    (
        "no processor",
        lambda: run(processors=0.0),
        bp.ClusterError,
        'the Ray cluster has no node with a processor: start one with `ray start`, or give options={"num_cpus": ...}',
    ),
    (
        "threads of no node",
        lambda: on(PlayedRay(), lambda: bp.RayExecutor(threads=8).__enter__()),
        bp.ClusterError,
        "`threads` of the RayExecutor is 8, but the largest of 1 nodes has 2 processors: no worker could start; take "
        "fewer",
    ),
    (
        "store full",
        lambda: on(PlayedRay(put=FULL), lambda: alone("ray")),
        bp.ClusterError,
        "the object store of this node has no room for Candles: start Ray with a larger object_store_memory, or with "
        "room on the disk it spills to",
    ),
    (
        "runtime_env",
        lambda: run(told=PlayedRay.exceptions.RuntimeEnvSetupError("pip failed")),
        bp.ClusterError,
        "the runtime_env of the cluster could not be set up: pip failed",
    ),
    (
        "before it began",
        lambda: run(told=PlayedRay.exceptions.RayTaskError("trace\nImportError: numpy")),
        bp.ClusterError,
        "shard 0 of the sweep failed before it began: ImportError: numpy",
    ),
    (
        "barproof absent",
        lambda: run(told={"state": "absent", "node": "n2", "text": "No module named 'barproof'"}),
        bp.ClusterError,
        f"barproof cannot be imported on 'n2': No module named 'barproof'; install barproof {VERSION} there, or ship "
        "it by runtime_env",
    ),
    (
        "another version",
        lambda: differs(barproof="0.0.1", files="x"),
        bp.ClusterError,
        f"barproof differs on 'n2': barproof 0.0.1 there, {VERSION} here; results would not be the same bits: install "
        "the same version on every node",
    ),
    (
        "other files",
        lambda: differs(files="x"),
        bp.ClusterError,
        "barproof differs on 'n2': other Python files under the same version; results would not be the same bits: "
        "install the same version on every node",
    ),
    (
        "its own error",
        lambda: run(raises, bp.WindowError("window 3 holds no bars")),
        bp.WindowError,
        "window 3 holds no bars",
    ),
    (
        "an error that cannot travel",
        lambda: run(raises_local),
        bp.ClusterError,
        f"shard 0 of the sweep failed on {NODE!r}: Odd: text",
    ),
    (
        "out of memory",
        lambda: run(raises, MemoryError("cannot allocate 9 bytes")),
        bp.ClusterError,
        f"shard 0 of the sweep was lost 2 times, last by: worker out of memory on {NODE!r}: cannot allocate 9 bytes; "
        + REMEDY,
    ),
    (
        "out of disk",
        lambda: run(raises, DISK, retries=0),
        bp.ClusterError,
        f"shard 0 of the sweep was lost 1 times, last by: worker out of room on the disk on {NODE!r}: No space left on "
        "device; " + REMEDY,
    ),
    (
        "worker killed each time",
        lambda: run(told=PlayedRay.exceptions.WorkerCrashedError("long text")),
        bp.ClusterError,
        f"shard 0 of the sweep was lost 2 times, last by: worker died; {REMEDY}",
    ),
    (
        "killed by Ray's memory monitor",
        lambda: run(told=PlayedRay.exceptions.OutOfMemoryError("killed at 95%.")),
        bp.ClusterError,
        f"shard 0 of the sweep was lost 2 times, last by: worker out of memory (killed at 95%); {REMEDY}",
    ),
    (
        "all nodes gone",
        no_nodes,
        bp.ClusterError,
        "no node of the Ray cluster is left with 2 processors: 0 of 1 are there; start nodes and call again",
    ),
    (
        "no folder of all nodes",
        elsewhere,
        bp.ClusterError,
        "part 0 was written on a node, but is not in 'out' here: `shared_out` needs a folder that all nodes share; "
        "leave it out, and the driver writes",
    ),
    (
        "watch",
        watched,
        bp.ParameterError,
        "`watch` is called in the process that trains, which is a worker of the cluster: leave it out, or train "
        "without `executor`",
    ),
]
