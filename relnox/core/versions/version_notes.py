"""Messages that explain how a new version follows from the present version and the requested bump."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.versions.requested_bump import LEVELS
from relnox.core.versions.semver_compat import format_version, semver_inversion
from relnox.core.versions.versioning import parse

if TYPE_CHECKING:
    from packaging.version import Version

    from relnox.core.versions.requested_bump import Bump
    from relnox.core.versions.semver_compat import Scheme


def normalization_note(text: str, *, scheme: Scheme = "pep440") -> str | None:
    """Return a message if a version will be written in another form than now, or else None.

    An example is `1.2.3-alpha.1 is normalized to 1.2.3a1`; with the scheme `semver`, it is the other way round.

    Raises:
        Blocked: The text is not a version of PEP 440.
    """
    normalized = format_version(parse(text), scheme)
    if normalized == text:
        return None
    return f"{text if text == text.strip() else repr(text)} is normalized to {normalized}"


def explain(current: Version, bump: Bump, after: Version, *, scheme: Scheme = "pep440") -> str:
    """Return a message that explains how the new version follows from the request; empty if that is obvious.

    Args:
        current: The version before the bump.
        bump: The requested bump.
        after: The new version, which `versioning.next_version` returned.
        scheme: The scheme passed to `next_version`.
    """
    notes = []
    is_new_release = after.release != current.release
    if bump.to is None and is_new_release and bump.part not in LEVELS:
        implied = "the next calendar version" if scheme == "calver" else "patch"
        kind = "final version" if current.post is None else "post release"
        notes.append(f"{bump.pre or bump.part} on a {kind} implies {implied}")
    elif bump.part in LEVELS and is_new_release and scheme == "calver":
        notes.append(f"{bump.part} means the next calendar version")
    elif bump.part in LEVELS and not is_new_release:
        verb = "finishes" if bump.pre is None else "continues"
        notes.append(
            f"{bump.part} {verb} this prerelease of {after.base_version}; to bump further: --always-increment"
        )
    if current.local is not None:
        notes.append(f"the local segment +{current.local} is dropped")
    if scheme == "semver" and (warning := semver_inversion(current, after)) is not None:
        notes.append(warning)
    return "; ".join(notes)
