"""Judging a receiver's answers."""

import pytest

from coursebell.domain import retry
from coursebell.domain.conduct import Answer, Should, is_right
from coursebell.domain.retry import Outcome, outcome_of


def answers(*given):
    """Answers from statuses, or from what came in their place."""
    outcomes = [outcome_of(each) if isinstance(each, int) else Outcome(name=each) for each in given]
    return [Answer(outcome=each, duration_ms=7) for each in outcomes]


@pytest.mark.parametrize(
    ("should", "right", "wrong"),
    [
        (
            Should.ACCEPT,
            [(200,), (204, 202)],
            [(400,), (204, 503), (409,), (302,), (retry.TIMEOUT,)],
        ),
        (
            Should.REFUSE,
            [(400,), (401,), (403, 422), (499,)],
            [(204,), (400, 200), (500,), (503,), (302,), (410,), (retry.TIMEOUT,)],
        ),
        (
            Should.ACCEPT_ONE,
            [(204, 204), (503, 204), (200, 409), (204, 429)],
            [(503, 503), (204, 400), (204, 500), (204, 410), (204, 302), (204, retry.TIMEOUT)],
        ),
    ],
)
def test_what_is_right_and_what_is_not(should, right, wrong):
    for given in right:
        assert is_right(should, answers(*given)), given
    for given in wrong:
        assert not is_right(should, answers(*given)), given


def test_the_text_names_each_status_that_asks_to_try_later_and_no_other():
    right = [
        status
        for status in range(300, 600)
        if is_right(Should.ACCEPT_ONE, answers(204, status))
        and is_right(Should.ACCEPT_ONE, answers(status, 204))
    ]

    assert right == [409, 425, 429, 503]
    assert Should.ACCEPT_ONE.partition(": ")[2] == ", ".join(map(str, right))


def test_an_answer_is_told_by_its_status_or_what_came_in_its_place():
    assert [str(each) for each in answers(204, 302, retry.DNS)] == [
        "204 in 7 ms",
        "302 in 7 ms",
        "dns in 7 ms",
    ]
