"""Events as the API shows them: the list, and the feed that a receiver follows."""

from __future__ import annotations

import pytest


def follow(client, path: str) -> tuple[list[int], str]:
    """The positions that a poller sees until there is no more, and where it will read on."""
    seen, page = [], client.get(path)
    while True:
        seen += [each["position"] for each in page["results"]]
        if not page["more"]:
            return seen, page["next"].removeprefix("/api/v5")
        page = client.get(page["next"].removeprefix("/api/v5"))


def test_the_list_is_newest_first_without_bodies(school):
    school.registration()

    found = school.admin.list("/events")

    assert [each["position"] for each in found] == [4, 3, 2, 1]
    assert not any("body" in each for each in found)


def test_the_feed_is_oldest_first_with_bodies_and_a_link_that_is_always_there(school):
    registration_id = school.registration()

    page = school.admin.get("/events?after=")

    assert [each["position"] for each in page["results"]] == [1, 2, 3, 4]
    registered = page["results"][-1]
    assert registered["event"] == registered["body"]["event"] == "offering_registered"
    assert registered["registrationId"] == registration_id
    assert registered == school.admin.get(f"/events/{registered['id']}")
    assert page["more"] is False
    assert page["next"] == f"/api/v5/events?after=4-{registered['id'][-8:]}"
    again = school.admin.get(page["next"].removeprefix("/api/v5"))
    assert again == {"results": [], "next": page["next"], "more": False}


def test_a_poller_keeps_one_link_and_sees_each_event_once(school):
    seen, path = follow(school.admin, "/events?limit=3&after=0")
    school.registration()

    later, _ = follow(school.admin, path)

    assert (seen, later) == ([1, 2, 3], [4])
    assert path.startswith("/events?limit=3&after=3-")


def test_filters_stay_in_the_link_and_do_not_hold_the_cursor_back(school):
    school.registration()

    page = school.admin.get("/events?after=&event=offering_completed&limit=1")

    assert page["results"] == []
    assert page["next"].startswith("/api/v5/events?event=offering_completed&limit=1&after=4-")


def test_the_other_base_is_kept(school):
    answer = school.admin("GET", "/dc/api/v5/events/?after=0")

    assert answer.json()["next"].startswith("/dc/api/v5/events?after=3-")


def test_a_thousand_come_at_once_from_the_feed_but_not_from_the_list(school):
    assert len(school.admin.get("/events?after=&limit=1000")["results"]) == 3

    answer = school.admin("GET", "/api/v5/events?limit=101")

    assert answer.status_code == 400
    assert answer.json()["fieldErrors"] == {"limit": "Must be between 1 and 100 without after."}


@pytest.mark.parametrize(
    ("query", "field", "rule"),
    [
        ("after=x", "after", "Must be a position, or the cursor of a next link."),
        ("after=1&after=2", "after", "Is given more than once."),
        ("after=0&offset=1", "offset", "Has no place beside after."),
        ("after=0&limit=1001", "limit", "Must be between 1 and 1000."),
        ("after=99", "after", "The newest event has position 3. "),
        ("after=2-00000000", "after", "At position 2 stands another event than the one seen. "),
    ],
)
def test_what_cannot_be_followed_is_refused_by_name(school, query, field, rule):
    answer = school.admin("GET", f"/api/v5/events?{query}")

    assert answer.status_code == 400
    assert answer.json()["fieldErrors"][field].startswith(rule)


@pytest.mark.parametrize("role", ["learner", "instructor"])
def test_the_feed_is_for_administrators(school, role):
    assert school.client(role)("GET", "/api/v5/events?after=").status_code == 403
