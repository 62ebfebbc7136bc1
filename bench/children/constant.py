"""The reference of `api`: the same route in FastAPI as usual, which answers at once.

The body is checked as the product checks it, by a pydantic model with the same fields; nobody is
authenticated and nothing is stored.
"""

from __future__ import annotations

import sys
import time
from decimal import Decimal
from typing import Annotated, Literal

from fastapi import FastAPI, Response
from pydantic import BaseModel, ConfigDict, Field

from bench.children.serving import serve
from bench.children.talk import hear

app = FastAPI()


class Completion(BaseModel):
    model_config = ConfigDict(extra="forbid")

    grade: Annotated[Decimal | None, Field(ge=0, le=100)] = None
    source: Literal["SELF", "ADMIN"] | None = None
    override: bool = False
    reason: Annotated[str | None, Field(max_length=1_000)] = None


@app.post("/api/v5/registrations/{registration_id}/complete", status_code=204)
async def complete(registration_id: str, body: Completion) -> Response:
    return Response(status_code=204)


def main() -> int:
    hear()
    serve(app, lambda: {"cpu": time.process_time()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
