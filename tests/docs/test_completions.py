"""docs/reference/completions.md is domain/completion.py in words."""

from decimal import Decimal

from coursebell.domain.completion import TRANSITIONS, Effect, outcome_of
from coursebell.domain.model import MoveOn, Policy, Status
from docs.pages import section, table

NAME = "docs/reference/completions.md"
STATUSES = [Status.ACTIVE, Status.PASSED, Status.FAILED, Status.EJECTED]


def test_the_transition_table_is_the_codes():
    told = {
        row[0]: dict(zip(STATUSES, row[1:], strict=True))
        for row in table(section(NAME, "The transition table"))
    }

    assert told == TRANSITIONS


def test_every_status_request_and_effect_is_explained():
    effects = section(NAME, "The transition table").split("\n\n")[1]

    assert [row[0] for row in table(section(NAME, "States"))] == STATUSES
    assert {row[0] for row in table(section(NAME, "What a request does"))} == set(TRANSITIONS)
    assert {row[0] for row in table(f"{effects}\n")} == set(Effect)


def test_the_table_of_outcomes_is_the_codes():
    grade = Decimal(70)
    cases = [(True, grade), (True, grade - 1), (False, grade), (False, None)]

    told = {row[0]: row[1:] for row in table(section(NAME, "Passed or failed"))}

    assert told == {
        move_on: [
            outcome_of(Policy(passing_grade=grade, move_on=move_on), done=done, grade=reached)
            for done, reached in cases
        ]
        for move_on in MoveOn
    }
