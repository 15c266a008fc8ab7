"""Pictures of the report and of the terminal: ``python -m tools.screenshots`` writes those that README and docs show.

The report is taken in headless Chromium with no network, at three widths, light and dark, with 0, 10 and 10,000
combinations; ``--all DIR`` keeps every picture, to be looked at. What is committed is small: a palette of colours, the
part that a page shows. It needs Chromium and Pillow, and minutes.
"""

from __future__ import annotations

import argparse
import fcntl
import html
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import barproof as bp

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "img"

WIDTHS = (390, 820, 1440)
SCHEMES = ("light", "dark")
SIZES = (0, 10, 10_000)
LIMIT = 150_000
"""Bytes of a picture that is committed."""


class Shot(NamedTuple):
    """One picture that is committed: of which page, its size, scheme and sections, and buttons that are pressed."""

    name: str
    page: str
    width: int
    height: int
    scheme: str
    sections: str
    press: str = ""


SHOTS = (
    Shot("report-verdict", "demo", 1160, 1010, "light", "verdict findings"),
    Shot("report-dark", "demo", 1160, 900, "dark", "numbers equity"),
    Shot("report-trades", "demo", 1160, 700, "light", "trades", "next wider wider wider"),
    Shot("report-sweep", "10000", 1160, 1130, "light", "sweep"),
    Shot("report-phone", "demo", 390, 900, "light", "verdict findings"),
)
"""Sections are shown alone, with the head of the page where the verdict is among them."""

SCREENS = {
    "terminal-demo": ["demo", "--out", "demo"],
    "terminal-plan": ["sweep", "sim_5m.parquet", "--signals", "signals.parquet", "--kind", "score",
                      "--instrument", "perpetual", "--funding", "none", "--taker", "0.0005",
                      "--axis", "entry_long=1.0,1.2,1.4,1.6,1.8,2.0", "--axis", "max_hold=12,24,48,96",
                      "--axis", "stop_loss=0.005,0.01,0.02,none", "--windows", "1mo", "--plan"],
    "terminal-audit": ["audit", "--run"],
}  # fmt: skip
"""Commands whose output is kept as a drawing; the audit is that of a project that `init` makes."""


def browser() -> str:
    """Find Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        sys.exit("no Chromium on this machine: install chromium")
    return found


def browse(page: Path, *flags: str, scheme: str = "light") -> str:
    """Open a page without a network and give what Chromium prints."""
    with tempfile.TemporaryDirectory() as profile:
        command = [
            browser(),
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--disable-background-networking",
            "--host-resolver-rules=MAP * 127.0.0.1:9",
            f"--user-data-dir={profile}",
            # As at a desk, with a pointer; headless has none.
            f"--blink-settings=preferredColorScheme={int(scheme == 'light')},primaryHoverType=2,availableHoverTypes=2",
            *flags,
            page.as_uri(),
        ]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=240
        ).stdout


def framed(page: Path, width: int) -> Path:
    """Put a page into a frame of exact width: a browser's window cannot be as narrow as a phone."""
    frame = page.with_name(f"{page.stem}-{width}.html")
    inner = html.escape(page.read_text("utf-8"), quote=True)
    frame.write_text(
        '<!DOCTYPE html><body style="margin:0"><iframe style="border:0;display:block;'
        f'width:{width}px;height:20000px" srcdoc="{inner}"></iframe>',
        "utf-8",
    )
    return frame


def part(page: Path, sections: str, press: str = "") -> Path:
    """Copy a page with some of its sections alone, where buttons are pressed once all is drawn."""
    keys = sections.split()
    hidden = "".join(f":not(#{key})" for key in keys)
    css = f"section{hidden}{{display:none}}footer{{display:none}}main section:first-of-type{{margin-top:20px}}"
    if "verdict" not in keys:
        css += "header,main>.tiles{display:none}.wrap{padding-top:2px}"
    script = (
        "<script>(function go(){if(document.documentElement.dataset.drawn!=='yes')return setTimeout(go,50);"
        f"{json.dumps(press.split())}.forEach(function(a){{"
        "document.querySelector('button[data-act='+a+']').click();});})();</script>"
    )
    copy = page.with_name(f"{page.stem}-{'-'.join(keys)}.html")
    copy.write_text(
        page.read_text("utf-8")
        .replace("</head>", f"<style>{css}</style></head>")
        .replace("</body>", f"{script}</body>"),
        "utf-8",
    )
    return copy


def shoot(page: Path, target: Path, width: int, height: int, scheme: str, *, small: bool) -> Path:
    """Take a picture; a small one has a palette and is cut where the page ends."""
    try:
        from PIL import Image, ImageChops
    except ImportError:
        sys.exit("pictures need Pillow: pip install pillow")
    source = page if width >= 500 else framed(page, width)
    flags = ("--virtual-time-budget=20000", f"--window-size={max(width, 500)},{height}")
    browse(source, *flags, f"--screenshot={target}", scheme=scheme)
    with Image.open(target) as taken:
        image = taken.convert("RGB").crop((0, 0, width, height))
    if not small:
        # All of the page, and none of the empty window below it.
        ground = Image.new("RGB", image.size, image.getpixel((1, height - 2)))
        box = ImageChops.difference(image, ground).getbbox()
        image.crop((0, 0, width, min(height, (box[3] if box else 0) + 40))).save(target)
        return target
    for colours in (128, 64, 32, 16):
        image.quantize(colours, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
            target, optimize=True
        )
        if target.stat().st_size < LIMIT:
            return target
    sys.exit(f"{target.name} has {target.stat().st_size:,} bytes, more than {LIMIT:,}: show less")


def study() -> tuple[bp.Candles, bp.Signals, bp.Costs]:
    """Simulate what the pages of sweeps rest on."""
    candles = bp.simulate_candles(3, bars=60_000, edge=0.1)
    assert candles.planted is not None
    signals = bp.Signals(long=candles.planted, short=-candles.planted, kind="score")
    return candles, signals, bp.Costs(taker=0.0005, slippage=0.0001)


def made_page(size: int, folder: Path) -> Path:
    """Write the report with so many combinations: none, ten, or ten thousand."""
    candles, signals, costs = study()
    base = bp.Rules(entry_long=1.5, entry_short=1.5, stop_loss=0.01, take_profit=0.01, max_hold=48)
    path = folder / f"{size}.html"
    if size == 0:
        return bp.backtest(candles, signals, base, costs=costs, ledger=False).to_html(path)
    steps = [round(0.003 + 0.002 * i, 4) for i in range(10)]
    axes: dict[str, Any] = {"stop_loss": [0.005, 0.01], "max_hold": [6, 12, 24, 48, 96]}
    if size > 10:
        axes = {
            "entry_long": [round(1 + 0.1 * i, 2) for i in range(10)],
            "stop_loss": steps,
            "take_profit": steps,
            "max_hold": [6 * (i + 1) for i in range(10)],
        }
    found = bp.sweep(
        candles, signals, bp.Grid(base, **axes), costs=costs, windows="1mo", ledger=False
    )
    assert len(found) == size
    return found.to_html(path)


def opening(page: Path, times: int = 5) -> dict[str, float]:
    """Measure how long a page takes to open, in milliseconds since the browser was sent there.

    Parameters
    ----------
    page : Path
        The page.
    times : int, default 5
        How often, each time in a new browser.

    Returns
    -------
    dict
        Medians: `shown`, when text could first be read, and `drawn`, when every figure in sight was.
    """
    seen = [_timed(page) for _ in range(times)]
    return {key: statistics.median(one[key] for one in seen) for key in seen[0]}


STATE = """JSON.stringify({shown: (performance.getEntriesByName("first-contentful-paint")[0] || {}).startTime,
 drawn: Number(document.documentElement.dataset.ready), whole: document.documentElement.dataset.drawn === "yes"})"""


def _timed(page: Path) -> dict[str, float]:
    """Open a page once, in a new browser that is asked through a pipe: its clock runs as it does for a reader."""
    down, ask = os.pipe()
    answer, up = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = "--headless=new --no-sandbox --disable-gpu --window-size=1280,900"
        command = [
            browser(),
            *flags.split(),
            f"--user-data-dir={profile}",
            "--remote-debugging-pipe",
            "about:blank",
        ]
        # The browser reads from 3 and writes to 4, whatever is open there in this process.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (down, up)]
        running = subprocess.Popen(
            command,
            close_fds=False,
            preexec_fn=lambda: [os.dup2(end, at) for end, at in zip(ends, (3, 4), strict=True)],
            stderr=subprocess.DEVNULL,
        )
        for end in ends:
            os.close(end)
        os.close(down)
        os.close(up)
        with os.fdopen(ask, "wb", buffering=0) as to, os.fdopen(answer, "rb", buffering=0) as back:
            number, held = 0, b""

            def call(method: str, session: str = "", **given: Any) -> dict[str, Any]:
                """Ask the browser something and wait for the answer."""
                nonlocal number, held
                number += 1
                message: dict[str, Any] = {"id": number, "method": method, "params": given}
                to.write(
                    json.dumps(message | ({"sessionId": session} if session else {})).encode()
                    + b"\0"
                )
                while True:
                    while b"\0" not in held:
                        heard = back.read(65_536)
                        if not heard:
                            raise SystemExit(f"{browser()} ended before it answered {method}")
                        held += heard
                    one, held = held.split(b"\0", 1)
                    told: dict[str, Any] = json.loads(one)
                    if told.get("id") == number:
                        found: dict[str, Any] = told["result"]
                        return found

            target = call("Target.createTarget", url=page.as_uri())["targetId"]
            session = call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            until = time.monotonic() + 60
            state: dict[str, Any] = {}
            while time.monotonic() < until:
                # Before the page is there the answer is an error.
                told = call("Runtime.evaluate", session, expression=STATE)["result"].get("value")
                state = json.loads(told) if told else {}
                if state.get("whole"):
                    break
                time.sleep(0.1)
            call("Browser.close")
            running.wait(timeout=30)
    return {key: float(state.get(key) or "nan") for key in ("shown", "drawn")}


def screen(name: str, folder: Path) -> Path:
    """Draw what a command prints, as SVG of its own letters: nothing is fetched where it is read."""
    from rich.console import Console
    from rich.terminal_theme import MONOKAI
    from rich.text import Text

    home = folder
    if name == "terminal-audit":
        _barproof(["init", "study"], folder)
        home = folder / "study"
    elif name == "terminal-plan":
        candles, _, _ = study()
        stamps = candles.to_polars().select("open_time")
        candles.to_polars().write_parquet(folder / "sim_5m.parquet")
        stamps.with_columns(long=candles.planted).write_parquet(folder / "signals.parquet")
    text = _barproof(SCREENS[name], home).replace(str(folder), ".")
    # How long it took says more about this machine's other work than about the command.
    text = re.sub(r"[0-9.]+ s in all; the report", "the report", text)
    shown = Text.from_ansi(f"$ barproof {' '.join(SCREENS[name])}\n{text.rstrip()}")
    console = Console(record=True, width=100, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    console.print(shown)
    drawn = console.export_svg(
        title="barproof", theme=MONOKAI, code_format=_plain_format(), unique_id=name
    )
    target = IMAGES / f"{name}.svg"
    target.write_text(re.sub(r"[ \t]+\n", "\n", drawn), "utf-8")
    return target


def _plain_format() -> str:
    """Give rich's drawing without the letters that it would fetch."""
    from rich._export_format import CONSOLE_SVG_FORMAT

    plain = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.S)
    assert "http" not in plain.replace("http://www.w3.org/2000/svg", "").replace(
        "https://www.textualize.io", ""
    )
    return plain.replace("<!-- Generated with Rich https://www.textualize.io -->", "")


def _barproof(arguments: list[str], folder: Path) -> str:
    """Run a command as a reader would, in colour and a hundred columns wide."""
    command = [sys.executable, "-m", "barproof", *arguments]
    more = {
        "FORCE_COLOR": "1",
        "COLUMNS": "100",
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
    }
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={**os.environ, **more}, timeout=900
    )
    if done.returncode > 1:
        sys.exit(done.stderr)
    return done.stdout


def main() -> None:
    """Write the pictures, and the times of opening if asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--all", metavar="DIR", type=Path, help="keep every width, scheme and size")
    parser.add_argument("--only", nargs="*", default=[], help="names of pictures")
    parser.add_argument("--time", action="store_true", help="measure how long pages take to open")
    given = parser.parse_args()
    wanted = set(given.only) or {*(s.name for s in SHOTS), *SCREENS}
    if (given.time or given.all) and not given.only:
        wanted = set()
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shots = [s for s in SHOTS if s.name in wanted]
        pages: dict[str, Path] = {}
        if any(s.page == "demo" for s in shots):
            _barproof(["demo", "--out", str(folder)], folder)
            pages["demo"] = folder / "report.html"
        for size in SIZES:
            if given.all or given.time or any(s.page == str(size) for s in shots):
                pages[str(size)] = made_page(size, folder)
        for s in shots:
            path = part(pages[s.page], s.sections, s.press)
            print(shoot(path, IMAGES / f"{s.name}.png", s.width, s.height, s.scheme, small=True))
        for key in (k for k in SCREENS if k in wanted):
            print(screen(key, folder))
        if given.all:
            given.all.mkdir(parents=True, exist_ok=True)
            for size in SIZES:
                for width in WIDTHS:
                    for scheme in SCHEMES:
                        target = given.all / f"{size}-{width}-{scheme}.png"
                        print(shoot(pages[str(size)], target, width, 16_000, scheme, small=False))
        if given.time:
            sizes = {key: path.stat().st_size for key, path in pages.items()}
            print(
                json.dumps({k: {"bytes": sizes[k], **opening(pages[k])} for k in pages}, indent=1)
            )


if __name__ == "__main__":
    main()
