"""The engine: claim a batch, send it, record what became of it; three short steps in one loop.

Doing, deciding and recording are apart: `client` does, `domain.retry.decide` decides,
`services.dispatching` records. This module only moves deliveries between them.
"""

from __future__ import annotations

import itertools
import math
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from coursebell.delivery.client import Client
from coursebell.delivery.clock import WallClock
from coursebell.delivery.exchange import Result
from coursebell.delivery.lanes import Held, Hosts, Lane, Lanes
from coursebell.delivery.records import Sent, log_attempt, not_sent, record_of
from coursebell.delivery.requests import Sender, Senders
from coursebell.domain.model import DeliveryStatus
from coursebell.errors import UnavailableError
from coursebell.logs import logger, together
from coursebell.services import dispatching
from coursebell.services.dispatching import LEASE_SECONDS, Batch
from coursebell.services.registrar import Registrar
from coursebell.storage.claims import Claimed, Recorded
from coursebell.storage.waking import Bell
from coursebell.storage.webhooks import Target

_log = logger(__name__)

MAX_IN_FLIGHT_PER_HOST = 64
DEPTH = 32  # deliveries of one webhook in hand; above its cap, so that the next is always ready
_MARGIN_SECONDS = 5.0  # a lease that ends sooner after an attempt's deadline is not started on
_RENEW_SECONDS = 1.0  # how old a webhook's settings may be when an attempt starts
_RECORD_BATCH = 250  # results that are recorded without waiting for more
_RECORD_SECONDS = 0.02  # how long a result waits for others to be recorded with
_IDLE_SECONDS = 5.0  # how long to sleep at most
_BREATH_SECONDS = 0.05  # how long to sleep at least when others hold what is due
_STRAGGLING_SECONDS = 10.0  # in which whoever asked for the time before a step has committed
_FAREWELL_SECONDS = 8.0  # what attempts in flight get to finish after SIGTERM
_TROUBLE_SECONDS = 1.0  # rest after the database could not be reached

Observer = Callable[[str, float], None]  # outcome name, duration in seconds


class Dispatcher:
    """Delivers what is due until told to stop. One thread; several processes on PostgreSQL.

    `stop_descriptor` becomes readable when it shall stop. `observe` is told of every attempt.
    """

    def __init__(
        self,
        registrar: Registrar,
        client: Client,
        bell: Bell,
        stop_descriptor: int,
        observe: Observer,
        *,
        lease_seconds: float = LEASE_SECONDS,
        max_in_flight_per_host: int = MAX_IN_FLIGHT_PER_HOST,
        clock: WallClock | None = None,
    ) -> None:
        self._registrar = registrar
        self._client = client
        self._bell = bell
        self._stop_descriptor = stop_descriptor
        self._observe = observe
        self._lease_seconds = lease_seconds
        self._doubtful: str | None = None  # the lease of a claim whose answer has not come
        self._leases = (f"{bell.run_id}{number:016x}" for number in itertools.count())
        self._senders = Senders(registrar.database.seal, registrar.public_url)
        self._renewed_at = -math.inf  # monotonic, as all below
        self._clock = clock or WallClock()
        self._stepped = 0.0  # by which the clock was set, and the database does not know yet
        self._straggled_at = math.inf  # when nothing comes any more that goes by the clock before
        self._lanes = Lanes()
        self._hosts = Hosts(max_in_flight_per_host)
        self._dispatchers = 1  # that share a webhook's rate
        self._sent: dict[int, Sent] = {}
        self._results: list[Recorded] = []
        self._gone: dict[str, Target] = {}
        self._untried: dict[int, str] = {}  # key to lease, for want of descriptors
        self._returned: dict[int, str] = {}  # the same of what is to be given back
        self._oldest_result = 0.0
        self._look_at = 0.0  # when to look for work again
        self._ask_at = 0.0  # when to ask whether the bell was missed
        self._full: frozenset[str] = frozenset()
        self._stopping = False

    def run(self) -> None:
        """Deliver until stopped; then finish what is in flight, or give it back, within 10 s."""
        while not self._stopping:
            try:
                self._turn()
            except UnavailableError as exc:
                _log.error("dispatcher.database", problem=exc.message)
                self._rest()
        self._finish()

    def _turn(self) -> None:
        self._follow_clock()
        # first, so that what could not be recorded is not claimed again when its lease has lapsed
        if self._is_time_to_record():
            self._record()
        if self._untried:
            self._wait_for_descriptors()
        self._settle_returned()
        if self._is_time_to_look():
            self._claim()
        self._start()
        self._wait()

    def _follow_clock(self) -> None:
        self._stepped += self._clock.step()
        if self._stepped:
            dispatching.follow_clock(self._registrar, self._stepped, self._clock.now())
            self._stepped = 0.0
            self._look_at = 0.0
            self._straggled_at = time.monotonic() + _STRAGGLING_SECONDS
        elif time.monotonic() >= self._straggled_at:
            dispatching.call_stragglers(self._registrar, self._clock.now())
            self._straggled_at = math.inf
            self._look_at = 0.0

    def _wait_for_descriptors(self) -> None:
        """What could not be tried counts as no attempt: no receiver is to blame for it."""
        problem = "There are no file descriptors left; allow more (ulimit -n, LimitNOFILE)."
        _log.error("dispatcher.descriptors", problem=problem, deliveries=len(self._untried))
        self._returned |= self._untried
        self._untried = {}
        self._settle_returned()
        self._rest()

    def _rest(self) -> None:
        end = time.monotonic() + _TROUBLE_SECONDS
        while not self._stopping and (left := end - time.monotonic()) > 0:
            self._advance(left, (self._stop_descriptor,))
        self._look_at = 0.0

    def _is_time_to_look(self) -> bool:
        if time.monotonic() >= self._look_at:
            return True
        in_hand = self._lanes.in_hand() if self._full else {}
        return any(in_hand.get(each, 0) <= DEPTH // 2 for each in self._full)

    def _claim(self) -> None:
        now, start = self._clock.now(), time.monotonic()
        self._bell.silence()
        self._ask_at = start + self._bell.patience
        if self._doubtful is not None:
            dispatching.disclaim(self._registrar, self._doubtful, self._lease_seconds, now)
        self._doubtful = next(self._leases)
        batch = dispatching.claim(
            self._registrar,
            self._lanes.in_hand(),
            DEPTH,
            self._doubtful,
            self._lease_seconds,
            now,
            besides=self._senders.sealed,
        )
        self._doubtful = None
        self._lanes.forget(batch.claimed)
        for delivery in batch.claimed:
            self._take_in_hand(Held(delivery, start + self._lease_seconds, start))
        self._full = batch.full
        self._look_at = start + _seconds_until_look(batch)
        if len(self._lanes) or self._senders.sealed:
            self._renew_senders()

    def _take_in_hand(self, held: Held) -> None:
        sent = self._sent.get(held.delivery.key)
        if sent is None:
            self._lanes.add(held)
        else:  # the lease lapsed while this process was held up; the attempt has a new one now
            self._sent[held.delivery.key] = replace(sent, delivery=held.delivery)

    def _renew_senders(self) -> None:
        self._renewed_at = -math.inf  # until it is done
        self._lanes.sweep(time.monotonic())
        sealed = self._senders.sealed
        wanted = {lane.webhook_id for lane in self._lanes} | sealed
        targets = dispatching.read_targets(self._registrar, wanted)
        self._senders.renew(targets)
        if any(target.rate_per_second is not None for target in targets.values()):
            self._dispatchers = dispatching.count_dispatchers(self._registrar)
        if sealed - self._senders.sealed:
            self._look_at = 0.0  # what nobody could open may be claimed now
        cancelled = self._list_cancelled()
        unsendable = [
            held
            for lane in self._lanes
            for held in lane.take(lambda delivery: delivery.key in cancelled)
            + self._take_unsendable(lane)
        ]
        self._give_back(unsendable)
        self._renewed_at = time.monotonic()

    def _list_cancelled(self) -> set[int]:
        """Keys of what has waited in hand for a while, and was cancelled meanwhile."""
        before = time.monotonic() - _RENEW_SECONDS
        keys = [each.delivery.key for each in self._lanes.waiting() if each.claimed_at < before]
        return dispatching.list_cancelled(self._registrar, keys) if keys else set()

    def _take_unsendable(self, lane: Lane) -> list[Held]:
        sender = self._senders.get(lane.webhook_id)
        if sender is None:  # not active by now, or sealed with a key that only others have
            return lane.take_stale(math.inf)
        withheld = lane.take_withheld() if sender.target.is_backed_off else []
        return withheld + lane.take_stale(_latest_start(sender))

    def _start(self) -> None:
        """Start what may start, a delivery of each lane in turn."""
        if len(self._lanes) and time.monotonic() - self._renewed_at > _RENEW_SECONDS:
            self._renew_senders()
        started = True
        while started and self._client.free:
            started = False
            for lane in self._lanes:
                if self._client.free and lane.waiting and self._start_one(lane):
                    started = True

    def _start_one(self, lane: Lane) -> bool:
        sender, now = self._senders.get(lane.webhook_id), time.monotonic()
        if sender is None or not self._hosts.has_room(sender.host):
            return False
        if not lane.may_start(sender.target.max_in_flight, now):
            return False
        self._give_back(lane.take_stale(_latest_start(sender)))
        if not lane.waiting:
            return False
        rate = sender.target.rate_per_second
        delivery = lane.start(None if rate is None else rate / self._dispatchers, now)
        self._lanes.had_its_turn(lane)
        self._send(lane, sender, delivery)
        return True

    def _send(self, lane: Lane, sender: Sender, delivery: Claimed) -> None:
        now = datetime.now(UTC)
        self._sent[delivery.key] = Sent(
            delivery, lane, sender.host, sender.target, sender.masks, now
        )
        self._hosts.enter(sender.host)
        try:
            self._client.start(sender.request(delivery, int(now.timestamp())))
        except Exception as exc:  # whatever it is: this delivery's failure, and no other's
            _log.exception("delivery.unsendable", delivery_id=delivery.id)
            self._take(not_sent(delivery.key, exc))

    def _wait(self) -> None:
        """Sleep until an attempt ends, the bell rings, something is due or it is time to stop."""
        now = time.monotonic()
        until = min(self._look_at, self._ask_at, self._straggled_at)
        if self._results:
            until = min(until, self._oldest_result + _RECORD_SECONDS)
        limited = (lane.next_start for lane in self._lanes if lane.waiting)
        until = min([until, *(start for start in limited if start > now)])
        descriptors = (self._stop_descriptor, *self._bell.descriptors())
        if self._advance(max(0.0, until - now), descriptors) or self._has_missed_rings():
            self._look_at = 0.0

    def _has_missed_rings(self) -> bool:
        now = time.monotonic()
        if now < self._ask_at:
            return False
        self._ask_at = now + self._bell.patience
        return self._bell.missed_rings()

    def _advance(self, seconds: float, descriptors: tuple[int, ...]) -> bool:
        """Move requests on and take in what has ended; whether the bell rang."""
        progress = self._client.advance(seconds, descriptors)
        with together():
            for result in progress.results:
                self._take(result)
        self._stopping = self._stopping or self._stop_descriptor in progress.ready
        return bool(progress.ready - {self._stop_descriptor})

    def _take(self, result: Result) -> None:
        sent = self._sent.pop(result.key)
        sent.lane.in_flight -= 1
        self._hosts.leave(sent.host)
        if result.is_untried:
            self._untried[result.key] = sent.delivery.lease
            return
        recorded = record_of(sent, result, random.random())  # noqa: S311 - jitter
        if result.outcome.gone:
            self._gone[sent.target.webhook_id] = sent.target
        if not self._results:
            self._oldest_result = time.monotonic()
        self._results.append(recorded)
        self._observe(result.outcome.name, result.duration_ms / 1000)
        log_attempt(sent, recorded, result.error)

    def _is_time_to_record(self) -> bool:
        if not self._results:
            return False
        waited = time.monotonic() - self._oldest_result
        enough = len(self._results) >= _RECORD_BATCH or waited >= _RECORD_SECONDS
        return enough or not self._sent or bool(self._gone)

    def _record(self) -> None:
        try:
            self._record_all(self._results)
        except UnavailableError:
            raise  # they are kept, and recorded when it is back
        except Exception:  # whatever one of them has must not keep the others from it
            _log.exception("dispatcher.record")
            self._record_singly()
        again = [r.delay_seconds for r in self._results if r.status is DeliveryStatus.PENDING]
        self._look_at = min([self._look_at, *(time.monotonic() + delay for delay in again)])
        self._results, self._gone = [], {}

    def _record_all(self, results: Sequence[Recorded]) -> None:
        now = self._clock.now()
        recording = dispatching.record(self._registrar, results, self._gone, now)
        if recording.has_released:
            self._look_at = 0.0
        if recording.turned:
            self._renewed_at = -math.inf

    def _record_singly(self) -> None:
        for result in self._results:
            try:
                self._record_all([result])
            except UnavailableError:
                raise
            except Exception:  # it is attempted again when its lease has lapsed
                _log.exception("delivery.unrecorded", delivery_key=result.key)

    def _give_back(self, unsent: Iterable[Held]) -> None:
        self._returned |= {held.delivery.key: held.delivery.lease for held in unsent}
        self._settle_returned()

    def _settle_returned(self) -> None:
        """Give back what is to be; it is kept until the database has taken it."""
        if self._returned:
            dispatching.give_back(self._registrar, self._returned, self._clock.now())
            self._returned = {}
            self._look_at = 0.0

    def _finish(self) -> None:
        deadline = time.monotonic() + _FAREWELL_SECONDS
        self._settle({held.delivery.key: held.delivery.lease for held in self._lanes.waiting()})
        while self._sent and (left := deadline - time.monotonic()) > 0:
            self._advance(left, ())
        in_flight = {key: sent.delivery.lease for key, sent in self._sent.items()}
        self._settle(self._returned | self._untried | in_flight)

    def _settle(self, unsent: dict[int, str]) -> None:
        """Record what there is, and give back `unsent` (key to lease)."""
        try:
            if self._results:
                self._record()
            if unsent:
                dispatching.give_back(self._registrar, unsent, self._clock.now())
        except UnavailableError as exc:  # the leases lapse by themselves
            _log.error("dispatcher.database", problem=exc.message)


def _latest_start(sender: Sender) -> float:
    """A lease that ends before (monotonic) does not last for an attempt."""
    return time.monotonic() + sender.target.timeout_seconds + _MARGIN_SECONDS


def _seconds_until_look(batch: Batch) -> float:
    """What is due but found no room is looked for when room is made, not before."""
    wait = batch.seconds_until_due
    seconds = _IDLE_SECONDS if wait is None else min(wait, _IDLE_SECONDS)
    return seconds if batch.claimed else max(seconds, _BREATH_SECONDS)
