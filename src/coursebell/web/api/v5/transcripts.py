"""Transcripts: all that a user took, with attempts, grades and dates."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from coursebell.domain.transcripts import TranscriptView
from coursebell.services import transcripts
from coursebell.web.answers import listed
from coursebell.web.auth import Learner
from coursebell.web.documents import ListDocument
from coursebell.web.fields import Choice, ListQuery, PathId
from coursebell.web.openapi import UNKNOWN, shows
from coursebell.web.record_documents import TranscriptEntryDocument, transcript_entry_document
from coursebell.web.routes import ApiRoute

router = APIRouter(
    prefix="/api/v5/users/{user_id}/transcript", route_class=ApiRoute, tags=["transcripts"]
)


class TranscriptQuery(ListQuery):
    view: Annotated[TranscriptView | None, Choice(TranscriptView)] = None


@router.get("", **shows(ListDocument[TranscriptEntryDocument], *UNKNOWN))
async def list_transcript(
    request: Request, user_id: PathId, caller: Learner, query: Annotated[TranscriptQuery, Query()]
) -> Response:
    """Every registration of a user, oldest first; or of each course the best, or the latest."""
    view = query.view or TranscriptView.ALL
    found = await caller.run(transcripts.list_transcript, user_id, view, query.page)
    return listed(request, query.page, found, transcript_entry_document)
