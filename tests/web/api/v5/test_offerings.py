from __future__ import annotations

import pytest

FULL = {
    "title": "Ladder safety",
    "beginDate": "2031-02-03T04:05:06Z",
    "endDate": "2031-03-03T04:05:06Z",
    "registrationBeginDate": "2030-02-03T04:05:06Z",
    "registrationEndDate": "2031-02-28T04:05:06Z",
    "catalogDescription": "Up\nand down",
    "dashboardDescription": "Climb",
    "deliveryDescription": "With care",
    "price": 49.9,
    "tags": ["crane", "night"],
    "orderIndex": 7,
    "passingGrade": 80.0,
    "moveOn": "Passed",
    "retakes": True,
}


def test_an_offering_shows_what_it_was_given(school):
    course_id = school.course()

    offering = school.learner.get(f"/offerings/{school.offering(courseId=course_id, **FULL)}")

    assert offering.items() >= (FULL | {"courseId": course_id, "offeringCategoryIds": []}).items()


def test_what_has_no_value_is_left_out(school):
    offering = school.learner.get(f"/offerings/{school.offering()}")

    assert sorted(offering) == [
        "courseId",
        "createdDate",
        "id",
        "offeringCategoryIds",
        "orderIndex",
        "retakes",
        "tags",
        "title",
    ]


def test_null_takes_away_what_an_offering_may_lack(school):
    offering_id = school.offering(**FULL)
    clearable = [name for name in FULL if name not in ("title", "tags", "orderIndex", "retakes")]

    answer = school.admin.put(f"/offerings/{offering_id}", dict.fromkeys(clearable))

    assert answer.status_code == 204
    assert not set(clearable) & set(school.admin.get(f"/offerings/{offering_id}"))


@pytest.mark.parametrize("name", ["title", "tags", "orderIndex", "retakes", "courseId"])
def test_null_does_not_take_away_the_rest(school, name):
    answer = school.admin.put(f"/offerings/{school.offering()}", {name: None})

    assert answer.status_code == 400
    assert list(answer.json()["fieldErrors"]) == [name]


def test_a_plain_date_is_a_day_of_the_organizations_zone(found):
    school = found(zone="America/Sao_Paulo")

    offering = school.admin.get(
        f"/offerings/{school.offering(beginDate='2018-11-04', endDate='2031-02-03')}"
    )

    assert offering["beginDate"] == "2018-11-04T03:00:00Z"
    assert offering["endDate"] == "2031-02-04T03:00:00Z"


def test_a_day_beyond_the_calendar_is_an_error_of_its_field(school):
    answer = school.admin.put(f"/offerings/{school.offering()}", {"endDate": "9999-12-31"})

    assert answer.json() == {"fieldErrors": {"endDate": "No such day exists."}}


def test_unknown_references_and_turned_windows_are_named(school):
    answer = school.admin.post(
        "/offerings",
        {
            "title": "A",
            "courseId": "nowhere",
            "offeringCategoryIds": ["nothing"],
            "beginDate": "2031-02-03",
            "endDate": "2031-02-02",
            "registrationBeginDate": "2031-02-03T00:00:00Z",
            "registrationEndDate": "2031-02-03T00:00:00Z",
        },
    )

    assert sorted(answer.json()["fieldErrors"]) == [
        "courseId",
        "endDate",
        "offeringCategoryIds",
        "registrationEndDate",
    ]


def test_offerings_are_found_by_title_category_and_all_of_their_tags(school):
    shelf = school.admin.create("offeringcategories", name="Safety")
    both = school.offering(title="Ladders", tags=["crane", "night"], offeringCategoryIds=[shelf])
    one = school.offering(title="Cranes", tags=["crane"])

    def ids(query: str) -> list[str]:
        return [offering["id"] for offering in school.learner.list(f"/offerings?{query}")]

    assert ids("title=LADD") == [both]
    assert ids("tag=crane") == [both, one]
    assert (
        ids("tag=crane,night") == ids("tag=crane%20night") == ids("tag=crane&tag=night") == [both]
    )
    assert ids("tag=") == [both, one]
    assert ids(f"offeringCategoryId={shelf}") == ids(f"categoryId={shelf}") == [both]
    assert ids(f"categoryId={shelf}&offeringCategoryId={shelf}") == [both]
    assert ids("offeringCategoryId=Safety") == []
    assert ids("createdDate=2020") == []


def test_two_words_for_one_filter_must_not_disagree(school):
    answer = school.admin("GET", "/api/v5/offerings?studentId=a&userId=b")

    assert answer.status_code == 400
    assert list(answer.json()["fieldErrors"]) == ["userId"]


def test_offerings_a_user_could_register_for_now_are_told(school):
    learner_id = school.ids["learner"]
    is_open, taken = school.offering(), school.offering()
    school.offering(registrationBeginDate="2099-01-01")
    school.offering(registrationEndDate="2020-01-01")
    school.registration(taken)

    found = school.learner.list(f"/offerings?studentId={learner_id}")

    assert [offering["id"] for offering in found] == [is_open]
    assert school.admin.list(f"/offerings?userId={learner_id}") == found
    assert school.learner.list(f"/offerings?userId={school.ids['admin']}") == []


def test_an_offering_with_registrations_cannot_be_deleted(school):
    empty, taken = school.offering(), school.offering()
    school.registration(taken)

    assert school.admin.delete(f"/offerings/{empty}").status_code == 204
    assert school.admin("GET", f"/api/v5/offerings/{empty}").status_code == 404
    assert school.admin.delete(f"/offerings/{taken}").status_code == 400
