"""A new secret while the old one goes on signing."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from coursebell.delivery.requests import Sender
from coursebell.domain.health import HEALTHY, Health
from coursebell.errors import ForbiddenError, InvalidInputError, NotFoundError
from coursebell.services import dispatching, reconciliation, rotation
from coursebell.storage import audit
from coursebell.storage.health import lock_health, write_health
from coursebell.storage.tables import deliveries
from coursebell.storage.tables import webhooks as webhook_rows
from coursebell_receiver import VerificationError, verify
from factories import NOW, open_school

SECOND = timedelta(seconds=1)


def rotate(school, connected, overlap=60, now=NOW):
    return rotation.rotate_secret(
        school.registrar, school.admin, connected.webhook.id, overlap, now
    ).secret


@pytest.fixture
def connected(school):
    return school.webhook(events=("offering_registered",))


def signed(school, connected, now):
    """The headers and the body of a delivery that starts at `now`."""
    school.registration()
    (target,) = dispatching.read_targets(school.registrar, [connected.webhook.id]).values()
    sender = Sender(target, school.database.seal, None)
    claimed = dispatching.claim(school.registrar, {}, 99, "1" * 32, 60, NOW).claimed[-1]
    request = sender.request(claimed, int(now.timestamp()))
    return dict(request.headers), request.body


def accepts(secret, headers, body, now):
    try:
        verify(headers, body, [secret], now=int(now.timestamp()))
    except VerificationError:
        return False
    return True


def test_both_sign_the_new_one_first_until_the_overlap_is_over(school, connected):
    new = rotate(school, connected)

    last = NOW + 59 * SECOND
    headers, body = signed(school, connected, last)
    assert accepts(new, headers, body, last)
    assert accepts(connected.secret, headers, body, last)
    first, second = headers["webhook-signature"].split()
    assert accepts(new, headers | {"webhook-signature": first}, body, last)
    assert accepts(connected.secret, headers | {"webhook-signature": second}, body, last)

    over = NOW + 60 * SECOND
    headers, body = signed(school, connected, over)
    assert accepts(new, headers, body, over)
    assert not accepts(connected.secret, headers, body, over)


def test_without_overlap_the_old_one_ends_at_once(school, connected):
    new = rotate(school, connected, overlap=0)

    headers, body = signed(school, connected, NOW)

    assert accepts(new, headers, body, NOW)
    assert not accepts(connected.secret, headers, body, NOW)


def test_of_those_before_only_the_last_still_signs(school, connected):
    middle = rotate(school, connected)
    new = rotate(school, connected)

    headers, body = signed(school, connected, NOW)

    found = [accepts(each, headers, body, NOW) for each in (connected.secret, middle, new)]
    assert found == [False, True, True]


def test_answers_about_a_webhook_are_signed_alike(school, connected):
    rotate(school, connected)

    def signatures(now):
        webhook_id = connected.webhook.id
        signed = reconciliation.sign_answer(
            school.registrar, school.admin, webhook_id, "msg", now, b"{}"
        )
        return len(signed.split())

    assert (signatures(NOW), signatures(NOW + 60 * SECOND)) == (2, 1)


def test_a_new_secret_is_another_chance_and_is_not_in_the_trail(school, connected):
    ill = Health(failures=10, failing_since=NOW, probe_at=NOW + 3600 * SECOND)
    with school.database.transaction() as tx:
        write_health(tx, connected.webhook.id, ill)

    new = rotate(school, connected)

    with school.database.transaction() as tx:
        assert lock_health(tx, [connected.webhook.id])[connected.webhook.id] == HEALTHY
        entry = audit.list_changes_of(tx, school.organization.id, connected.webhook.id)[-1]
    assert (entry.action, entry.after) == ("webhook.rotate", {"overlap_seconds": 60})
    assert new not in repr(entry)


@pytest.mark.parametrize("is_backed_off", [False, True])
def test_a_retry_is_hurried_only_where_the_webhook_had_backed_off(school, connected, is_backed_off):
    school.registration()
    later = NOW + timedelta(days=36_500)  # by either clock
    ill = Health(failures=10, failing_since=NOW, probe_at=later)
    with school.database.transaction() as tx:
        tx.execute(sa.update(deliveries).values(due_at=later, attempts=1))
        if is_backed_off:
            write_health(tx, connected.webhook.id, ill)

    rotate(school, connected)

    (delivery,) = school.deliveries(connected)
    assert delivery.next_attempt_at == (NOW if is_backed_off else later)


@pytest.mark.parametrize("overlap", [-1, rotation.MAX_OVERLAP_SECONDS + 1])
def test_an_overlap_has_its_limits(school, connected, overlap):
    with pytest.raises(InvalidInputError) as refused:
        rotate(school, connected, overlap=overlap)

    assert list(refused.value.field_errors) == ["overlapSeconds"]


def test_only_administrators_of_the_organization_rotate(school, connected):
    other = replace(school, admin=open_school(school.database).admin)
    learner = replace(school, admin=school.learner())

    with pytest.raises(NotFoundError):
        rotate(other, connected)
    with pytest.raises(ForbiddenError):
        rotate(learner, connected)


def test_an_old_secret_that_no_key_opens_signs_no_more(school, connected):
    with school.database.transaction() as tx:
        tx.execute(sa.update(webhook_rows).values(secret_sealed=b"sealed with a lost key"))

    rotated = rotation.rotate_secret(school.registrar, school.admin, connected.webhook.id, 60, NOW)

    assert rotated.old_secret_until is None
    headers, body = signed(school, connected, NOW)
    assert accepts(rotated.secret, headers, body, NOW)
    assert len(headers["webhook-signature"].split()) == 1


def test_a_readable_secret_overlaps_though_the_one_before_it_cannot_be_read(school, connected):
    rotate(school, connected)
    with school.database.transaction() as tx:
        tx.execute(sa.update(webhook_rows).values(old_secret_sealed=b"sealed with a lost key"))

    rotated = rotation.rotate_secret(school.registrar, school.admin, connected.webhook.id, 60, NOW)

    assert rotated.old_secret_until == NOW + 60 * SECOND
