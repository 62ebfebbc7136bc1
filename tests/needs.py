"""What is missing skips a test on a laptop and fails it in CI: green never means not run."""

import os

import pytest

IN_CI = os.environ.get("CI") == "true"


def require(what: str, present: object) -> None:
    """Go on when `present` is true; otherwise skip the test, or fail it when CI=true."""
    __tracebackhide__ = True
    if present:
        return
    if IN_CI:
        pytest.fail(f"CI needs {what}", pytrace=False)
    pytest.skip(f"needs {what}")
