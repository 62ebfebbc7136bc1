from __future__ import annotations


def test_a_token_is_shown_once_and_acts_for_its_user(school):
    answer = school.admin.post(
        "/tokens", {"userId": school.ids["learner"], "name": "Course player"}
    )

    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/api/v5/tokens/{made['id']}"
    assert answer.headers["cache-control"] == "no-store"
    token = school.admin.get(f"/tokens/{made['id']}")
    assert (token["name"], token["userId"]) == ("Course player", school.ids["learner"])
    assert "lastUsedDate" not in token
    assert made["secret"] not in school.admin("GET", "/api/v5/tokens").text
    player = school.admin.holding(made["secret"])
    assert player.get(f"/users/{school.ids['learner']}")["role"] == "learner"
    assert "lastUsedDate" in school.admin.get(f"/tokens/{made['id']}")


def test_a_revoked_token_lets_nobody_in(school):
    made = school.admin.post("/tokens", {"userId": school.ids["admin"], "name": "x"}).json()

    assert school.admin.delete(f"/tokens/{made['id']}").status_code == 204
    assert school.admin("GET", "/api/v5/users", made["secret"]).status_code == 401
    assert school.admin("GET", f"/api/v5/tokens/{made['id']}").status_code == 404
    assert school.admin.delete(f"/tokens/{made['id']}").status_code == 404


def test_tokens_are_listed_by_user(school):
    (own,) = school.admin.list(f"/tokens?userId={school.ids['learner']}")

    assert own["userId"] == school.ids["learner"]
    assert len(school.admin.list("/tokens")) == 3


def test_a_token_needs_a_user_that_is_there(school):
    answer = school.admin.post("/tokens", {"userId": "nobody", "name": "x"})

    assert list(answer.json()["fieldErrors"]) == ["userId"]
