"""The check of what is written finds what it promises to find."""

from pathlib import Path

import pytest

import check_docs


@pytest.fixture
def page(tmp_path: Path) -> Path:
    (tmp_path / "other.md").write_text("# A title: with `code`\n\n## Twice\n\n## Twice\n")
    return tmp_path / "page.md"


@pytest.mark.parametrize(
    "target",
    ["other.md", "other.md#twice", "other.md#twice-1", "#here", "https://example.com/x", "."],
)
def test_a_link_that_leads_somewhere_is_no_finding(page: Path, target: str) -> None:
    page.write_text(f"# Here\n\nSee [it]({target}).\n")

    assert list(check_docs.check_tree(page.parent, [page])) == []


@pytest.mark.parametrize("target", ["gone.md", "other.md#gone", "#gone", "../nowhere/x.md"])
def test_a_link_that_leads_nowhere_is_found_with_its_line(page: Path, target: str) -> None:
    page.write_text(f"# Here\n\nSee [it]({target}).\n")

    findings = list(check_docs.check_tree(page.parent, [page]))

    assert findings == [f"page.md:3: a link that leads nowhere: {target}"]


def test_a_reference_at_the_foot_of_a_page_is_a_link_too(page: Path) -> None:
    page.write_text("See [it].\n\n[it]: gone.md\n")

    assert list(check_docs.check_tree(page.parent, [page])) == [
        "page.md:3: a link that leads nowhere: gone.md"
    ]


def test_code_holds_no_links(page: Path) -> None:
    page.write_text("`[a](gone.md)`\n\n```\n[b](gone.md)\n```\n")

    assert list(check_docs.check_tree(page.parent, [page])) == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("see /" + "home/ann/notes", "a path of one machine"),
        ("from https://" + "pypi" + ".org/simple", "the host of a package registry"),
        ("# TO" + "DO later", "an unfinished thought"),
    ],
)
def test_any_text_file_is_searched_for_what_must_not_be_committed(
    tmp_path: Path, text: str, what: str
) -> None:
    source = tmp_path / "source.py"
    source.write_text(f"pass\n{text}\n")

    (finding,) = check_docs.check_tree(tmp_path, [source])

    assert finding.startswith(f"source.py:2: {what}: ")


def test_files_that_are_not_text_are_passed_over(tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG\xff\xfe")

    assert list(check_docs.check_tree(tmp_path, [picture])) == []


def test_a_word_that_only_praises_is_found(page: Path) -> None:
    page.write_text("Deliveries are " + "seamless.\n")

    (finding,) = check_docs.check_tree(page.parent, [page])

    assert "tells the reader nothing" in finding


def test_a_decision_record_is_short_and_says_four_things(tmp_path: Path) -> None:
    records = tmp_path / "docs" / "decisions"
    records.mkdir(parents=True)
    sections = "\n".join(f"## {heading}\n" for heading in check_docs.DECISION_HEADINGS)
    (records / "0001-good.md").write_text(sections)
    (records / "0001-same-number.md").write_text(sections)
    (records / "0002-long.md").write_text(sections + "more\n" * 40)
    (records / "0003-silent.md").write_text(sections.replace("## Alternatives\n", ""))
    (records / "Other.md").write_text(sections)

    findings = list(check_docs.check_decisions(tmp_path))

    assert [finding.partition(": ")[2] for finding in findings] == [
        "the number is taken by 0001-good.md",
        "more than 40 lines",
        "no section 'Alternatives'",
        "a decision record is named NNNN-title.md",
    ]


def test_a_page_that_the_index_does_not_name_is_found(tmp_path: Path) -> None:
    (tmp_path / "docs" / "guides").mkdir(parents=True)
    (tmp_path / "docs" / "README.md").write_text("- [Listed](guides/listed.md#part)\n")
    (tmp_path / "docs" / "guides" / "listed.md").touch()
    (tmp_path / "docs" / "guides" / "lost.md").touch()

    assert list(check_docs.check_index(tmp_path)) == [
        "docs/guides/lost.md:1: docs/README.md does not link to this page"
    ]
