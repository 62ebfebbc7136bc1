"""Uploading tables to be imported, and asking how far they are."""

from datetime import UTC, datetime

import pytest

from coursebell.services import import_jobs

PEOPLE = "id,E-mail,Given name,Surname\n1,ada@x.example,Ada,Byron\n2,bad,B,C\n"
CSV = {"content-type": "text/csv"}


def upload(school, path="users", content=PEOPLE, headers=CSV, client=None):
    client = client or school.admin
    return client("POST", f"/api/v5/imports/{path}", content=content, headers=headers)


def work(registrar, import_id):
    import_jobs.work_on(registrar, import_id, lambda: datetime.now(UTC), lambda _: True)


def test_a_table_is_taken_worked_on_and_reported(school, registrar):
    answer = upload(school, "users?map=id%3DexternalKey&sendEvents=false")

    address = answer.headers["location"]
    import_id = address.rpartition("/")[2]
    begun = answer.json()
    assert (answer.status_code, begun["state"], begun["read"]) == (202, "pending", 0)
    assert (begun["map"], begun["dryRun"], begun["size"]) == (
        {"id": "externalKey"},
        False,
        len(PEOPLE),
    )
    work(registrar, import_id)
    report = school.admin.get(f"/imports/{import_id}")
    assert (report["state"], report["read"], report["created"], report["rejected"]) == (
        "done",
        2,
        1,
        1,
    )
    problem = {"line": 3, "column": "email", "rule": "Invalid email address."}
    assert report["errors"] == [problem]
    assert school.admin("GET", report["errorsLink"]).json()["results"] == [problem]
    assert [each["id"] for each in school.admin.list("/imports")] == [import_id]
    assert school.admin.list("/users?email=ada@x")[0]["firstName"] == "Ada"
    actors = {each["actor"] for each in school.admin.list("/audit?action=user.create&limit=1")}
    assert actors == {"import"}


def test_a_dry_run_and_cancelling(school, registrar):
    dry = upload(school, "users?dryRun=true").json()["id"]
    work(registrar, dry)
    waiting = upload(school).json()["id"]

    cancelled = school.admin.delete(f"/imports/{waiting}")
    again = school.admin.delete(f"/imports/{waiting}")

    assert school.admin.get(f"/imports/{dry}")["created"] == 1
    assert school.admin.list("/users?email=ada@x") == []
    assert (cancelled.status_code, again.status_code) == (204, 409)
    assert school.admin.get(f"/imports/{waiting}")["state"] == "cancelled"
    assert school.admin.list("/audit?action=import.cancel")[0]["subjectId"] == waiting


@pytest.mark.parametrize(
    ("path", "content", "headers", "status", "said"),
    [
        ("users", PEOPLE, {"content-type": "application/json"}, 415, "text/csv"),
        ("users", PEOPLE, {}, 415, "text/csv"),
        ("users", PEOPLE, {"content-type": "text/csv; charset=latin-1"}, 415, "UTF-8"),
        ("users", PEOPLE, {**CSV, "content-encoding": "gzip"}, 415, "text/csv"),
        ("users", b"", CSV, 400, "is empty"),
        ("users", "a,b\n1,2\n", CSV, 400, "No column is email"),
        ("users", PEOPLE.replace("id", "Größe").encode("latin-1"), CSV, 400, "not UTF-8"),
        ("users?map=x", PEOPLE, CSV, 400, "HEADER=COLUMN"),
        ("users?map=x%3Demail", PEOPLE, CSV, 400, "no column"),
        ("users?dryRun=perhaps", PEOPLE, CSV, 400, "true or false"),
        ("users?dry=true", PEOPLE, CSV, 400, "Unknown parameter"),
        ("shoes", PEOPLE, CSV, 404, "No resource"),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_is_no_table_is_refused_and_nothing_is_kept(
    school, registrar, path, content, headers, status, said
):
    answer = upload(school, path, content, headers)

    assert answer.status_code == status, answer.text
    assert said in answer.text
    assert school.admin.list("/imports") == []
    assert not list(registrar.upload_directory.glob("*"))


def test_a_table_that_is_too_large_is_refused_before_it_is_read(school):
    answer = upload(school, headers={**CSV, "content-length": str(512 * 1024 * 1024 + 1)})

    assert answer.status_code == 413
    assert answer.json() == {"errors": ["The table is larger than 512 MB."]}


def test_a_table_without_a_length_is_refused(school):
    async def chunks():
        yield PEOPLE.encode()

    answer = upload(school, content=chunks())

    assert answer.status_code == 400
    assert "Content-Length" in answer.text


def test_a_table_comes_in_pieces_and_is_written_in_pieces(school, registrar):
    table = "email,firstName,lastName\n" + "".join(
        f"p{n}@x.example,P,{'x' * 90}\n" for n in range(12_000)
    )

    async def pieces():
        for start in range(0, len(table), 100_000):
            yield table[start : start + 100_000].encode()

    headers = {**CSV, "content-length": str(len(table))}
    import_id = upload(school, content=pieces(), headers=headers).json()["id"]

    assert (registrar.upload_directory / f"{import_id}.csv").read_text() == table


@pytest.mark.parametrize("role", ["learner", "instructor"])
def test_others_than_administrators_upload_nothing(school, registrar, role):
    answer = upload(school, client=school.client(role))

    assert answer.status_code == 403
    assert not list(registrar.upload_directory.glob("*"))
