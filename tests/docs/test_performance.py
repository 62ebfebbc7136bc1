"""The page about performance leaves no benchmark and no drawing out."""

import re

from bench.__main__ import BENCHMARKS
from bench.plots import PLOTS
from docs.pages import PAGES, section, table

PAGE = "docs/performance.md"


def test_every_benchmark_has_a_row_with_its_figure():
    rows = table(section(PAGE, "Figures"))

    named = {row[0] for row in rows}
    assert set(BENCHMARKS) == named
    assert all(re.search(r"\d", row[2]) for row in rows)


def test_every_drawing_is_shown():
    shown = re.findall(r"!\[[^]]+\]\(plots/([\w-]+)\.svg\)", PAGES[PAGE])

    assert sorted(shown) == sorted(path.stem for path in PLOTS.glob("*.svg"))
