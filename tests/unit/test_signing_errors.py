"""Errors of the signing service, with what to do about each."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from relnox.indexes import signing

WITHOUT = "publish without attestations: --attestations off (they cannot be added later)"


@pytest.mark.parametrize(
    ("status", "fix"),
    [
        (
            400,
            "check that the CI provider is supported, and that the clock of this machine is correct; or "
            + WITHOUT,
        ),
        (503, WITHOUT),
    ],
)
def test_a_rejected_request_is_reported_with_the_response(status: int, fix: str) -> None:
    error = RuntimeError("rejected")
    error.__cause__ = RuntimeError("the request failed")
    error.__cause__.response = SimpleNamespace(  # type: ignore[attr-defined]
        status_code=status, reason="No", text="not\nnow"
    )

    failure = signing._signing_rejected(error)

    assert failure.message.startswith(f"the signing service rejected the request: {status} No not")
    assert failure.fix == fix


def test_a_request_without_a_response_is_reported_with_the_error() -> None:
    failure = signing._signing_rejected(RuntimeError("no response"))

    assert failure.message == "the signing service rejected the request: no response"
    assert failure.fix == WITHOUT
