"""A process that runs sessions in children of its own, so that tests can kill them without starting Python each time.

Reads ``bundle state bars deadly`` lines: forks a child that takes the bars after the last one taken; with `deadly` > 0
the child ends itself by SIGKILL inside that commit. Writes the child's number, then how it ended.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from pathlib import Path

from barproof.bundle import Bundle
from barproof.live.identity import code_version
from barproof.live.state import Store
from tests.live.market import candles, session


def child(bundle: Bundle, state: Path, bars: int, deadly: int) -> None:
    of = candles()
    left = [deadly]

    class Deadly(Store):
        def _before_commit(self) -> None:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    module = importlib.import_module("barproof.live.session")
    vars(module)["Store"] = Deadly
    live = session(state, None, bundle=bundle, checkpoint_bars=16, clock=lambda: 1 << 50)
    last = live.last["SIM"]
    for bar in of[:bars]:
        if last is None or bar.open_time > last:
            live.on_bar(bar)
    live.close()


def main() -> None:
    bundles: dict[str, Bundle] = {}
    candles()
    code_version()
    for line in sys.stdin:
        path, state, bars, deadly = line.split()
        bundle = bundles.setdefault(path, Bundle.load(path))
        number = os.fork()
        if number == 0:
            try:
                child(bundle, Path(state), int(bars), int(deadly))
            except BaseException as error:
                sys.stderr.write(f"{type(error).__name__}: {error}\n")
                os._exit(9)
            os._exit(0)
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        _, status = os.waitpid(number, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
