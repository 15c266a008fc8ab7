"""What the machine has to give: threads and memory."""

from __future__ import annotations

import os

from barproof.errors import ParameterError

MOST_THREADS = 1_024
"""More threads than any machine has cores for would only take memory."""
_MOST_MIB = 2**30


def thread_count(threads: int | None) -> int:
    """Worker threads: the argument, else ``BARPROOF_THREADS``, else every core this process may use."""
    if threads is None:
        text = os.environ.get("BARPROOF_THREADS")
        if text is None:
            return (
                len(os.sched_getaffinity(0))
                if hasattr(os, "sched_getaffinity")
                else os.cpu_count() or 1
            )
        if not text.isdigit() or not 1 <= int(text) <= MOST_THREADS:
            raise ParameterError(
                f"BARPROOF_THREADS must be a whole number from 1 to {MOST_THREADS}, was {text!r}"
            )
        return int(text)
    if (
        isinstance(threads, bool)
        or not isinstance(threads, int)
        or not 1 <= threads <= MOST_THREADS
    ):
        raise ParameterError(
            f"`threads` must be a whole number from 1 to {MOST_THREADS}, was {threads!r}"
        )
    return threads


_PLENTY = 2**62
_GROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""What a container may take and has taken, in the two forms that Linux tells it in."""


def available_bytes() -> int:
    """Memory that can be taken: of the machine without swapping, of the container, and of the limit of the process."""
    return min(_of_machine(), _of_group(), _of_process())


def _of_machine() -> int:
    """Bytes that the machine has; unknown counts as plenty."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return _PLENTY


def _of_group() -> int:
    """Bytes that the container has left, if it has a limit."""
    for limit, used in _GROUPS:
        try:
            with open(limit, encoding="ascii") as most, open(used, encoding="ascii") as now:
                return max(0, int(most.read()) - int(now.read()))
        except (OSError, ValueError):
            # Absent, or "max".
            continue
    return _PLENTY


def _of_process() -> int:
    """Bytes of addresses that the process has left, if it has a limit (``ulimit -v``)."""
    try:
        # Not on every system.
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit == resource.RLIM_INFINITY:
            return _PLENTY
        with open("/proc/self/statm", encoding="ascii") as line:
            return max(0, limit - int(line.read().split()[0]) * os.sysconf("SC_PAGE_SIZE"))
    except (ImportError, OSError, ValueError):
        return _PLENTY


def kept_bytes() -> int:
    """Most memory of earlier results that is kept: ``BARPROOF_KEPT_MIB``, else an eighth of the machine's, if known."""
    text = os.environ.get("BARPROOF_KEPT_MIB")
    if text is not None:
        if not text.isdigit() or int(text) > _MOST_MIB:
            raise ParameterError(
                f"BARPROOF_KEPT_MIB must be a whole number from 0 to {_MOST_MIB:,}, was {text!r}"
            )
        return int(text) * 2**20
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 8
    except (AttributeError, ValueError, OSError):
        return 0
