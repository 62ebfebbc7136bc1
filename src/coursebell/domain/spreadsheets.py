"""CSV as other programs write it: UTF-8 with or without a mark; commas, semicolons, tabs or bars.

Read line by line, so that memory does not grow with the file; each row knows where it ends, so
that reading can go on from there.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from coursebell.errors import InvalidInputError

_DELIMITERS = ",;\t|"
_MAX_LINE = 1024 * 1024  # bytes; a longer one is no line of a table
_BOM = b"\xef\xbb\xbf"
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of the sheet, or what keeps it from being one."""

    number: int  # of its first line in the file, the header being 1
    end: int  # bytes from the beginning of the file to its end
    last_line: int
    cells: Sequence[str]
    problem: str | None = None


class Sheet:
    """An open CSV file with its header. Raises `InvalidInputError` when it is none."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._end = self._line = 0
        first = stream.readline(_MAX_LINE)
        if first.startswith(_WIDE_BOMS):
            raise InvalidInputError(["The file is UTF-16; save it as CSV in UTF-8."])
        if not first.strip():
            raise InvalidInputError(["The file is empty; its first line must name the columns."])
        self._delimiter = _delimiter_of(first)
        stream.seek(0)
        row = next(iter(self._rows()))
        if row.problem is not None:
            raise InvalidInputError([f"Line 1 cannot be read: {row.problem}"])
        if not _is_utf_8(row.cells):
            raise InvalidInputError(["Line 1 is not UTF-8; save the file as CSV in UTF-8."])
        self.header = [cell.strip() for cell in row.cells]
        self.end, self.line = row.end, row.last_line

    def rows(self, *, end: int = 0, line: int = 0) -> Iterator[Row]:
        """The rows below the header; or those after a row that ended at `end` on line `line`."""
        self._end, self._line = end or self.end, line or self.line
        self._stream.seek(self._end)
        return (row for row in self._rows() if row.problem or any(map(str.strip, row.cells)))

    def _rows(self) -> Iterator[Row]:
        reader = csv.reader(self._lines(), delimiter=self._delimiter, strict=True)
        while True:
            number = self._line + 1
            try:
                cells = next(reader)
                problem = None
            except StopIteration:
                return
            except csv.Error as exc:
                cells, problem = [], f"Is not CSV: {exc}."
            yield Row(
                number=number, end=self._end, last_line=self._line, cells=cells, problem=problem
            )

    def _lines(self) -> Iterator[str]:
        while raw := self._stream.readline(_MAX_LINE):
            if len(raw) == _MAX_LINE:
                raise InvalidInputError([f"Line {self._line + 1} is longer than a million bytes."])
            text = raw.removeprefix(_BOM) if not self._end else raw
            self._end += len(raw)
            self._line += 1
            yield text.decode("utf-8", "surrogateescape")


def _is_utf_8(cells: Sequence[str]) -> bool:
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:  # what `surrogateescape` made of other bytes
        return False
    return True


def _delimiter_of(header: bytes) -> str:
    """What stands most often between the cells of the header, outside quotes."""
    bare = "".join(header.decode("utf-8", "replace").split('"')[::2])
    return max(_DELIMITERS, key=bare.count)
