"""Write the examples of docs/reference/events.md anew, with the code that makes events.

The JSON block below an event's heading is its sample; the two under "Payload profiles" are
`offering_completed` in the profiles `ids` and `thin`. A test compares the page with what
`with_examples` makes of it.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

from coursebell.domain.events import Document, EventName, NewEvent, encode, in_profile
from coursebell.domain.model import Payload
from coursebell.domain.samples import sample_event

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "events.md"
PUBLIC_URL = "https://learn.example"
_SAMPLE_TIME = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
_BLOCK = re.compile(r"^```json\n.*?^```$", re.MULTILINE | re.DOTALL)


def main() -> None:
    PAGE.write_text(with_examples(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def with_examples(page: str) -> str:
    """The page with every example as the product makes it today."""
    for heading, documents in _examples().items():
        section = re.search(rf"^## {heading}\n.*?(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
        if section is None:
            raise ValueError(f"{PAGE.name} has no section {heading}")
        page = page.replace(section.group(), _with_blocks(section.group(), documents))
    return page


def _examples() -> dict[str, list[Document]]:
    examples: dict[str, list[Document]] = {
        name.value: [_sample(name).document] for name in EventName
    }
    completed = _sample(EventName.OFFERING_COMPLETED)
    profiles = (Payload.IDS, Payload.THIN)
    examples["Payload profiles"] = [in_profile(completed, each, PUBLIC_URL) for each in profiles]
    return examples


def _sample(name: EventName) -> NewEvent:
    return sample_event(name, "5f60718293a4b5c6d7e8f90a1b2c3d4e", _SAMPLE_TIME)


def _with_blocks(section: str, documents: list[Document]) -> str:
    blocks = _BLOCK.findall(section)
    if len(blocks) != len(documents):
        raise ValueError(f"{len(documents)} JSON blocks belong below {section.splitlines()[0]}")
    remaining = iter(documents)
    return _BLOCK.sub(lambda _: f"```json\n{_indented(next(remaining))}\n```", section)


def _indented(document: Document) -> str:
    return json.dumps(json.loads(encode(document)), indent=2, ensure_ascii=False)


if __name__ == "__main__":
    main()
