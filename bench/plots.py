"""Charts for docs/plots: the measured values as JSON, and drawings of them as SVG.

`python -m bench NAME --save` keeps what it measures; `python -m bench.plots` draws it again. The
same values make the same bytes. Colours are between light and dark, to be read on both.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from bench import machine
from bench.databases import POSTGRES

PLOTS = Path(__file__).resolve().parent.parent / "docs" / "plots"
_WIDTH, _HEIGHT = 640, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 64, 56  # margins, around what is drawn
_INK = "#768390"
_COLOURS = ("#2f81f7", "#d9730d", "#3d9a50", "#a371f7")
_STYLE = (
    f"text{{font:12px sans-serif;fill:{_INK}}}"
    ".title{font-size:15px;font-weight:bold}"
    f".grid{{stroke:{_INK};stroke-opacity:.3}}"
    ".line{fill:none;stroke-width:2}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Lines over the same places of a horizontal axis; the vertical one begins at zero."""

    name: str
    title: str
    x: str  # what stands along the axis
    places: Sequence[str]
    lines: Mapping[str, Sequence[float]]


def keep(name: str, charts: Iterable[Chart]) -> None:
    """Write the values measured by the benchmark `name`, and draw them."""
    PLOTS.mkdir(exist_ok=True)
    kept = {"machine": machine.describe(POSTGRES), "charts": [asdict(chart) for chart in charts]}
    (PLOTS / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    draw_kept(PLOTS)


def draw_kept(folder: Path) -> list[Path]:
    """Draw every chart whose values are in `folder`; the drawings."""
    drawn = []
    for values in sorted(folder.glob("*.json")):
        for chart in json.loads(values.read_text(encoding="utf-8"))["charts"]:
            path = folder / f"{chart['name']}.svg"
            path.write_text(draw(Chart(**chart)), encoding="utf-8")
            drawn.append(path)
    return drawn


def draw(chart: Chart) -> str:
    """The chart as an SVG document."""
    largest = max(max(values) for values in chart.lines.values()) or 1.0
    step = _step(largest)
    most = step * math.ceil(largest / step)
    size = f'width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{escape(chart.title)}</title>",
        f"<style>{_STYLE}</style>",
        _text(_LEFT, 22, chart.title, "start", "title"),
        *_grid(step, most),
        *_axis(chart),
        *_legend(chart),
        *_lines(chart, most),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _step(most: float) -> float:
    """1, 2 or 5 times a power of ten, so that there are three to seven steps up to `most`."""
    rough = most / 4
    power = 10.0 ** math.floor(math.log10(rough))
    return power * next(each for each in (1, 2, 5, 10) if each * power >= rough * 0.75)


def _grid(step: float, most: float) -> Iterator[str]:
    for number in range(round(most / step) + 1):
        y = _y(number * step, most)
        yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>'
        yield _text(_LEFT - 8, y + 4, f"{number * step:,g}", "end")


def _axis(chart: Chart) -> Iterator[str]:
    for number, place in enumerate(chart.places):
        yield _text(_x(number, len(chart.places)), _HEIGHT - _BOTTOM + 20, place)
    yield _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 12, chart.x)


def _legend(chart: Chart) -> Iterator[str]:
    x = float(_LEFT)
    for name, colour in zip(chart.lines, _COLOURS, strict=False):
        yield f'<circle cx="{x + 5:.1f}" cy="40" r="5" fill="{colour}"/>'
        yield _text(x + 16, 44, name, "start")
        x += 40 + 7 * len(name)


def _lines(chart: Chart, most: float) -> Iterator[str]:
    for (name, values), colour in zip(chart.lines.items(), _COLOURS, strict=False):
        points = [(_x(number, len(values)), _y(value, most)) for number, value in enumerate(values)]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        yield f'<path class="line" stroke="{colour}" d="M{path}"/>'
        for (x, y), value in zip(points, values, strict=True):
            shown = f"{name}: {value:,.3g}" if value < 1_000 else f"{name}: {value:,.0f}"
            yield (
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}">'
                f"<title>{escape(shown)}</title></circle>"
            )


def _x(number: int, places: int) -> float:
    width = (_WIDTH - _LEFT - _RIGHT) / places
    return _LEFT + width * (number + 0.5)


def _y(value: float, most: float) -> float:
    return _HEIGHT - _BOTTOM - value / most * (_HEIGHT - _TOP - _BOTTOM)


def _text(x: float, y: float, words: str, anchor: str = "middle", style: str = "") -> str:
    marked = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{marked}>{escape(words)}</text>'


if __name__ == "__main__":
    for drawing in draw_kept(PLOTS):
        print(drawing.name)
