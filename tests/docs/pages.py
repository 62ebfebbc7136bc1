"""The pages that a stranger reads, taken apart for tests."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
}


def section(page: str, heading: str) -> str:
    """What stands below `## heading`, up to the next heading of that level."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", PAGES[page], re.M | re.S)
    assert found, f"{page} has no section {heading}"
    return found[1]


def blocks(text: str) -> list[tuple[str, str]]:
    """The fenced blocks: their language, and what is in them."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def table(text: str) -> list[list[str]]:
    """The rows of the first table, without its head; code marks taken off."""
    lines = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)[0].splitlines()
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines[2:]]


def code(text: str) -> str:
    """What is marked as code: spans, and indented or fenced blocks."""
    fenced = [body for _, body in blocks(text)]
    indented = re.findall(r"^ {4,}(.*)$", text, re.MULTILINE)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S))
    return "\n".join([*fenced, *indented, *spans])


def masked(text: str) -> str:
    """Without what differs from run to run: ids, secrets, ports, times and durations."""
    text = re.sub(r"\b[0-9a-f]{32}\b", "ID", text)
    text = re.sub(r"whsec_[^\"\s]+", "SECRET", text)
    text = re.sub(r"(127\.0\.0\.1):\d+", r"\1:PORT", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME", text)
    return re.sub(r"\"durationMs\":\d+", "DURATION", text)
