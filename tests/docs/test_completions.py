"""docs/reference/completions.md is domain/completion.py and domain/grading.py in words."""

import re
from decimal import Decimal

import pytest

from coursebell.domain.completion import TRANSITIONS, Effect
from coursebell.domain.elements import AttemptsPolicy
from coursebell.domain.events import number
from coursebell.domain.grading import Standing, standing_of
from coursebell.domain.model import MoveOn, Policy, Status
from coursebell.domain.outcomes import ends_by_itself, outcome_of
from docs.pages import section, table
from factories import a_policy, an_element, some_work

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


# --- worked examples

EXAMPLES = re.findall(
    r"(\| element \| weight .*?)\n\nGrade: \*\*([\d.]+)\*\*(?:, sent as (\d+\.\d+))?"
    r"(?:, which (passes|fails) a mark of (\d+))?",
    section(NAME, "Elements"),
    re.DOTALL,
)


@pytest.mark.parametrize(("example", "grade", "sent", "verdict", "mark"), EXAMPLES)
def test_a_worked_example_is_what_the_code_calculates(example, grade, sent, verdict, mark):
    rows = table(f"{example}\n")

    found = standing_in(rows)

    assert found.grade == Decimal(grade)
    for told, each in zip(rows, found.elements, strict=True):
        assert told[4:] == [shown(each.grade), shown(each.share)], each.title
    if sent:
        assert str(number(found.grade)) == sent
    if verdict:
        assert (found.grade >= Decimal(mark)) == (verdict == "passes")


def test_there_are_examples():
    assert len(EXAMPLES) == 3


def standing_in(rows: list[list[str]]) -> Standing:
    """The standing of a table of examples: element, weight, policy, attempts, ..."""
    elements, work, exempt = [], {}, set()
    for title, weight, policy, attempts, *_ in rows:
        element = an_element(
            title=title, weight=Decimal(weight), attempts_policy=AttemptsPolicy(policy)
        )
        elements.append(element)
        if attempts == "exempt":
            exempt.add(element.id)
        elif attempts != "-":
            work[element.id] = [
                some_work(element, position, grade=each)
                for position, each in enumerate(attempts.split(", "), 1)
            ]
    return standing_of(elements, work, exempt, a_policy())


def shown(value: Decimal | None) -> str:
    return "-" if value is None else str(value)


TEST, ESSAY = an_element(max_attempts=2), an_element("assignment", max_attempts=1)


@pytest.mark.parametrize(
    ("position", "grades", "awaiting"),
    [
        (0, {TEST: [80], ESSAY: [70]}, False),
        (1, {TEST: [10], ESSAY: [70]}, False),
        (2, {TEST: [10, 10], ESSAY: [70]}, False),
        (3, {TEST: [90]}, True),
        (4, {TEST: [10], ESSAY: [10]}, False),
        (5, {TEST: [90]}, False),
        (6, {TEST: [10]}, False),
    ],
)
def test_the_table_of_ends_is_what_the_code_decides(position, grades, awaiting):
    move_on, _, told = table(section(NAME, "When it ends by itself"))[position]
    work = {
        element.id: [some_work(element, n, grade=grade) for n, grade in enumerate(given, 1)]
        for element, given in grades.items()
    }
    if awaiting:
        work[ESSAY.id] = [some_work(ESSAY, awaiting=True)]
    policy = a_policy(move_on=MoveOn(move_on))

    found = standing_of([TEST, ESSAY], work, set(), policy)

    ends = ends_by_itself(policy, found)
    outcome = outcome_of(policy, done=found.done, grade=found.grade)
    expected = f"ends as {outcome}" if ends else "waits" if awaiting else "goes on"
    assert told.startswith(expected)
