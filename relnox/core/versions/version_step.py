"""The computation of the next version: what each part of a bump request means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import Version

from relnox.core.records import Record
from relnox.core.versions.requested_bump import ANY_LEVEL, ANY_PHASE, LETTERS, LEVELS
from relnox.core.versions.version_counting import PATCH
from relnox.errors import Blocked

if TYPE_CHECKING:
    from relnox.core.versions.requested_bump import Bump, Phase
    from relnox.core.versions.version_counting import LevelCounting

PHASES: dict[str, Phase] = {letter: phase for phase, letter in LETTERS.items()}
_ORDER = tuple(PHASES)
_FIRST = 1
"""The number of the first post release and of the first dev release."""


def _final_version(version: Version, release: tuple[int, ...] | None = None) -> Version:
    """Return the final version of `release`, by default the version's own: without pre, post and dev segments."""
    return Version.from_parts(epoch=version.epoch, release=version.release if release is None else release)


def _leads_to_final(version: Version) -> bool:
    """Return whether the final version of this release comes later, which is not so for 1.2.3.post1.dev1."""
    return version.pre is not None or (version.dev is not None and version.post is None)


class VersionStep(Record):
    """The computation of one version.

    Attributes:
        version: The present version, without a local segment.
        bump: The requested bump.
        counting: How releases and prereleases are numbered.
        start: The number of the first alpha, beta or rc.
    """

    version: Version
    bump: Bump
    counting: LevelCounting
    start: int

    def result(self) -> Version:
        """Return the version that the requested bump leads to."""
        match self.bump.part:
            case "major" | "minor" | "patch" as level:
                return self._level(LEVELS.index(level))
            case "release":
                return self._release()
            case "pre" if self.version.pre is not None:
                return self._enter(self.version.pre[0])
            case "pre" | None:
                return self._enter(self._letter())
            case "phase":
                return self._phase()
            case "post":
                return self._post()
            case "dev":
                return self._dev()

    def _letter(self) -> str:
        """Return the letter of the requested phase; raise `Blocked` if none was requested."""
        if self.bump.pre is None:
            raise self._not_possible("is not an alpha, beta or rc", f"choose a phase: {ANY_PHASE}")
        return LETTERS[self.bump.pre]

    def _level(self, level: int) -> Version:
        """Bump a level, or finish the prerelease that leads to it or to a higher one."""
        version, pre = self.version, self.bump.pre
        if (
            not self.bump.always_increment
            and _leads_to_final(version)
            and self.counting.reaches(version.release, level)
        ):
            return _final_version(version) if pre is None else self._enter(LETTERS[pre])
        raised = self._raised(level)
        return raised if pre is None else self._started(raised, LETTERS[pre])

    def _release(self) -> Version:
        """Return the final version that a prerelease or a dev release leads to; drop `.dev` of a post release."""
        if _leads_to_final(self.version):
            return _final_version(self.version)
        if self.version.dev is not None:
            return self.version.__replace__(dev=None)
        raise self._not_possible("is already final", f"to bump it: {ANY_LEVEL}")

    def _enter(self, letter: str) -> Version:
        """Continue a phase, or start it; after a final version, start it for the next patch."""
        version = self.version
        if not _leads_to_final(version):
            return self._started(self._raised(PATCH), letter)
        if version.pre is None:
            return self._started(_final_version(version), letter)
        present = version.pre[0]
        if letter == present:
            return _final_version(version).__replace__(pre=self._continued(version.pre))
        if _ORDER.index(letter) < _ORDER.index(present):
            raise self._not_possible(
                f"is past {PHASES[letter]}",
                f"to continue its phase: --part pre; to start the next patch: "
                f"--part patch --pre {PHASES[letter]} --always-increment",
            )
        return self._started(_final_version(version), letter)

    def _phase(self) -> Version:
        """Start the next phase; after the last phase, return the final version."""
        version = self.version
        if not _leads_to_final(version):
            raise self._not_possible("is not an alpha, beta or rc", f"start a phase: {ANY_PHASE}")
        later = _ORDER if version.pre is None else _ORDER[_ORDER.index(version.pre[0]) + 1 :]
        return self._started(_final_version(version), later[0]) if later else _final_version(version)

    def _post(self) -> Version:
        """Return the next post release, or the one that a dev release of it leads to."""
        version = self.version
        if version.dev is not None and version.post is None:
            raise self._not_possible(
                "is a dev release (it has no post releases)", "--part release, then --part post"
            )
        if version.pre is not None and not self.bump.always_increment:
            raise self._not_possible(
                "is a prerelease (its post releases need --always-increment)",
                "for the next prerelease: --part pre; for a post release: --part post --always-increment",
            )
        if version.post is None:
            return version.__replace__(post=_FIRST)
        is_pending = version.dev is not None and not self.bump.always_increment
        return version.__replace__(post=version.post if is_pending else version.post + 1, dev=None)

    def _dev(self) -> Version:
        """Return the next dev release: of the same version, the next prerelease, or the next patch."""
        version, number = self.version, self.bump.number
        if version.dev is not None:
            following = self.counting.prerelease(version.dev, used=True) if number is None else number
            return version.__replace__(dev=following)
        first = _FIRST if number is None else number
        if version.pre is not None:
            return _final_version(version).__replace__(pre=self._continued(version.pre), dev=first)
        return self._raised(PATCH).__replace__(dev=first)

    def _raised(self, level: int) -> Version:
        """Return the next final version at a level."""
        return _final_version(self.version, self.counting.raised(self.version.release, level))

    def _started(self, final: Version, letter: str) -> Version:
        """Return the first version of a phase that leads to a final version."""
        return final.__replace__(pre=(letter, self.start))

    def _continued(self, pre: tuple[str, int]) -> tuple[str, int]:
        """Return the letter and the number of the phase's next release.

        If the present version is a dev release of a prerelease, that prerelease is the next one.
        """
        letter, number = pre
        is_pending = self.version.dev is not None and self.version.post is None
        return letter, self.counting.prerelease(number, used=not is_pending)

    def _not_possible(self, why: str, fix: str) -> Blocked:
        """Return the error for a bump that is not possible from the present version."""
        return Blocked("bump-not-possible", f"{self.version} {why}", fix=fix)
