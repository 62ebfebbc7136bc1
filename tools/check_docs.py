"""Check what is written: links lead somewhere, and nothing names one machine or one registry.

Looks at the files git knows or would add. Each finding is a line `file:line: what is wrong`.
"""

from __future__ import annotations

import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DECISION_LINES = 40
DECISION_HEADINGS = ("Context", "Decision", "Consequences", "Alternatives")

# Brackets keep a pattern from finding itself.
FORBIDDEN = {
    re.compile(r"/wor[k]/|/roo[t]/|/hom[e]/[a-z]|/User[s]/[A-Za-z]"): "a path of one machine",
    re.compile(
        r"pyp[i]\.org|python[h]osted\.org|npmjs[.]|deb\.debia[n]\.org|crate[s]\.io"
    ): "the host of a package registry",
    re.compile(r"\b(?:TOD[O]|FIXM[E]|XX[X])\b"): "an unfinished thought",
}
BOASTS = re.compile(
    r"\b(?:blazing(?:ly)?|seamless(?:ly)?|world-class|cutting-edge|enterprise-grade|effortless(?:ly)?"
    r"|best-in-class|state-of-the-art|revolutionary|simply|lorem ipsum)\b",
    re.IGNORECASE,
)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)|^\[[^\]]+\]:\s+(\S+)")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$")
FENCE = re.compile(r"^\s*(?:```|~~~)")


def main() -> int:
    files = tracked_files(ROOT)
    findings = [*check_tree(ROOT, files), *check_decisions(ROOT), *check_index(ROOT)]
    for finding in findings:
        print(finding)
    return 1 if findings else 0


def tracked_files(root: Path) -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    paths = [root / name for name in listed.split("\0") if name]
    return sorted(path for path in paths if path.is_file())


def check_tree(root: Path, files: Iterable[Path]) -> Iterator[str]:
    """The findings in the given files; those that are not text are passed over."""
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        where = path.relative_to(root)
        yield from (f"{where}:{line}: {what}" for line, what in forbidden_in(text))
        if path.suffix == ".md":
            yield from (f"{where}:{line}: {what}" for line, what in faults_of_page(path, text))


def forbidden_in(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        for pattern, what in FORBIDDEN.items():
            if found := pattern.search(line):
                yield number, f"{what}: {found.group()}"


def faults_of_page(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Links of a page that lead nowhere, and words that promise instead of telling."""
    for number, line in prose(text):
        if boast := BOASTS.search(line):
            yield number, f"a word that tells the reader nothing: {boast.group()}"
        for match in LINK.finditer(line):
            target = match.group(1) or match.group(2)
            if not leads_somewhere(path, target):
                yield number, f"a link that leads nowhere: {target}"


def prose(text: str) -> Iterator[tuple[int, str]]:
    """The numbered lines outside code: fenced blocks left out, spans of code blanked."""
    fenced = False
    for number, line in enumerate(text.splitlines(), start=1):
        if FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            yield number, re.sub(r"`[^`]*`", "``", line)


def leads_somewhere(page: Path, target: str) -> bool:
    if re.match(r"[a-z][a-z0-9+.-]*:", target):
        return True  # another site's address: nothing here asks the network
    name, _, anchor = target.partition("#")
    there = (page.parent / name).resolve() if name else page
    if not there.exists():
        return False
    return not anchor or there.suffix != ".md" or anchor in anchors_of(there)


def anchors_of(page: Path) -> set[str]:
    """The anchors that the headings of a page make, as the common Markdown hosts make them."""
    anchors: set[str] = set()
    fenced = False
    for line in page.read_text(encoding="utf-8").splitlines():
        fenced ^= bool(FENCE.match(line))
        if not fenced and (match := HEADING.match(line)):
            slug = slug_of(match.group(1))
            repeats = sum(
                1 for anchor in anchors if re.fullmatch(rf"{re.escape(slug)}(-\d+)?", anchor)
            )
            anchors.add(f"{slug}-{repeats}" if repeats else slug)
    return anchors


def slug_of(heading: str) -> str:
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
    kept = (c for c in text if c in " -_" or unicodedata.category(c)[0] in "LN")
    return "".join(kept).replace(" ", "-")


def check_decisions(root: Path) -> Iterator[str]:
    """Decision records are short, numbered once, and say the same four things."""
    seen: dict[str, Path] = {}
    for path in sorted((root / "docs" / "decisions").glob("*.md")):
        where = path.relative_to(root)
        lines = path.read_text(encoding="utf-8").splitlines()
        number = path.name[:4]
        if not re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", path.name):
            yield f"{where}:1: a decision record is named NNNN-title.md"
        elif number in seen:
            yield f"{where}:1: the number is taken by {seen[number].name}"
        seen[number] = path
        if len(lines) > DECISION_LINES:
            yield f"{where}:{len(lines)}: more than {DECISION_LINES} lines"
        for heading in DECISION_HEADINGS:
            if f"## {heading}" not in lines:
                yield f"{where}:1: no section '{heading}'"


def check_index(root: Path) -> Iterator[str]:
    """Every page of docs/ can be found from docs/README.md."""
    index = root / "docs" / "README.md"
    linked = {
        (index.parent / (match.group(1) or match.group(2)).partition("#")[0]).resolve()
        for _, line in prose(index.read_text(encoding="utf-8"))
        for match in LINK.finditer(line)
    }
    for page in sorted((root / "docs").rglob("*.md")):
        if page != index and page.resolve() not in linked:
            yield f"{page.relative_to(root)}:1: docs/README.md does not link to this page"


if __name__ == "__main__":
    sys.exit(main())
