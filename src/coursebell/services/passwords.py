"""Password hashes: argon2id with the library's current parameters (RFC 9106)."""

from argon2 import PasswordHasher

_hasher = PasswordHasher()


def hash_password(password: str) -> str:
    """Takes tens of milliseconds and 64 MB by design: never call it inside a transaction."""
    return _hasher.hash(password)
