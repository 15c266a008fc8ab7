"""What a child process spends, so that a bound on its answer holds on a busy machine, too."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def spent_from_now(child: subprocess.Popen[str]) -> Callable[[], float]:
    """Processor seconds of a child from now until it was waited for, whatever else the machine has to do.

    To be called once, with no other child waited for in between.
    """
    before = _of_children()
    fields = Path(f"/proc/{child.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    so_far = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return lambda: _of_children() - before - so_far


def _of_children() -> float:
    # Not on every system.
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
