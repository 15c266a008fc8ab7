"""The report in a real browser, where one is installed: what is drawn, how wide it is, what it asks for."""

from __future__ import annotations

import html
import json
import re
import shutil
import struct
from pathlib import Path
from subprocess import run
from typing import Any

import numpy as np
import pytest

from barproof.report import formats, render
from barproof.report.figures import heatmap_figure
from barproof.report.sweep_figures import axis_name
from tests.report import fakes
from tests.tolerances import METRIC, SINGLE

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
  location.hash = "#finding-DATA-01";
  function look() {
    var root = document.documentElement;
    // Figures out of sight are drawn when the browser has time.
    if (root.dataset.drawn !== "yes") { setTimeout(look, 100); return; }
    var heat = document.getElementById("fig-heatmap"), cells = {};
    var picks = Array.from(document.querySelectorAll('select[data-plot="fig-heatmap"]'));
    picks[0].querySelectorAll("option").forEach(function (m) {
      picks[1].querySelectorAll("option").forEach(function (p) {
        picks[2].querySelectorAll("option").forEach(function (a) {
          picks[0].value = m.value; picks[1].value = p.value; picks[2].value = a.value;
          picks[2].dispatchEvent(new Event("change"));
          var d = heat.data[0], n = heat.layout;
          cells[[m.text, p.value, a.text].join("|")] = [n.xaxis.title.text, d.x, n.yaxis.title.text, d.y, d.z, d.text];
        });
      });
    });
    var price = document.getElementById("fig-price"), told = [];
    function press(act) {
      document.querySelector('button[data-plot="fig-price"][data-act="' + act + '"]').click();
      told.push(document.getElementById("fig-price-told").textContent);
    }
    ["next", "next", "previous", "closer", "wider", "later", "earlier", "all"].forEach(press);
    var tables = Array.from(document.querySelectorAll(".scroll"));
    document.getElementById("probe").textContent = JSON.stringify({
      broken: broken,
      cells: cells,
      told: told,
      first: price.data[0].open[0],
      late: document.querySelectorAll(".late").length,
      headings: Array.from(document.querySelectorAll("section > h2")).map(function (h) {
        return [h.textContent, h.getBoundingClientRect().height > 0]; }),
      ready: Number(root.dataset.ready),
      table: document.querySelector("#fig-heatmap-table table").rows.length,
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
  }
  setTimeout(look, 200);
});
</script>
"""


def result() -> fakes.Result:
    low, high = fakes.blank_metrics(total_return=-0.1), fakes.blank_metrics(total_return=0.3)
    return fakes.walk_forward(bars=40_000, count=900, limits=(low, high))


def page(folder: Path) -> Path:
    made = result()
    path = folder / "report.html"
    text = render(
        made,
        fakes.sweep(),
        audit=fakes.audit(*fakes.MIXED, fakes.drift()),
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


def browse(path: Path, folder: Path, *flags: str, gpu: bool = False) -> str:
    assert BROWSER is not None
    command = [
        BROWSER,
        "--headless=new",
        "--no-sandbox",
        *(() if gpu else ("--disable-gpu",)),
        "--hide-scrollbars",
        "--disable-background-networking",
        "--host-resolver-rules=MAP * 127.0.0.1:9",
        # A pointer that hovers, as at a desk; headless has none.
        "--blink-settings=primaryHoverType=2,availableHoverTypes=2",
        f"--user-data-dir={folder / 'profile'}",
        "--virtual-time-budget=12000",
        *flags,
        path.as_uri(),
    ]
    return run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def seen_in(text: str, key: str) -> Any:
    """What the probe wrote."""
    found = re.search(rf'id="{key}">(.*?)</p>', text, re.S)
    assert found is not None
    return json.loads(html.unescape(found.group(1)))


def check(text: str, key: str, width: int) -> Any:
    seen = seen_in(text, key)
    assert seen["broken"] == []
    assert seen["loaded"] == []
    assert seen["plots"] == seen["drawn"] == 17
    # A link to a finding that is folded away unfolds it.
    assert seen["unfolded"]
    assert seen["wide"] == 0
    # Those of plotly that would upload the figure are not among them.
    assert set(seen["buttons"]) <= BUTTONS
    assert seen["outside"] == 0
    assert seen["width"] == width
    assert seen["late"] == 0
    assert seen["ready"] > 0
    assert len(seen["headings"]) == 20
    assert all(name and is_seen for name, is_seen in seen["headings"])
    return seen


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return page(tmp_path_factory.mktemp("report"))


def test_desktop(report: Path, tmp_path: Path) -> None:
    text = browse(report, tmp_path, "--window-size=1280,2000", "--dump-dom")
    seen = check(text, "probe", 1280)
    assert set(seen["buttons"]) == BUTTONS


@pytest.mark.parametrize("hover", [1, 2])
def test_buttons_stand_over_a_figure_only_under_a_pointer(
    report: Path, tmp_path: Path, hover: int
) -> None:
    """Where nothing hovers plotly would show them at all times, over legends and marks."""
    flag = f"--blink-settings=primaryHoverType={hover},availableHoverTypes={hover}"
    text = browse(report, tmp_path, "--window-size=820,2000", "--dump-dom", flag)
    bars = re.findall(r'class="(modebar modebar--custom[^"]*)"', text)
    assert bool(bars) == (hover == 2)
    assert all("modebar--hover" in names for names in bars)


PRINTED = """
<script>
(function look() {
  if (document.documentElement.dataset.drawn !== "yes") { setTimeout(look, 100); return; }
  document.querySelectorAll("details:not(.data)").forEach(function (d) { d.open = true; });
  var wide = [], broken = [], all = Array.from(document.querySelectorAll("table")).filter(function (t) {
    return !t.closest(".data"); });
  all.forEach(function (t) {
    if (t.getBoundingClientRect().right > document.documentElement.clientWidth + 1) wide.push(t.caption.textContent);
    t.querySelectorAll("tbody .num, tbody th:not(.prose)").forEach(function (c) {
      var range = document.createRange(); range.selectNodeContents(c);
      var lines = new Set(Array.from(range.getClientRects()).map(function (r) { return Math.round(r.top); }));
      if (lines.size > 1) broken.push(c.textContent);
    });
  });
  document.getElementById("probe").textContent = JSON.stringify({wide: wide, broken: broken, tables: all.length});
})();
</script>
"""


def test_paper_cuts_no_table_and_breaks_no_number(report: Path, tmp_path: Path) -> None:
    """The rules of print on a screen as wide as A4 between its margins: 182 mm."""
    text = report.read_text("utf-8").replace("@media print{", "@media all{")
    probe = text[
        text.index('<p id="probe">') : text.index("</script>", text.index('<p id="probe">')) + 9
    ]
    path = tmp_path / "paper.html"
    path.write_text(text.replace(probe, '<p id="probe">nothing</p>' + PRINTED), "utf-8")
    told = browse(path, tmp_path, "--window-size=686,2000", "--dump-dom")
    seen = seen_in(told, "probe")
    assert seen["tables"] > 15
    assert (seen["wide"], seen["broken"]) == ([], [])


SURFACE = """
<script>
(function look() {
  if (document.documentElement.dataset.drawn !== "yes") { setTimeout(look, 100); return; }
  var host = document.getElementById("fig-heatmap"), told = [];
  var view = document.querySelector('select[data-plot="fig-heatmap"][data-name="view"]');
  function choose(value, then) {
    view.value = value; view.dispatchEvent(new Event("change"));
    setTimeout(function () {
      var canvas = host.querySelector("canvas"), d = host.data[0], seen = 0;
      if (canvas) {
        var copy = document.createElement("canvas"); copy.width = canvas.width; copy.height = canvas.height;
        var flat = copy.getContext("2d"); flat.drawImage(canvas, 0, 0);
        var data = flat.getImageData(0, 0, copy.width, copy.height).data, colours = new Set();
        for (var i = 0; i < data.length; i += 4) if (data[i + 3]) { seen++; colours.add(data[i] >> 4); }
      }
      told.push({type: d.type, z: d.z, canvas: Boolean(canvas), seen: seen, colours: canvas ? colours.size : 0,
        words: document.getElementById("fig-heatmap-told").textContent, label: host.getAttribute("aria-label")});
      then();
    }, 1500);
  }
  choose("surface", function () { choose("heatmap", function () {
    document.getElementById("probe").textContent = JSON.stringify({told: told,
      gl: document.createElement("canvas").getContext("webgl") !== null}); }); });
})();
</script>
"""


def test_the_surface_of_a_sweep(report: Path, tmp_path: Path) -> None:
    """Drawn by WebGL in software: something is seen on it, it has the cells of the heatmap, and the way back works."""
    text = report.read_text("utf-8")
    probe = text[
        text.index('<p id="probe">') : text.index("</script>", text.index('<p id="probe">')) + 9
    ]
    path = tmp_path / "surface.html"
    path.write_text(text.replace(probe, '<p id="probe">nothing</p>' + SURFACE), "utf-8")
    software = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
    told = browse(path, tmp_path, "--window-size=1280,2000", "--dump-dom", *software, gpu=True)
    seen = seen_in(told, "probe")
    if not seen["gl"]:
        pytest.skip("this browser has no WebGL, in software either")
    high, flat = seen["told"]
    assert (high["type"], high["canvas"]) == ("surface", True)
    assert high["seen"] > 5_000 and high["colours"] > 3
    assert (
        high["label"].startswith("Surface: ") and "The mark is where combination" in high["words"]
    )
    assert (flat["type"], flat["canvas"]) == ("heatmap", False)
    assert flat["z"] == high["z"]
    assert flat["label"].startswith("Heatmap: ")


def test_cells_are_those_of_the_sweep(report: Path, tmp_path: Path) -> None:
    """The page sums up combinations itself: every choice against the figure that Python makes of the sweep."""
    text = browse(report, tmp_path, "--window-size=1280,2000", "--dump-dom")
    cells = seen_in(text, "probe")["cells"]
    found = fakes.sweep()
    names = {formats.label(n): n for n in found.pooled.columns}
    groups = {axis_name(g): g for g in found.axis_groups}
    assert len(cells) == 6 * 4 * 3
    for choice, (across, x, up, y, z, words) in cells.items():
        label, pool, _ = choice.split("|")
        metric = names[label]
        falling = metric in formats.LOWER_IS_BETTER
        pool = {"worst": "max" if falling else "min"}.get(pool, pool)
        want = heatmap_figure(found, groups[across], groups[up], metric, pool=pool).data[0]
        assert (list(want.x), list(want.y)) == (x, y)
        got = np.array(z, dtype=float)
        # Metrics travel as 32-bit floats.
        np.testing.assert_allclose(got, want.z, rtol=SINGLE, atol=METRIC)
        for row, told in zip(want.text, words, strict=True):
            for text, own in zip(row, told, strict=True):
                assert _last_digit_aside(text, own), (choice, text, own)


def _last_digit_aside(a: str, b: str) -> bool:
    """Whether two numbers read the same, but for how the last digit was rounded."""
    if a == b:
        return True
    x, y = (float(t.replace("\N{MINUS SIGN}", "-").replace(",", "").rstrip("%")) for t in (a, b))
    digits = len(a.rstrip("%").partition(".")[2])
    return len(a) == len(b) and abs(x - y) < 1.01 * 10.0**-digits


def test_trades_are_reached_by_buttons(report: Path, tmp_path: Path) -> None:
    text = browse(report, tmp_path, "--window-size=1280,2000", "--dump-dom")
    seen = seen_in(text, "probe")
    made = result()
    entries = made.trades.sort("entry_time")
    first, second, again, closer, wider, later, earlier, everything = seen["told"]
    for told, row in ((first, 0), (second, 1), (again, 0)):
        at = formats.time(entries["entry_time"].dt.epoch("ms")[row])
        assert told.startswith(f"Trade {row + 1} of 900: {entries['side'][row]}, in {at}")
    assert "candles of 5 minutes" in first
    assert closer != wider
    assert later != earlier
    assert everything.endswith("900 trades in sight; zoom in to see entries.")
    assert "Trade" not in everything.split(" in sight")[0].split("trades")[0]
    opened = made.candles.frame["open"][0]
    assert seen["first"] == pytest.approx(opened, rel=1e-5)


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
