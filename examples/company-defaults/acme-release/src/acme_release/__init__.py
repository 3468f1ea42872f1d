"""Release sessions of Acme's repositories: relnox's, with the company's defaults."""

from __future__ import annotations

import nox

from relnox import sessions

__all__ = ["register"]

DEFAULTS = {
    "bump": {"part": "minor", "commit": True, "tag": True},
    "build-all": {"strict": True, "output": "artifacts"},
    "publish": {"dist": "artifacts", "attestations": "auto"},
    "verify-install": {"dist": "artifacts", "wait": 600},
}


def register() -> None:
    """Register the sessions in the noxfile that calls it."""
    sessions.add("status", "bump", "build-all", "publish", "verify-install", defaults=DEFAULTS)
    nox.session(preview, python=False, default=False)


def preview(session: nox.Session) -> None:
    """Show what the next release would change."""
    outcome = sessions.run(session, "bump", **{**DEFAULTS["bump"], "dry_run": True})
    session.log(f"{len(outcome.plan.steps)} steps")
