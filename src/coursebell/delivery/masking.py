"""What a receiver says is kept for people to read, but not when it repeats what is secret.

A receiver knows its signing secret and the values of a webhook's custom headers, and some echo
whatever they are sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from coursebell.services.headers import MASK

_SHORTEST = 4  # characters; a shorter value hides nothing, and would mask half of every answer
_WORD = 8  # the same for a word of a value, which may be a scheme's name


class Masks:
    """Hides each of `secrets` (visible ASCII), as it is and as JSON would write it.

    The words of a secret too: of `Bearer TOKEN` it is the token that counts.
    """

    __slots__ = ("_written",)

    def __init__(self, secrets: Iterable[str]) -> None:
        whole = {secret for secret in secrets if len(secret) >= _SHORTEST}
        words = {word for secret in whole for word in secret.split() if len(word) >= _WORD}
        long_enough = whole | words
        written = long_enough | {json.dumps(secret)[1:-1] for secret in long_enough}
        written |= {secret.replace("/", r"\/") for secret in written}  # as PHP has it
        self._written = sorted(written, key=len, reverse=True)  # none may hide within another

    def hide(self, text: str) -> str:
        """`text` without any of them; also without the beginning of one that it was cut off in."""
        for secret in self._written:
            text = text.replace(secret, MASK)
        begun = max((_begun(text, secret) for secret in self._written), default=0)
        return text[:-begun] + MASK if begun else text

    def hide_in(self, raw: bytes) -> bytes:
        """The same for bytes, whatever they are."""
        return self.hide(raw.decode("latin-1")).encode("latin-1")


def _begun(text: str, secret: str) -> int:
    """How many characters of `secret` `text` ends with; 0 when they are too few to tell much."""
    longest = min(len(secret) - 1, len(text))
    return next(
        (size for size in range(longest, _SHORTEST - 1, -1) if text.endswith(secret[:size])), 0
    )
