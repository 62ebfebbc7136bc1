"""Encryption at rest of webhook secrets and custom header values."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from coursebell.errors import ConfigurationError, SealError


class Seal:
    """Seals and opens small secrets: the first key seals, all of them open.

    Fernet (AES-128-CBC with HMAC-SHA256) under keys derived by HKDF-SHA256 from the texts given,
    so that any long random text serves as COURSEBELL_SECRET_KEY.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise ConfigurationError("COURSEBELL_SECRET_KEY must name at least one key.")
        fernets = [Fernet(_derive(key)) for key in keys]
        self._first, self._fernet = fernets[0], MultiFernet(fernets)

    def seal(self, secret: bytes) -> bytes:
        return self._fernet.encrypt(secret)

    def is_current(self, sealed: bytes) -> bool:
        """Whether the first key opens it, and so alone would do."""
        try:
            self._first.decrypt(sealed)
        except InvalidToken:
            return False
        return True

    def open(self, sealed: bytes) -> bytes:
        """Raise `SealError` when no key fits."""
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken as exc:
            raise SealError from exc


def _derive(key: str) -> bytes:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"coursebell seal 1")
    return base64.urlsafe_b64encode(derived.derive(key.encode()))


def key_file_of(database: Path) -> Path:
    """Where the key of an SQLite database lies when no setting names one."""
    return database.with_name(database.name + ".key")


def read_or_make_key_file(path: Path) -> str:
    """The key in `path`; made, readable by its owner only, when there is none.

    Two processes that start at once agree: the file appears whole or not at all. Raises
    `ConfigurationError` when the file cannot be made or read, or is damaged.
    """
    try:
        if not path.exists():
            _make_key_file(path)
        key = path.read_text().strip()
    except FileNotFoundError as exc:
        raise ConfigurationError(f"There is no directory {path.parent}; make it first.") from exc
    except OSError as exc:
        raise ConfigurationError(f"The key file {path} cannot be used: {exc.strerror}.") from exc
    if len(key) < 32:
        raise ConfigurationError(f"The key file {path} is damaged; restore it from a backup.")
    return key


def _make_key_file(path: Path) -> None:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
