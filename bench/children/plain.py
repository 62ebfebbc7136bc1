"""The reference of `start`: a FastAPI app of one route with the imports of the product's API."""

from __future__ import annotations

import sys

# what `coursebell api` has imported when it serves, besides its own modules
import argon2
import cryptography.fernet
import email_validator
import fastapi_offline
import idna
import prometheus_client.multiprocess
import pydantic_settings
import rich.console
import sqlalchemy.dialects.postgresql
import sqlalchemy.dialects.sqlite
import structlog
import typer
import uvicorn
from fastapi import FastAPI

__all__ = [
    "argon2",
    "cryptography",
    "email_validator",
    "fastapi_offline",
    "idna",
    "prometheus_client",
    "pydantic_settings",
    "rich",
    "sqlalchemy",
    "structlog",
    "typer",
]

app = FastAPI()


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_config=None, access_log=False)
