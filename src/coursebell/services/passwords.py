"""Password hashes: argon2id with the library's current parameters (RFC 9106)."""

import threading

from argon2 import PasswordHasher

_hasher = PasswordHasher()
_at_once = threading.BoundedSemaphore(2)  # 64 MB each: more would only queue for the same cores


def hash_password(password: str) -> str:
    """Takes tens of milliseconds and 64 MB by design: never call it inside a transaction."""
    with _at_once:
        return _hasher.hash(password)
