from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from coursebell.domain.model import (
    Attempt,
    Course,
    Delivery,
    DeliveryKind,
    DeliveryStatus,
    MoveOn,
)
from coursebell.services.deliveries import DeliveryWithAttempts
from coursebell.web.documents import course_document, delivery_document

NOW = datetime(2031, 2, 3, 4, 5, 6, 999_999, tzinfo=UTC)


def delivery(**fields) -> Delivery:
    usual = {
        "id": "d" * 32,
        "webhook_id": "a" * 32,
        "event_id": "e" * 32,
        "event": "offering_completed",
        "registration_id": None,
        "kind": DeliveryKind.LIVE,
        "status": DeliveryStatus.PENDING,
        "attempts": 1,
        "created_at": NOW,
        "next_attempt_at": None,
        "finished_at": None,
        "last_outcome": None,
    }
    return Delivery(**usual | fields)


def attempt(**fields) -> Attempt:
    usual = {
        "number": 1,
        "started_at": NOW,
        "duration_ms": 17,
        "outcome": "dns",
        "status_code": None,
        "address": None,
        "response_headers": None,
        "response_body": None,
        "truncated": False,
    }
    return Attempt(**usual | fields)


def tried(*attempts: Attempt) -> DeliveryWithAttempts:
    return DeliveryWithAttempts(
        delivery=delivery(), attempts=list(attempts), headers=(("x-key", "***"),)
    )


def test_an_attempt_shows_what_came_back_whatever_it_is_made_of():
    refused = attempt(
        outcome="http_500",
        status_code=500,
        address="203.0.113.7",
        response_headers="server: x",
        response_body=b"caf\xe9",
        truncated=True,
    )

    shown = json.loads(delivery_document(tried(refused)).to_json())

    assert shown["attempts"] == [
        {
            "number": 1,
            "startedDate": "2031-02-03T04:05:06Z",
            "durationMs": 17,
            "outcome": "http_500",
            "statusCode": 500,
            "address": "203.0.113.7",
            "requestHeaders": "x-key: ***\r\n"
            "webhook-timestamp: 1927857906\r\n"
            "webhook-signature: v1,***\r\n",
            "responseHeaders": "server: x",
            "responseBody": "caf\N{REPLACEMENT CHARACTER}",
            "truncated": True,
        }
    ]


def test_an_attempt_without_an_answer_shows_none():
    shown = json.loads(delivery_document(tried(attempt())).to_json())

    assert sorted(shown["attempts"][0]) == [
        "durationMs",
        "number",
        "outcome",
        "requestHeaders",
        "startedDate",
        "truncated",
    ]


@pytest.mark.parametrize(
    ("grade", "written"),
    [
        ("70", b"70.0"),
        ("0", b"0.0"),
        ("100.0000", b"100.0"),
        ("71.5", b"71.5"),
        ("69.99999", b"69.9999"),
        ("0.0001", b"0.0001"),
        ("0.00001", b"0.0"),
    ],
)
def test_a_grade_has_a_fraction_digit_at_most_four_and_is_rounded_down(grade, written):
    course = Course(
        id="c" * 32,
        title="Ladders",
        instructor=None,
        passing_grade=Decimal(grade),
        move_on=MoveOn.PASSED,
        require_every_element_passed=False,
        created_at=NOW,
    )

    assert b'"passingGrade":' + written + b"," in course_document(course).to_json()
