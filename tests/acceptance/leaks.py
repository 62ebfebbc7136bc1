"""Every secret that an installation has made, and the places where none of them may turn up."""

from __future__ import annotations

import base64
from collections.abc import Iterable


class Secrets:
    """Those known so far, as they are and as others would write them."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._written = list(dict.fromkeys(form for each in secrets for form in _forms(each)))

    def found_in(self, content: str | bytes) -> list[str]:
        raw = content.encode() if isinstance(content, str) else content
        return [form for form in self._written if form.encode() in raw]


def _forms(secret: str) -> list[str]:
    """Without its prefix too, and as base64, where that does not depend on what stands before."""
    bare = secret.removeprefix("whsec_")
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    raw = [] if bare == secret else [base64.b64decode(bare).hex()]
    return list(dict.fromkeys([secret, bare, encoded, secret[::-1], *raw]))
