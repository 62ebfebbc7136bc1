"""What may stand in a user's fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursebell.domain.people import check_email, check_password, split_tags
from coursebell.errors import InvalidInputError


@pytest.mark.parametrize(
    "email",
    [
        "mei@learner.example",
        "mei@localhost",
        "mei@school.test",
        "mei@school.invalid",
        "mei@school.local",
        "mei@localhost.localdomain",
        "m.e.i+tag@sub.school.org",
        "MEI@SCHOOL.ORG",
        "søren@école.fr",
        "a@b.co",
    ],
)
def test_an_e_mail_address_is_accepted(email):
    check_email(email)


@pytest.mark.parametrize(
    "email",
    [
        "",
        "mei",
        "@school.org",
        "mei@",
        "mei@@school.org",
        "mei@school..org",
        ".mei@school.org",
        "mei @school.org",
        " mei@school.org",
        "mei@school.org ",
        "mei@school.org\n",
        "Mei <mei@school.org>",
        "mei@school.org,bo@school.org",
        "mei@-school.org",
        "m\x00i@school.org",
        "mei@" + ".".join(["x" * 63] * 4) + ".org",
    ],
)
def test_what_is_no_e_mail_address_is_refused_in_the_vendors_words(email):
    with pytest.raises(InvalidInputError) as refused:
        check_email(email)

    assert refused.value.field_errors == {"email": "Invalid email address"}


@pytest.mark.parametrize("password", ["abcde1", "1" * 63 + "a", "éèàùâ9", "a1    ", "日本語日本3"])
def test_a_password_is_accepted(password):
    check_password(password)


@pytest.mark.parametrize(
    "password", ["", "abcd1", "a1" * 33, "abcdef", "123456", "_____1", "-- --a"]
)
def test_a_password_is_refused(password):
    with pytest.raises(InvalidInputError) as refused:
        check_password(password)

    assert list(refused.value.field_errors) == ["password"]
    assert not password or password not in str(refused.value)


@pytest.mark.parametrize(
    ("given_tags", "kept"),
    [
        ([], ()),
        (["north"], ("north",)),
        (["north east"], ("north", "east")),
        (["north,east", "south"], ("north", "east", "south")),
        (["a, b ,,c", ""], ("a", "b", "c")),
        (["a\tb\nc"], ("a", "b", "c")),
        (["a", "b a"], ("a", "b")),
        (["A", "a"], ("A", "a")),
    ],
)
def test_tags_are_split_on_spaces_and_commas_and_kept_once(given_tags, kept):
    assert split_tags(given_tags) == kept


@given(st.lists(st.text()))
def test_no_tag_has_a_space_or_a_comma_and_splitting_again_changes_nothing(tags):
    kept = split_tags(tags)

    assert all(tag and tag.split() == [tag] and "," not in tag for tag in kept)
    assert split_tags(kept) == kept
