"""Drawings: the same values make the same bytes, and what they show is what was measured."""

import json
import re
from dataclasses import asdict
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from bench.plots import PLOTS, Chart, draw, draw_kept

SVG = "{http://www.w3.org/2000/svg}"
BOTTOM, TOP = 264.0, 64.0  # of what is drawn


def chart(*lines, title="Sent a second"):
    return Chart(
        name="sent",
        title=title,
        x="pending",
        places=[str(place) for place in range(len(lines[0]))],
        lines={f"line {number}": values for number, values in enumerate(lines)},
    )


def parsed(drawing):
    return ElementTree.fromstring(drawing)  # noqa: S314 - our own


def points(drawing):
    return [
        (each.find(f"{SVG}title").text, float(each.get("cy")))
        for each in parsed(drawing).iter(f"{SVG}circle")
        if each.find(f"{SVG}title") is not None
    ]


def test_points_stand_as_high_as_their_values_and_say_them():
    drawing = draw(chart([0, 50, 100], [1_500.4, 2_000, 12.34]))

    assert points(drawing) == [
        ("line 0: 0", 264.0),
        ("line 0: 50", 259.0),
        ("line 0: 100", 254.0),
        ("line 1: 1,500", 114.0),
        ("line 1: 2,000", 64.0),
        ("line 1: 12.3", 262.8),
    ]


def test_what_is_written_on_it_is_text_and_not_markup():
    root = parsed(draw(chart([1], title="<b> & more")))

    texts = [each.text for each in root.iter(f"{SVG}text")]
    assert "<b> & more" in texts
    assert {"0", "0.2", "1", "pending", "line 0"} <= set(texts)


@given(st.lists(st.floats(0.001, 10_000_000), min_size=1, max_size=9))
def test_every_value_fits_in_and_the_scale_has_a_few_steps(values):
    drawing = draw(chart(values))

    assert all(TOP - 0.05 <= y <= BOTTOM for _, y in points(drawing))
    assert 3 <= drawing.count('class="grid"') <= 8


def test_what_is_kept_is_drawn_again_byte_by_byte(tmp_path):
    kept = {"machine": ["a machine"], "charts": [asdict(chart([1, 2])), asdict(chart([3, 4]))]}
    kept["charts"][1]["name"] = "other"
    (tmp_path / "values.json").write_text(json.dumps(kept))

    drawn = draw_kept(tmp_path)
    first = [path.read_bytes() for path in drawn]

    assert [path.name for path in drawn] == ["sent.svg", "other.svg"]
    assert [path.read_bytes() for path in draw_kept(tmp_path)] == first


KEPT = [
    each for path in sorted(PLOTS.glob("*.json")) for each in json.loads(path.read_text())["charts"]
]


def test_the_drawings_of_the_documentation_are_those_of_the_values_beside_them():
    drawings = {path.stem: path.read_text() for path in PLOTS.glob("*.svg")}

    assert drawings == {each["name"]: draw(Chart(**each)) for each in KEPT}
    assert not any(re.search(r"20\d\d-\d\d|script", each) for each in drawings.values())


def test_nothing_but_zero_can_be_drawn_too():
    assert points(draw(chart([0, 0]))) == [("line 0: 0", BOTTOM)] * 2
