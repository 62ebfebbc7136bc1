"""docs/reference/errors.md names every answer of the API that is an error."""

import pytest

from coursebell.errors import ConfigurationError, CoursebellError, InvalidInputError, SealError
from coursebell.web.errors import STATUSES
from docs.pages import ROOT, section, table

NAME = "docs/reference/errors.md"
ROWS = {row[0]: row for row in table(section(NAME, "Answers of the API"))}
UNTOLD = (ConfigurationError, SealError)  # the operator's business, not the caller's
GENERAL = (CoursebellError, InvalidInputError)  # always raised with words of their own


@pytest.mark.parametrize(("error", "status"), STATUSES)
def test_every_error_is_there_with_its_status_and_words(error, status):
    row = ROWS[str(int(status))]

    if error not in (*UNTOLD, *GENERAL):
        assert error().message.removesuffix(".") in row[2]


def test_codes_are_named():
    assert "invalid_token" in ROWS["401"][1]
    assert "insufficient_scope" in ROWS["403"][1]


def test_the_words_of_the_command_line_are_those_it_says():
    source = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "src/coursebell").rglob("*.py")
    )

    for row in table(section(NAME, "Command line")):
        for message in row[0].strip('"').split('", "'):
            assert message in source or message == "COURSEBELL_..."
