"""The report in a real browser, where one is installed: what is drawn, how wide it is, what it asks for."""

from __future__ import annotations

import html
import json
import re
import shutil
import struct
from pathlib import Path
from subprocess import run

import pytest

from barproof.report import render
from tests.report import fakes

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next((found for name in NAMES if (found := shutil.which(name))), None)

BUTTONS = {"Download plot as a PNG", "Zoom", "Pan", "Zoom in", "Zoom out", "Reset axes"}

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")

PROBE = """
<p id="probe">nothing</p>
<script>
var broken = [];
document.addEventListener("securitypolicyviolation", function (e) { broken.push(e.violatedDirective + e.blockedURI); });
window.addEventListener("error", function (e) { broken.push(String(e.message)); });
window.addEventListener("load", function () {
  var pick = document.querySelector("select");
  if (pick) { pick.selectedIndex = 1; pick.dispatchEvent(new Event("change")); }
  location.hash = "#finding-DATA-01";
  setTimeout(function () {
    var root = document.documentElement;
    var tables = Array.from(document.querySelectorAll(".scroll"));
    document.getElementById("probe").textContent = JSON.stringify({
      broken: broken,
      loaded: performance.getEntriesByType("resource").map(function (e) { return e.name; }),
      plots: document.querySelectorAll(".plot").length,
      drawn: document.querySelectorAll(".plot > .plot-container").length,
      buttons: Array.from(new Set(Array.from(document.querySelectorAll(".modebar-btn")).map(function (b) {
        return b.dataset.title; }))),
      unfolded: document.getElementById("finding-DATA-01").closest("details").open,
      wide: root.scrollWidth - root.clientWidth,
      width: root.clientWidth,
      outside: tables.filter(function (t) { return t.getBoundingClientRect().right > root.clientWidth + 1; }).length
    });
  }, 1500);
});
</script>
"""


def page(folder: Path) -> Path:
    low, high = fakes.blank_metrics(total_return=-0.1), fakes.blank_metrics(total_return=0.3)
    made = fakes.walk_forward(bars=40_000, count=900, limits=(low, high))
    path = folder / "report.html"
    text = render(
        made,
        fakes.sweep(),
        audit=fakes.audit(),
        run=fakes.run(),
        extra_sections=[("Probe", PROBE)],
    )
    path.write_text(text, "utf-8")
    return path


def framed(path: Path, width: int) -> Path:
    """Put a page into a frame of exact width; a browser's window cannot be as narrow as a phone."""
    frame = path.with_name(f"framed-{width}.html")
    inner = html.escape(path.read_text("utf-8"), quote=True)
    frame.write_text(
        f'<!DOCTYPE html><body style="margin:0"><iframe id="f" style="border:0;width:{width}px;height:3000px" '
        f'srcdoc="{inner}"></iframe><p id="copy"></p><script>setInterval(function () {{'
        'document.getElementById("copy").textContent = '
        'document.getElementById("f").contentDocument.getElementById("probe").textContent; }, 500);</script>',
        "utf-8",
    )
    return frame


def browse(path: Path, folder: Path, *flags: str) -> str:
    assert BROWSER is not None
    command = [
        BROWSER,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--disable-background-networking",
        "--host-resolver-rules=MAP * 127.0.0.1:9",
        f"--user-data-dir={folder / 'profile'}",
        "--virtual-time-budget=12000",
        *flags,
        path.as_uri(),
    ]
    return run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def check(text: str, key: str, width: int) -> None:
    found = re.search(rf'id="{key}">(.*?)</p>', text, re.S)
    assert found is not None
    seen = json.loads(html.unescape(found.group(1)))
    assert seen["broken"] == []
    assert seen["loaded"] == []
    assert seen["plots"] == seen["drawn"] == 14
    # A link to a finding that is folded away unfolds it.
    assert seen["unfolded"]
    assert seen["wide"] == 0
    # Those of plotly that would upload the figure are not among them.
    assert set(seen["buttons"]) <= BUTTONS
    assert seen["outside"] == 0
    assert seen["width"] == width


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return page(tmp_path_factory.mktemp("report"))


def test_desktop(report: Path, tmp_path: Path) -> None:
    text = browse(report, tmp_path, "--window-size=1280,2000", "--dump-dom")
    check(text, "probe", 1280)


def test_phone(report: Path, tmp_path: Path) -> None:
    frame = framed(report, 390)
    text = browse(frame, tmp_path, "--window-size=600,3000", "--dump-dom")
    check(text[text.rindex('id="copy"') - 3 :], "copy", 390)


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("width", [1280, 390])
def test_screenshot(report: Path, tmp_path: Path, width: int, scheme: str) -> None:
    path = report if width > 500 else framed(report, width)
    shot = tmp_path / "shot.png"
    browse(
        path,
        tmp_path,
        f"--window-size={max(width, 600)},3000",
        f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}",
        f"--screenshot={shot}",
    )
    content = shot.read_bytes()
    assert struct.unpack(">II", content[16:24]) == (max(width, 600), 3000)
    assert len(content) > 60_000
