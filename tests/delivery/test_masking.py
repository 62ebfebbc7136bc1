"""What a receiver repeats of its webhook's custom headers is not written down."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from coursebell.delivery.masking import MASK, Masks

KEY = 'k3y-"of"-the\\door/way'
VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=4, max_size=40)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (f"X-Key: {KEY}\r\n", f"X-Key: {MASK}\r\n"),
        (json.dumps({"x-key": KEY}), json.dumps({"x-key": MASK})),
        (f"{KEY}{KEY}", f"{MASK}{MASK}"),
        (json.dumps(KEY).replace("/", "\\/"), f'"{MASK}"'),
        (f"cut off: {KEY[:10]}", f"cut off: {MASK}"),
        (f"too little to tell: {KEY[:3]}", f"too little to tell: {KEY[:3]}"),
        ("nothing of it", "nothing of it"),
        ("", ""),
    ],
)
def test_a_secret_is_hidden_however_it_is_repeated(said, kept):
    assert Masks([KEY]).hide(said) == kept


def test_the_token_of_a_credential_is_hidden_without_its_scheme_too():
    masks = Masks(["Bearer s3cr3t-t0ken"])

    assert masks.hide("you sent Bearer s3cr3t-t0ken") == f"you sent {MASK}"
    assert masks.hide("token s3cr3t-t0ken is stale") == f"token {MASK} is stale"
    assert masks.hide("Bearer tokens are fine") == "Bearer tokens are fine"


def test_a_short_value_hides_nothing_and_spoils_nothing():
    assert Masks(["1", "yes"]).hide("1 yes, 11 no") == "1 yes, 11 no"


def test_bytes_that_are_no_text_stay_as_they_are():
    raw = bytes(range(256))

    assert Masks(["long enough"]).hide_in(raw) == raw
    assert Masks(["long enough"]).hide_in(raw + b"long enough") == raw + MASK.encode()


@given(secrets=st.lists(VISIBLE, min_size=1, max_size=4), data=st.data())
def test_no_secret_is_left_whatever_stands_around_it(secrets, data):
    assume(not any(secret in MASK or MASK in secret for secret in secrets))
    pieces = st.one_of(st.sampled_from(secrets), st.text(max_size=8))
    said = "".join(data.draw(st.lists(pieces, max_size=12)))

    kept = Masks(secrets).hide(said)

    left = kept.split(MASK)
    assert not any(secret in part for part in left for secret in secrets)
