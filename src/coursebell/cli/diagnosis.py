"""What ails a receiver that takes nothing, by how it met the first genuine delivery."""

from __future__ import annotations

from coursebell.domain import retry
from coursebell.domain.retry import Outcome

HOW_TO_ALLOW = (
    "To allow it: --allow NETWORK, such as 127.0.0.0/8, or COURSEBELL_ALLOWED_NETWORKS, which the "
    "dispatcher needs as well."
)

_WITHOUT_STATUS = {
    retry.BLOCKED_ADDRESS: HOW_TO_ALLOW,
    retry.CONNECT: "Nothing answers there. Is the receiver running, and is it the right port?",
    retry.DNS: "The name does not resolve. Try it from this machine.",
    retry.TLS: "No TLS connection, or its certificate is not accepted. An authority of your own: "
    "COURSEBELL_CA_FILE.",
    retry.TIMEOUT: "No answer in time. It must answer within the timeout, which --timeout sets: "
    "store the event, answer, and work afterwards.",
    retry.BAD_RESPONSE: "What came back is no whole answer of HTTP. Does it answer at all, and is "
    "it the right port? See its log.",
    retry.REDIRECT: "It redirects, and redirects are not followed. Give the address that it leads "
    "to; a scheme or a slash at the end is often all that differs.",
}

_REFUSED = (
    "It refuses a genuine delivery. Does it have this secret, and does it verify the raw body, not "
    "one that was parsed and written again? Or does a gateway, or protection against CSRF, want a "
    "header? --header NAME:VALUE."
)
_GATEWAY = (
    "A gateway answers in the receiver's place. Is the receiver behind it running, and fast enough?"
)
_BY_STATUS = {
    400: _REFUSED,
    401: _REFUSED,
    403: _REFUSED,
    404: "It has nothing at this path. Give the path where it takes deliveries.",
    405: "It does not take this method at this path. Is the path right? --method sets POST or PUT, "
    "as the webhook has it.",
    410: "It says that it is gone for good: that would disable the webhook at once. Is the path "
    "right? Answer 410 only to end a webhook.",
    429: "It says that it is called too often, at a first delivery. Does something before it limit "
    "the rate? Try again later.",
    502: _GATEWAY,
    503: "It says that it cannot answer now. Is it overloaded, or still starting? Try again later.",
    504: _GATEWAY,
}
_OTHER_REFUSAL = (
    "It refuses a genuine delivery, but not as one refuses a signature. See its log for what it "
    "does not like; the body is application/json."
)
_ITS_ERROR = "An error of its own, in the receiver. See its log."


def diagnosis(outcome: Outcome) -> str:
    """What to look at after a genuine delivery that ended with this, and not with a 2xx."""
    if outcome.name in _WITHOUT_STATUS:  # whatever status came before an answer broke off
        return _WITHOUT_STATUS[outcome.name]
    status = outcome.status_code or 0
    return _BY_STATUS.get(status, _OTHER_REFUSAL if status < 500 else _ITS_ERROR)
