"""Webhooks, events and deliveries, as the API shows them."""

from __future__ import annotations

import pytest

HOOK = {"url": "http://127.0.0.1:9/hook", "events": ["offering_completed"]}


def test_a_webhook_has_the_usual_manners_and_shows_its_secret_once(school):
    answer = school.admin.post("/webhooks", HOOK)

    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/api/v5/webhooks/{made['id']}"
    assert made["secret"].startswith("whsec_")
    shown = school.admin("GET", answer.headers["location"])
    assert made["secret"] not in shown.text
    webhook = shown.json()
    assert webhook.pop("createdDate")
    assert webhook == HOOK | {
        "id": made["id"],
        "kind": "webhook",
        "name": "http://127.0.0.1:9/hook",
        "method": "POST",
        "filters": {},
        "headers": [],
        "payload": "full",
        "timeoutSeconds": 5,
        "retrySchedule": [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400],
        "maxInFlight": 8,
        "status": "active",
        "failedDeliveries": 0,
        "consecutiveFailures": 0,
    }


def test_header_values_are_never_shown(school):
    path = f"/webhooks/{school.webhook(headers={'X-Key': 'very secret'})}"

    before = school.admin("GET", f"/api/v5{path}")
    school.admin.put(path, {"headers": {"X-Other": "also secret"}})

    assert before.json()["headers"] == ["X-Key"]
    assert "very secret" not in before.text
    assert school.admin.get(path)["headers"] == ["X-Other"]


def test_a_change_touches_only_what_is_named(school):
    path = f"/webhooks/{school.webhook(headers={'X-Key': 'v'}, ratePerSecond=5)}"
    before = school.admin.get(path)

    answer = school.admin.put(
        path,
        {
            "method": "PUT",
            "events": ["user_created", "offering_completed", "user_created"],
            "filters": {"source": "SELF", "registration.passed": True},
            "retrySchedule": [1] * 12,
            "ratePerSecond": None,
        },
    )

    assert answer.status_code == 204
    del before["ratePerSecond"]
    assert school.admin.get(path) == before | {
        "method": "PUT",
        "events": ["user_created", "offering_completed"],
        "filters": {"source": "SELF", "registration.passed": True},
        "retrySchedule": [1] * 12,
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"url": "ftp://example.org"}, "url"),
        ({"url": "http://10.0.0.1/"}, "url"),
        ({"events": []}, "events"),
        ({"events": ["offering_finished"]}, "events[0]"),
        ({"filters": {"user.shoe": 1}}, "filters.user.shoe"),
        ({"filters": {"registration.passed": "yes"}}, "filters.registration.passed"),
        ({"headers": {"Host": "x"}}, "headers"),
        ({"headers": {"X-A": "a\r\nb"}}, "headers"),
        ({"headers": {"X-A": 5}}, "headers.X-A"),
        ({"timeoutSeconds": 31}, "timeoutSeconds"),
        ({"retrySchedule": [0]}, "retrySchedule[0]"),
        ({"maxInFlight": 0}, "maxInFlight"),
        ({"status": "paused"}, "status"),
    ],
)
def test_a_bad_field_is_named(school, body, field):
    answer = school.admin.post("/webhooks", HOOK | body)

    assert answer.status_code == 400
    assert list(answer.json()["fieldErrors"]) == [field]
    assert school.admin.list("/webhooks") == []


def test_a_webhook_is_paused_and_resumed(school):
    path = f"/webhooks/{school.webhook()}"

    statuses = []
    for verb in ("pause", "pause", "resume", "resume"):
        assert school.admin.post(f"{path}/{verb}").status_code == 204
        statuses.append(school.admin.get(path)["status"])

    assert statuses == ["paused", "paused", "active", "active"]


def test_a_test_is_a_delivery_of_a_sample(school):
    webhook_id = school.webhook()

    answer = school.admin.post(f"/webhooks/{webhook_id}/test")

    assert answer.status_code == 202
    delivery = school.admin.get(f"/deliveries/{answer.json()['deliveryId']}")
    assert delivery["kind"] == "test"
    assert delivery["status"] == "pending"
    assert delivery["webhookId"] == webhook_id
    assert delivery["attempts"] == []
    school.admin.post(f"/webhooks/{webhook_id}/pause")
    assert school.admin.post(f"/webhooks/{webhook_id}/test").status_code == 409


def test_a_completion_is_an_event_with_a_delivery_for_each_webhook(school):
    one, two = school.webhook(), school.webhook(filters={"registration.passed": False})
    registration_id = school.registration()

    school.learner.post(f"/registrations/{registration_id}/activity")
    school.admin.put(f"/registrations/{registration_id}", {"grade": 71.5})

    (delivery,) = school.admin.list(f"/webhooks/{one}/deliveries")
    assert school.admin.list(f"/webhooks/{two}/deliveries") == []
    event = school.admin.get(f"/events/{delivery['eventId']}")
    assert event["registrationId"] == delivery["registrationId"] == registration_id
    assert event["registrationSeq"] == 2
    assert event["body"]["registration"]["grade"] == 71.5
    assert list(event["body"]) == ["event", "date", "source", "user", "registration", "offering"]


def test_events_and_deliveries_are_filtered_newest_first(school):
    webhook = school.webhook(events=["offering_registered", "offering_completed"])
    first, second = school.registration(), school.registration()
    school.admin.put(f"/registrations/{first}", {"grade": 10})

    def found(path: str) -> list[tuple[str, str]]:
        return [(each["event"], each["registrationId"]) for each in school.admin.list(path)]

    registered, completed = "offering_registered", "offering_completed"
    deliveries = f"/webhooks/{webhook}/deliveries"
    assert found(deliveries) == [(completed, first), (registered, second), (registered, first)]
    assert found(f"{deliveries}?event={completed}") == [(completed, first)]
    assert found(f"{deliveries}?registrationId={second}&status=pending") == [(registered, second)]
    assert found(f"{deliveries}?status=failed") == []
    assert found(f"{deliveries}?createdDate=2020..&limit=1") == [(completed, first)]
    assert found(f"/events?registrationId={first}") == [(completed, first), (registered, first)]
    assert found(f"/events?event={completed}&userId={school.ids['learner']}") == [
        (completed, first)
    ]
    assert found("/events?date=2020") == []


def test_a_delivery_is_sent_again_as_one_of_its_own(school):
    webhook = school.webhook()
    school.admin.put(f"/registrations/{school.registration()}", {"grade": 10})
    (first,) = school.admin.list(f"/webhooks/{webhook}/deliveries")

    answer = school.admin.post(f"/deliveries/{first['id']}/resend")

    assert answer.status_code == 202
    again = school.admin.get(f"/deliveries/{answer.json()['deliveryId']}")
    assert (again["kind"], again["eventId"]) == ("resend", first["eventId"])


def test_a_deleted_webhook_is_gone_and_its_deliveries_are_cancelled(school):
    webhook = school.webhook()
    school.admin.put(f"/registrations/{school.registration()}", {"grade": 10})
    (delivery,) = school.admin.list(f"/webhooks/{webhook}/deliveries")

    assert school.admin.delete(f"/webhooks/{webhook}").status_code == 204
    assert school.admin("GET", f"/api/v5/webhooks/{webhook}").status_code == 404
    assert school.admin("GET", f"/api/v5/webhooks/{webhook}/deliveries").status_code == 404
    assert school.admin.get(f"/deliveries/{delivery['id']}")["status"] == "cancelled"
    assert school.admin.post(f"/deliveries/{delivery['id']}/resend").status_code == 404


def test_a_secret_is_replaced_and_shown_once(school):
    webhook_id = school.webhook()

    answer = school.admin.post(f"/webhooks/{webhook_id}/rotate", {"overlapSeconds": 0})

    assert (answer.status_code, list(answer.json())) == (200, ["secret"])
    assert answer.json()["secret"].startswith("whsec_")
    refused = school.admin.post(f"/webhooks/{webhook_id}/rotate", {"overlapSeconds": -1})
    assert list(refused.json()["fieldErrors"]) == ["overlapSeconds"]


def test_the_past_is_sent_again_or_for_the_first_time(school):
    school.user("bo")
    late = school.webhook(events=["user_created"])

    filled = school.admin.post(f"/webhooks/{late}/backfill", {"since": "2020-01-01"})
    again = school.admin.post(f"/webhooks/{late}/replay", {"since": "2020-01-01"})

    assert (filled.status_code, again.status_code) == (202, 202)
    assert filled.json() == again.json()
    assert filled.json()["deliveries"] > 0
    assert filled.json()["gone"] == 0


@pytest.mark.parametrize("verb", ["replay", "backfill"])
@pytest.mark.parametrize("since", ["soon", "2999-01-01", None])
def test_a_past_that_is_none_is_refused(school, verb, since):
    answer = school.admin.post(f"/webhooks/{school.webhook()}/{verb}", {"since": since})

    assert answer.status_code == 400
    assert list(answer.json()["fieldErrors"]) == ["since"]
