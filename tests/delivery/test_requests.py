from dataclasses import replace
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from coursebell import __version__
from coursebell.delivery.requests import Sender, Senders
from coursebell.domain.model import DeliveryKind, Method
from coursebell.errors import NotFoundError, SealError
from coursebell.storage.claims import Claimed
from coursebell.storage.seal import Seal
from coursebell.storage.webhooks import Target
from coursebell_receiver import SecretError, sign

SEAL = Seal(["a-key-that-only-tests-use"])
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def a_target(**fields):
    defaults = {
        "webhook_id": "w",
        "organization_id": "o",
        "url": "https://receiver.example/hook",
        "method": Method.POST,
        "headers_sealed": None,
        "secret_sealed": SEAL.seal(SECRET.encode()),
        "timeout_seconds": 5,
        "retry_schedule": (5,),
        "max_in_flight": 8,
        "rate_per_second": None,
    }
    return Target(**(defaults | fields))


def a_delivery(**fields):
    defaults = {
        "key": 7,
        "id": "d",
        "lease": "lease",
        "webhook_id": "w",
        "organization_id": "o",
        "kind": DeliveryKind.LIVE,
        "attempts": 0,
        "event_id": "e",
        "event": "offering_completed",
        "occurred_at": datetime(2014, 4, 18, 0, 39, 57, 999_999, tzinfo=UTC),
        "user_id": "u",
        "registration_id": "r",
        "registration_seq": 3,
        "element_id": None,
        "body": b'{"event":"offering_completed"}',
    }
    return Claimed(**(defaults | fields))


def test_a_request_has_the_headers_of_both_standards_and_the_webhooks_own():
    target = a_target(headers_sealed=SEAL.seal(b'{"X-Key": "sesame"}'), method=Method.PUT)

    request = Sender(target, SEAL, "https://bell.example").request(a_delivery(), 1_614_265_330)

    assert (request.key, request.method, request.url) == (7, "PUT", target.url)
    assert (request.body, request.timeout_seconds) == (a_delivery().body, 5)
    assert len(request.headers) == len(dict(request.headers))
    assert dict(request.headers) == {
        "content-type": "application/json",
        "user-agent": f"Coursebell/{__version__}",
        "webhook-id": "e",
        "webhook-timestamp": "1614265330",
        "webhook-signature": sign(SECRET, "e", 1_614_265_330, request.body),
        "ce-specversion": "1.0",
        "ce-id": "e",
        "ce-type": "offering_completed",
        "ce-source": "https://bell.example/organizations/o",
        "ce-time": "2014-04-18T00:39:57Z",
        "ce-subject": "r",
        "ce-registrationseq": "3",
        "coursebell-delivery": "live",
        "X-Key": "sesame",
    }


def test_what_an_event_lacks_has_no_header():
    nobody = a_delivery(user_id=None, registration_id=None, registration_seq=None)
    someone = replace(nobody, user_id="u")
    something = replace(nobody, element_id="el")
    sender = Sender(a_target(), SEAL, None)

    assert not {"ce-subject", "ce-registrationseq"} & dict(sender.request(nobody, 1).headers).keys()
    headers = dict(sender.request(someone, 1).headers)
    assert headers["ce-subject"] == "u"
    assert dict(sender.request(something, 1).headers)["ce-subject"] == "el"
    assert headers["ce-source"] == "urn:coursebell:o"


@pytest.mark.parametrize("kind", DeliveryKind)
def test_a_request_says_why_it_is_sent(kind):
    request = Sender(a_target(), SEAL, None).request(a_delivery(kind=kind), 1)

    assert ("coursebell-delivery", kind.value) in request.headers


def test_each_time_has_a_signature_of_its_own():
    sender = Sender(a_target(), SEAL, None)

    signatures = {
        dict(sender.request(a_delivery(), second).headers)["webhook-signature"]
        for second in range(3)
    }

    assert len(signatures) == 3


def test_nothing_is_sent_for_bytes_that_are_gone():
    with pytest.raises(NotFoundError):
        Sender(a_target(), SEAL, None).request(a_delivery(body=None), 1)


@pytest.mark.parametrize(
    ("sealed", "error"),
    [(b"nonsense", SealError), (SEAL.seal(b"whsec_short"), SecretError)],
    ids=["sealed with another key", "malformed"],
)
def test_a_secret_that_cannot_be_used_makes_no_sender(sealed, error):
    with pytest.raises(error):
        Sender(a_target(secret_sealed=sealed), SEAL, None)


def test_a_sender_is_kept_until_its_webhook_changes():
    senders = Senders(SEAL, None)
    target = a_target()

    senders.renew({"w": target})
    first = senders.get("w")
    senders.renew({"w": replace(target)})
    assert senders.get("w") is first

    senders.renew({"w": replace(target, url="https://elsewhere.example/")})
    assert senders.get("w").target.url == "https://elsewhere.example/"

    senders.renew({})
    assert senders.get("w") is None


def test_a_sealed_webhook_is_told_apart_and_logged_once_until_it_changes():
    senders = Senders(SEAL, None)
    sealed, good = a_target(secret_sealed=b"nonsense"), a_target(webhook_id="good")

    with capture_logs() as logs:
        senders.renew({"w": sealed, "good": good})
        senders.renew({"w": sealed, "good": good})

    assert senders.sealed == {"w"}
    assert senders.get("w") is None
    assert senders.get("good") is not None
    (line,) = logs
    assert (line["event"], line["webhook_id"], line["log_level"]) == (
        "webhook.sealed",
        "w",
        "error",
    )

    senders.renew({"w": a_target()})
    assert senders.sealed == frozenset()
    assert senders.get("w") is not None


def test_a_malformed_secret_seals_its_webhook_too():
    senders = Senders(SEAL, None)

    with capture_logs() as logs:
        senders.renew({"w": a_target(secret_sealed=SEAL.seal(b"whsec_c2hvcnQ="))})

    assert senders.sealed == {"w"}
    assert "c2hvcnQ" not in str(logs)
