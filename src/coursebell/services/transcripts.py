"""Transcripts: what a learner took, and with which results."""

from __future__ import annotations

from coursebell.domain.lists import Page, Slice
from coursebell.domain.model import Actor, Role
from coursebell.domain.transcripts import TranscriptEntry, TranscriptView, transcript_of
from coursebell.errors import NotFoundError
from coursebell.services.registrar import Registrar
from coursebell.storage import people, registrations


def list_transcript(
    registrar: Registrar, actor: Actor, user_id: str, view: TranscriptView, page: Page
) -> Slice[TranscriptEntry]:
    """Oldest first; of deleted users too. Raises `NotFoundError`, also for another learner's."""
    if not (actor.is_at_least(Role.INSTRUCTOR) or actor.is_self(user_id)):
        raise NotFoundError
    with registrar.database.snapshot() as tx:
        if people.find_person(tx, actor.organization_id, user_id) is None:
            raise NotFoundError
        taken = registrations.list_taken(tx, actor.organization_id, user_id)
    entries = transcript_of(taken, view)
    shown = entries[page.offset : page.offset + page.limit]
    return Slice(shown, more=len(entries) > page.offset + page.limit)
