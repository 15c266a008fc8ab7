"""`RayExecutor`: shards of one call on the workers of a Ray cluster, run again where a worker is lost."""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import socket
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from barproof.distributed.packing import KEPT, pack
from barproof.distributed.worker import versions
from barproof.errors import ClusterError, LayoutError, ParameterError

__all__ = ["Crew", "RayExecutor", "Task", "entered"]

_LOOK_SECONDS = 0.1
"""How often Ctrl-C is looked for."""

_KNOCK_SECONDS = 10.0
"""How long a head may take to answer."""

_IDLE_SECONDS = 30.0
"""Without a result for so long, it is asked whether any node can run a shard at all."""


class RayExecutor:
    """Runs calls that take ``executor=`` on a Ray cluster: the same bits in the same order as without.

    Entered with ``with`` it keeps its connection over several calls; else each call connects by itself, and a local
    cluster lives as long as the call. ``executor="ray"`` is one without arguments.

    Parameters
    ----------
    address : str, optional
        ``"host:port"`` of a cluster, or ``"auto"`` for the one on this machine. Default: the cluster that this process
        is connected to, else that of ``RAY_ADDRESS``, else a local one is started and ended again.
    threads : int, optional
        Processors and threads of a worker. Default: all of the smallest node, so that a node has one worker, and what
        it works on is in its memory once.
    retries : int, default 3
        How often a shard is run again whose worker or node was lost.
    gpus : float, default 0
        GPUs that a fold of :func:`barproof.train` takes.
    resources : mapping of str to float, optional
        Further resources of Ray that a shard takes, by name.
    memory : int, optional
        Bytes that Ray sets aside for a shard: where it asks for more than a node has, fewer run there at once.
    shared_out : bool, default False
        Workers write the parts of ``sweep(out=...)`` themselves: `out` must be the same folder on every node.
    options : mapping, optional
        Further arguments of ``ray.init``, such as ``{"num_cpus": 2}`` for a local cluster or a ``runtime_env``.

    Attributes
    ----------
    lost : int
        Shards that were run again so far.
    busy_seconds : float
        Time that workers spent in shards so far.

    Raises
    ------
    LayoutError, ParameterError
        If an argument is of the wrong type or out of bounds.

    Examples
    --------
    >>> import barproof as bp
    >>> bp.RayExecutor("10.0.0.1:6379", threads=8)
    RayExecutor(10.0.0.1:6379, 8 threads a worker)
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        threads: int | None = None,
        retries: int = 3,
        gpus: float = 0.0,
        resources: Mapping[str, float] | None = None,
        memory: int | None = None,
        shared_out: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if address is not None and not isinstance(address, str):
            raise LayoutError(
                f"`address` of a RayExecutor must be a text such as '10.0.0.1:6379', was {type(address).__name__}"
            )
        if address is not None and address.startswith("ray://"):
            raise ParameterError(
                f"`address` of a RayExecutor is {address!r}, a Ray Client: results would pass through a proxy; run the "
                "program on a node of the cluster, or with `ray job submit`, and say 'auto'"
            )
        for name, value, least in (
            ("threads", threads, 1),
            ("retries", retries, 0),
            ("memory", memory, 1),
        ):
            if value is None and name != "retries":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ParameterError(
                    f"`{name}` of a RayExecutor must be a whole number >= {least}, was {value!r}"
                )
        if isinstance(gpus, bool) or not isinstance(gpus, (int, float)) or not 0 <= gpus < 1_024:
            raise ParameterError(f"`gpus` of a RayExecutor must be from 0 to 1,024, was {gpus!r}")
        self.address = address
        self.threads = threads
        self.retries = retries
        self.gpus = float(gpus)
        self.resources = dict(resources or {})
        self.memory = memory
        self.shared_out = bool(shared_out)
        self.options = dict(options or {})
        self.lost = 0
        self.busy_seconds = 0.0
        self._entered = 0
        self._own = False
        self._crew: Crew | None = None

    def __enter__(self) -> RayExecutor:
        if not self._entered:
            self._own = _connect(self.address, self.options)
            try:
                self._crew = Crew(self)
            except BaseException:
                self._leave()
                raise
        self._entered += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._entered -= 1
        if not self._entered:
            self._leave()

    def _leave(self) -> None:
        self._crew = None
        if self._own:
            self._own = False
            _load().shutdown()

    @property
    def team(self) -> Crew:
        """Workers of an executor that was entered."""
        assert self._crew is not None
        return self._crew

    def __repr__(self) -> str:
        each = "a node's" if self.threads is None else f"{self.threads}"
        return f"RayExecutor({self.address or 'local or as connected'}, {each} threads a worker)"


@contextlib.contextmanager
def entered(executor: Any) -> Iterator[Crew]:
    """Workers of an executor for one call."""
    if isinstance(executor, Crew):
        yield executor
        return
    if isinstance(executor, str) and executor == "ray":
        executor = RayExecutor()
    if not isinstance(executor, RayExecutor):
        raise ParameterError(
            f'`executor` must be "local", "ray" or a RayExecutor, was {executor!r}'
        )
    with executor:
        yield executor.team


def _load() -> Any:
    """Load Ray, an extra."""
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise ClusterError(
            "executor=\"ray\" needs ray, which is not installed: pip install 'barproof[cluster]'"
        ) from error


def _connect(address: str | None, options: Mapping[str, Any]) -> bool:
    """Connect to a cluster, or start a local one; whether it is ours to end."""
    ray = _load()
    if ray.is_initialized():
        if address is None:
            return False
        raise ClusterError(
            f"this process is connected to a Ray cluster already: leave out the address {address!r} to use that one, "
            "or call ray.shutdown() first"
        )
    # A local cluster tells nobody that it runs.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    given: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", **options}
    if address is not None:
        given["address"] = address
    elif not os.environ.get("RAY_ADDRESS"):
        given = {"address": "local", "include_dashboard": False, **given}
    try:
        _knock(address or os.environ.get("RAY_ADDRESS") or "")
        with warnings.catch_warnings():
            # What Ray says of its own coming defaults is not the caller's to mend.
            warnings.simplefilter("ignore")
            ray.init(**given)
    except KeyboardInterrupt:
        ray.shutdown()
        raise
    except Exception as error:
        ray.shutdown()
        where = address or os.environ.get("RAY_ADDRESS") or "a local cluster"
        text = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise ClusterError(
            f"no Ray can be reached or started at {where!r}: {text}; see that `ray status` answers there, and that "
            "both sides have the same versions of ray and Python"
        ) from error
    return True


def _knock(address: str) -> None:
    """See that somebody listens at host:port, which Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_KNOCK_SECONDS).close()


@dataclass(frozen=True)
class Task:
    """One shard: a function of the package, the thing it works on, and what is its own."""

    call: Callable[..., Any]
    shared: Shared | None
    arguments: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Shared:
    """A thing in the object store; it stays there while this is held."""

    names: list[str]
    refs: list[Any]
    parts: list[Any]


class Crew:
    """Workers of a cluster that this process is connected to."""

    def __init__(self, executor: RayExecutor) -> None:
        self._ray = _load()
        self.executor = executor
        self.nodes = self._processors()
        if not self.nodes:
            raise ClusterError(
                "the Ray cluster has no node with a processor: start one with `ray start`, or give "
                'options={"num_cpus": ...}'
            )
        self.threads = executor.threads or max(1, int(min(self.nodes)))
        if self.threads > max(self.nodes):
            raise ClusterError(
                f"`threads` of the RayExecutor is {self.threads}, but the largest of {len(self.nodes):,} nodes has "
                f"{int(max(self.nodes))} processors: no worker could start; take fewer"
            )
        self._shared: deque[Shared] = deque(maxlen=KEPT)
        self.probed: dict[Any, float] = {}
        self.started = False
        self._remote = self._ray.remote(_entry())

    def _processors(self) -> list[float]:
        """Processors of the nodes that are alive and have any."""
        held = (node["Resources"].get("CPU", 0.0) for node in self._ray.nodes() if node["Alive"])
        return [count for count in held if count >= 1]

    def slots(self, threads: int) -> int:
        """How many shards of so many threads run at once."""
        return max(1, sum(int(count // threads) for count in self._processors()))

    def share(self, thing: Any) -> Shared:
        """Put a thing into the object store, its heavy parts once whatever else holds them."""
        names: list[str] = []
        refs: list[Any] = []
        parts: list[Any] = []
        known: dict[int, int] = {}

        def store(part: Any) -> int:
            if id(part) not in known:
                known[id(part)] = len(names)
                name, ref = self._held(part) or self._put(part)
                names.append(name)
                refs.append(ref)
                parts.append(part)
            return known[id(part)]

        packed = pack(thing, store)
        body_name, body = self._put(packed)
        made = Shared([body_name, *names], [body, *refs], [None, *parts])
        self._shared.append(made)
        return made

    def _held(self, part: Any) -> tuple[str, Any] | None:
        for one in self._shared:
            for number, other in enumerate(one.parts):
                if other is part:
                    return one.names[number], one.refs[number]
        return None

    def _put(self, part: Any) -> tuple[str, Any]:
        try:
            ref = self._ray.put(part)
        except (
            self._ray.exceptions.ObjectStoreFullError,
            self._ray.exceptions.OutOfDiskError,
        ) as error:
            raise ClusterError(
                f"the object store of this node has no room for {type(part).__name__}: start Ray with a larger "
                "object_store_memory, or with room on the disk it spills to"
            ) from error
        return ref.hex(), ref

    def run(
        self, tasks: Iterable[Task], *, what: str, threads: int | None = None, gpus: float = 0.0
    ) -> Iterator[tuple[int, Any]]:
        """Run shards; gives (number, result) as they end. Left early, what is under way is cancelled.

        Of several that fail the one with the lowest number is raised, whatever the order they end in.
        """
        ray, used = self._ray, threads or self.threads
        how = {"num_cpus": used, "max_retries": 0, "name": f"barproof {what}"}
        if gpus:
            how["num_gpus"] = gpus
        if self.executor.memory is not None:
            how["memory"] = self.executor.memory
        if self.executor.resources:
            how["resources"] = self.executor.resources
        remote, want = self._remote.options(**how), versions()
        # Twice as many as can run, so that no worker waits for the driver.
        room = 2 * self.slots(used)
        coming = enumerate(tasks)
        again: deque[tuple[int, Task]] = deque()
        flying: dict[Any, tuple[int, Task]] = {}
        tries: dict[int, int] = {}
        failed: dict[int, BaseException] = {}
        heard = time.monotonic()
        try:
            while True:
                while len(flying) < room and not failed:
                    one = again.popleft() if again else next(coming, None)
                    if one is None:
                        break
                    number, task = one
                    flying[remote.remote(want, *_by_name(task))] = one
                if failed and not any(number < min(failed) for number, _ in flying.values()):
                    raise failed[min(failed)]
                if not flying:
                    return
                ready, _ = ray.wait(list(flying), num_returns=1, timeout=_LOOK_SECONDS)
                if not ready:
                    if time.monotonic() - heard > _IDLE_SECONDS:
                        self._look(used)
                        heard = time.monotonic()
                    continue
                heard = time.monotonic()
                for ref in ready:
                    number, task = flying.pop(ref)
                    try:
                        found = self._open(ref, what, number)
                    except _LostError as lost:
                        tries[number] = tries.get(number, 0) + 1
                        if tries[number] <= self.executor.retries:
                            self.executor.lost += 1
                            again.append((number, task))
                        else:
                            failed[number] = self._given_up(lost, what, number)
                    except Exception as error:
                        failed[number] = error
                    else:
                        yield number, found
                    del ref
        finally:
            for ref in flying:
                with contextlib.suppress(Exception):
                    ray.cancel(ref, force=True)

    def _open(self, ref: Any, what: str, number: int) -> Any:
        """Take the outcome of a shard."""
        errors = self._ray.exceptions
        try:
            told = self._ray.get(ref)
        except errors.RuntimeEnvSetupError as error:
            raise ClusterError(
                f"the runtime_env of the cluster could not be set up: {_first_line(error)}"
            ) from error
        except errors.RayTaskError as error:
            raise ClusterError(
                f"shard {number} of the {what} failed before it began: {_first_line(error)}"
            ) from error
        except errors.RayError as error:
            raise _LostError(_why(error, errors)) from error
        state = told["state"]
        self.started = True
        if state == "done":
            self.executor.busy_seconds += told["seconds"]
            return told["found"]
        where = f"on {told['node']!r}"
        if state in ("memory", "disk"):
            lacked = "memory" if state == "memory" else "room on the disk"
            raise _LostError(f"worker out of {lacked} {where}: {told['text']}")
        if state == "absent":
            raise ClusterError(
                f"barproof cannot be imported {where}: {told['text']}; install barproof "
                f"{versions()['barproof']} there, or ship it by runtime_env"
            )
        if state == "versions":
            raise ClusterError(
                f"barproof differs {where}: {_differs(told['have'])}; results would not be the same bits: install the "
                "same version on every node"
            )
        packed = told["error"]
        if isinstance(packed, str):
            raise ClusterError(f"shard {number} of the {what} failed {where}: {packed}")
        raised: Exception = pickle.loads(packed)
        raised.add_note(f"in shard {number} of the {what}, {where}")
        raise raised

    def _given_up(self, lost: Exception, what: str, number: int) -> ClusterError:
        """Make the error of a shard that no worker has survived."""
        try:
            raise ClusterError(
                f"shard {number} of the {what} was lost {self.executor.retries + 1} times, last by: {lost}; give "
                "workers more memory (larger `threads`, `memory=`), or see the logs of Ray"
            ) from lost
        except ClusterError as made:
            return made

    def _look(self, threads: int) -> None:
        """Refuse to wait for nodes that are gone."""
        left = self._processors()
        if not left or max(left) < threads:
            raise ClusterError(
                f"no node of the Ray cluster is left with {threads} processors: {len(left)} of {len(self.nodes)} are "
                "there; start nodes and call again"
            )


class _LostError(Exception):
    """A worker that ended before its shard did."""


def _why(error: Exception, errors: Any) -> str:
    """Say what took a worker, in a few words."""
    known = (
        (errors.OutOfMemoryError, "worker out of memory"),
        (errors.OutOfDiskError, "node out of room on the disk"),
        (errors.ObjectStoreFullError, "object store full"),
        (errors.NodeDiedError, "node died"),
        (errors.WorkerCrashedError, "worker died"),
        (errors.ObjectLostError, "result lost with its node"),
    )
    text = next((text for kind, text in known if isinstance(error, kind)), type(error).__name__)
    return (
        text if isinstance(error, errors.WorkerCrashedError) else f"{text} ({_first_line(error)})"
    )


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300].rstrip(".")


def _differs(have: Mapping[str, str]) -> str:
    """Say in what a node is not like this one."""
    want = versions()
    named = [name for name in ("barproof", "python") if have.get(name) != want[name]]
    if not named:
        return "other Python files under the same version"
    return "; ".join(f"{name} {have.get(name)} there, {want[name]} here" for name in named)


def _by_name(task: Task) -> tuple[Any, ...]:
    """Take apart what a worker is sent: nothing may need barproof before it is known to be there."""
    from ray import cloudpickle

    shared = None if task.shared is None else (task.shared.names, task.shared.refs)
    name = (task.call.__module__, task.call.__qualname__)
    return name, shared, cloudpickle.dumps(task.arguments)


def _entry() -> Callable[..., Any]:
    """Make what a worker runs first: pickled by value, so that it can tell where barproof is missing."""

    def shard(want: Any, name: Any, shared: Any, arguments: Any) -> Any:
        import importlib
        import platform

        try:
            worker = importlib.import_module("barproof.distributed.worker")
        except ImportError as error:
            return {"state": "absent", "node": platform.node(), "text": str(error)}
        return worker.serve(want, name, shared, arguments)

    return shard
