from __future__ import annotations

import pytest

from coursebell.storage.tables import metadata

UNKNOWN = {"errors": ["No resource exists with the given id."]}
ADA = {"firstName": "Ada", "lastName": "Berg", "email": "ada@berg.example"}


def test_a_user_is_created_with_what_is_needed_and_shown_in_full(school):
    answer = school.admin.post("/users", ADA)

    assert answer.status_code == 201
    assert answer.content == b""
    location = answer.headers["location"]
    user_id = location.removeprefix("/api/v5/users/")
    user = school.admin("GET", location).json()
    assert user.pop("createdDate").endswith("Z")
    assert user == ADA | {
        "id": user_id,
        "username": "ada@berg.example",
        "locale": "en",
        "tags": [],
        "role": "learner",
    }


def test_the_location_stands_under_the_base_that_was_asked(school):
    answer = school.admin("POST", "/dc/api/v5/users/", json=ADA)

    assert answer.headers["location"].startswith("/dc/api/v5/users/")


def test_what_is_null_is_as_if_it_were_absent(school):
    user_id = school.user("Ada", username=None, password=None, locale=None)

    assert school.admin.get(f"/users/{user_id}")["locale"] == "en"


def test_a_tag_with_a_space_or_comma_is_split_and_put_replaces_all_tags(school):
    user_id = school.user("Ada", tags=["night shift,crane"])
    before = school.admin.get(f"/users/{user_id}")["tags"]

    school.admin.put(f"/users/{user_id}", {"tags": ["day"]})

    assert before == ["night", "shift", "crane"]
    assert school.admin.get(f"/users/{user_id}")["tags"] == ["day"]


@pytest.mark.parametrize(
    "email", ["no-at.example", "a@", "@b.example", "a b@c.example", "a@b@c.example", "a@b..c"]
)
def test_a_malformed_address_is_refused_in_the_vendors_words(school, email):
    answer = school.admin.post("/users", ADA | {"email": email})

    assert answer.status_code == 400
    assert answer.json() == {"fieldErrors": {"email": "Invalid email address"}}


def test_a_special_use_domain_is_fine(school):
    assert school.admin.post("/users", ADA | {"email": "ada@lab.test"}).status_code == 201


@pytest.mark.parametrize("password", ["a1b2c", "a1" * 33, "abcdef", "123456", ""])
def test_a_weak_password_is_refused(school, password):
    answer = school.admin.post("/users", ADA | {"password": password})

    assert answer.status_code == 400
    assert list(answer.json()["fieldErrors"]) == ["password"]


def test_a_password_is_taken_and_never_shown(school):
    user_id = school.user("Ada", password="ladder 66")

    shown = school.admin("GET", f"/api/v5/users/{user_id}")

    assert "password" not in shown.json()
    assert "ladder 66" not in shown.text


def test_an_address_belongs_to_one_user_whatever_its_case(school):
    school.user("Ada")

    answer = school.admin.post("/users", ADA | {"email": "ADA@Berg.example"})

    assert answer.status_code == 400
    assert list(answer.json()["fieldErrors"]) == ["email"]


def test_two_organizations_may_know_the_same_address(found):
    found("One").user("Ada")

    found("Two").user("Ada")


def test_where_one_signs_in_by_address_the_username_follows_it(school):
    refused = school.admin.post("/users", ADA | {"username": "ada"})
    user_id = school.user("Ada")

    school.admin.put(f"/users/{user_id}", {"email": "new@berg.example"})

    assert list(refused.json()["fieldErrors"]) == ["username"]
    assert school.admin.get(f"/users/{user_id}")["username"] == "new@berg.example"


def test_where_one_signs_in_by_username_it_may_be_anything_unique(found):
    school = found(sign_in="username")
    school.user("Ada", username="ladder-ada")

    answer = school.admin.post(
        "/users", ADA | {"email": "other@berg.example", "username": "LADDER-ADA"}
    )

    assert list(answer.json()["fieldErrors"]) == ["username"]


def test_a_change_touches_only_what_is_named(school):
    user_id = school.user("Ada", locale="cl", tags=["crane"])
    before = school.admin.get(f"/users/{user_id}")

    answer = school.admin.put(f"/users/{user_id}", {"lastName": "Stein"})

    assert answer.status_code == 204
    assert answer.content == b""
    assert school.admin.get(f"/users/{user_id}") == before | {"lastName": "Stein"}


def test_a_change_of_nothing_is_fine(school):
    assert school.admin.put(f"/users/{school.user('Ada')}", {}).status_code == 204


def test_null_does_not_clear_what_a_user_must_have(school):
    answer = school.admin.put(f"/users/{school.user('Ada')}", {"locale": None})

    assert answer.json() == {"fieldErrors": {"locale": "Must be a string."}}


def test_a_deleted_user_is_gone_with_tokens_and_address_but_not_with_history(school):
    user_id = school.user("Ada")
    token = school.admin.post("/tokens", {"userId": user_id, "name": "x"}).json()["secret"]
    registration_id = school.registration(user_id=user_id)

    answer = school.admin.delete(f"/users/{user_id}")

    assert answer.status_code == 204
    assert school.admin("GET", f"/api/v5/users/{user_id}").json() == UNKNOWN
    assert school.admin.delete(f"/users/{user_id}").status_code == 404
    assert school.admin("GET", "/api/v5/offerings", token).status_code == 401
    registration = school.admin.get(f"/registrations/{registration_id}")
    assert (registration["status"], registration["userId"]) == ("ejected", user_id)
    assert school.admin.post("/users", ADA).status_code == 201


def test_the_last_administrator_can_neither_be_deleted_nor_demoted(school):
    own = f"/users/{school.ids['admin']}"

    assert school.admin.delete(own).status_code == 400
    demoted = school.admin.put(own, {"role": "instructor"})
    assert list(demoted.json()["fieldErrors"]) == ["role"]


def test_a_learner_sees_and_changes_nobody_else(school):
    own, other = f"/users/{school.ids['learner']}", f"/users/{school.ids['admin']}"

    assert school.learner.get(own)["firstName"] == "Learner"
    assert school.learner("GET", f"/api/v5{other}").json() == UNKNOWN
    assert school.learner.put(other, {"firstName": "X"}).json() == UNKNOWN
    assert school.learner.put(own, {"firstName": "X", "locale": "de"}).status_code == 204
    beyond = school.learner.put(own, {"email": "new@berg.example"})
    assert beyond.status_code == 403
    assert beyond.json()["error"] == "insufficient_scope"


def test_filters_are_substrings_whatever_the_case_and_all_must_match(school):
    ada, _ = school.user("Ada"), school.user("Adam")

    def ids(query: str) -> list[str]:
        return [user["id"] for user in school.admin.list(f"/users?{query}")]

    assert ids("firstName=ADA&email=ada@") == [ada]
    assert ids("firstName=%25") == []
    assert ids("username=_da@") == []
    assert len(ids("email=@berg.example")) == 2
    assert ids("role=admin") == [school.ids["admin"]]
    assert ids("role=&firstName=ada@") == []
    assert len(ids("createdDate=2020..")) == 5
    assert ids("createdDate=2020") == []
    assert ids("lastLoginDate=2020..") == []


def test_a_list_is_paged_in_the_order_of_creation(school):
    created = [school.user(f"Ada{number}") for number in range(4)]
    url, seen = "/dc/api/v5/users?email=berg&limit=3", []

    while url:
        page = school.admin("GET", url).json()
        seen += [user["id"] for user in page["results"]]
        url = page.get("next")

    assert seen == created
    assert page["prev"] == page["previous"] == "/dc/api/v5/users?email=berg&limit=3&offset=0"


def test_a_page_beyond_the_end_is_empty(school):
    page = school.admin.get("/users?offset=2147483647")

    assert page["results"] == []
    assert "next" not in page


def test_a_person_is_given_everything_and_after_erasing_nothing_says_who_it_was(school):
    school.webhook(events=["user_erased"], name="Payroll")
    ada = school.user("Ada")
    registration = school.registration(user_id=ada)
    school.admin.put(f"/registrations/{registration}", {"grade": 90.5, "graderComment": "Hm, Ada"})
    url = f"/users/{ada}/export"

    before = school.admin.get(url)
    erased = school.admin.post(f"/users/{ada}/erase", {"reason": "asked by letter"})
    after = school.admin.get(url)

    assert before["user"]["firstName"] == "Ada"
    assert before["registrations"][0]["graderComment"] == "Hm, Ada"
    assert [event["event"] for event in before["events"]] == [
        "user_created",
        "offering_registered",
        "offering_completed",
    ]
    assert before["disclosures"] == []
    assert (erased.status_code, erased.content) == (204, b"")
    assert "Ada" not in str(after)
    assert "ada@" not in str(after)
    assert after["registrations"][0]["grade"] == 90.5
    assert school.admin("GET", f"/api/v5/users/{ada}").status_code == 404


def test_a_learner_exports_himself_and_nobody_else(school):
    own = school.learner.get(f"/users/{school.ids['learner']}/export")
    other = school.learner("GET", f"/api/v5/users/{school.ids['admin']}/export")

    assert own["user"]["id"] == school.ids["learner"]
    assert [token["name"] for token in own["tokens"]] == ["tests"]
    assert other.status_code == 404


def test_erasing_needs_a_reason(school):
    answer = school.admin.post(f"/users/{school.user('Ada')}/erase", {})

    assert answer.status_code == 400
    assert answer.json()["fieldErrors"] == {"reason": "Is required."}


def test_who_was_told_is_named_without_the_address_that_lets_one_in(school, registrar):
    named = school.webhook(url="http://127.0.0.1:9/secret-path", name="Payroll")
    plain = school.webhook(url="http://127.0.0.1:9/secret-path")
    registration = school.registration()
    school.admin.put(f"/registrations/{registration}", {"grade": 90})
    with registrar.database.transaction() as tx:
        tx.execute(metadata.tables["deliveries"].update().values(attempts=1))

    shown = school.learner.get(f"/users/{school.ids['learner']}/export")["disclosures"]

    assert [(each["webhookId"], each["recipient"], each["host"]) for each in shown] == [
        (named, "Payroll", "127.0.0.1"),
        (plain, "127.0.0.1", "127.0.0.1"),
    ]
    assert "secret-path" not in str(shown)
