"""The attestations of a release (PEP 740): whether files are signed, by whom, and what prevents it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relnox import core, steps
from relnox.core.planning.step import after
from relnox.core.records import replace
from relnox.steps import attest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relnox.commands.options import PublishingOptions
    from relnox.commands.publish.index_state import IndexState
    from relnox.commands.shared.project import Project
    from relnox.core.problems import Problem
    from relnox.core.release.manifest import Distribution
    from relnox.core.release.publishers import AttestationPolicy, Publisher

_RETRY_TIME: dict[AttestationPolicy, int] = {"required": 3600, "best-effort": 60, "off": 0}
"""How long to retry signing, in seconds, by policy; the public service was once unavailable for 45 minutes."""
_TIME_PER_FILE = 10
"""The additional time to sign one file, in seconds."""


class AttestationPlan(NamedTuple):
    """How a run handles attestations.

    Attributes:
        policy: Whether files are signed, and whether the run fails if that is impossible.
        reason: Why this policy applies; empty if the option names it or if nothing is to be said.
        publisher: The identity that signs; None if it is unknown or if no files are signed.
        problems: The problems that block publishing.
        public: Names of public files without provenance, to which no attestations can be added.
        files: The files to sign.
    """

    policy: AttestationPolicy = "off"
    reason: str = ""
    publisher: Publisher | None = None
    problems: tuple[Problem, ...] = ()
    public: tuple[str, ...] = ()
    files: tuple[Distribution, ...] = ()

    def notes(self) -> Iterator[str]:
        """Yield notes on the policy, and on public files without provenance."""
        if self.reason or self.files:
            yield f"attestations: {self.policy}{f' ({self.reason})' if self.reason else ''}"
        if self.public and not self.problems:
            yield f"already public WITHOUT attestations, which cannot be added: {', '.join(self.public)}"

    def sign_step(self, index: str, directory: str) -> steps.Attest | None:
        """Return the step that signs the files in a directory, or None if no files are to be signed."""
        if not self.files or self.policy == "off":
            return None
        return steps.Attest(
            index=index,
            files=self.files,
            directory=directory,
            policy=self.policy,
            publisher=self.publisher,
            deadline=_RETRY_TIME[self.policy] + _TIME_PER_FILE * len(self.files),
        )

    def with_attestation(self, step: steps.Upload) -> steps.Upload:
        """Return a copy of an upload step that uploads the attestation of the file as well."""
        if self.policy == "off":
            return step
        return replace(step, attestations=self.policy, publisher=self.publisher)

    def provenance_steps(self, listing: steps.AwaitIndex) -> Iterator[steps.CheckProvenance]:
        """Yield a step that verifies the provenance of a package after `listing`, unless attestations are off."""
        if self.policy != "off":
            yield steps.CheckProvenance(
                index=listing.index,
                package=listing.package,
                version=listing.version,
                files=listing.files,
                policy=self.policy,
                publisher=self.publisher,
                needs=after(listing),
            )


NO_ATTESTATIONS = AttestationPlan()


def plan_attestations(options: PublishingOptions, state: IndexState, project: Project) -> AttestationPlan:
    """Decide how this run handles attestations for an index.

    Raises:
        Blocked: The job has an identity that indexes reject.
        TransientError: The CI provider does not respond.
    """
    choice, missing = options.attestations, state.missing
    if choice == "off" or (choice == "auto" and not missing):
        return AttestationPlan(reason="--attestations off" if missing else "")
    if (obstacle := _find_obstacle(choice, state, project)) is not None:
        return _without_attestations(choice, obstacle)
    signer = _find_signer(state, project, project.root / options.dist) if missing else None
    if isinstance(signer, core.problems.Problem):
        return _without_attestations(choice, signer)
    policy: AttestationPolicy = "best-effort" if choice == "best-effort" else "required"
    reason = "relnox[attest] is installed, and the job has an identity" if choice == "auto" else ""
    without = tuple(
        name
        for package, names in state.hashes.items()
        for name in names
        if (file := project.indexes.cached_listing(state.name, package).get(name)) is not None
        and file.provenance is None
    )
    problems: tuple[Problem, ...] = ()
    if without and policy == "required":
        problems = (core.problems.Problem.from_error(attest.missing_provenance_error(state.name, without)),)
    return AttestationPlan(policy, reason, signer, problems, without, missing)


def _find_obstacle(choice: str, state: IndexState, project: Project) -> Problem | None:
    """Return a problem if the credentials or a missing extra of relnox prevent attestations, otherwise None."""
    from relnox.indexes import attestations, targets

    index = state.name
    if state.missing and not (credentials := project.indexes.credentials(index)).uses_oidc:
        if choice == "auto":
            message = "uploads do not use Trusted Publishing"
            return core.problems.Problem(code="signing-unavailable", message=message, fix="")
        if index in (targets.PRODUCTION, targets.TEST):
            return core.problems.Problem(
                code="signing-unavailable",
                message=f"{index} accepts attestations only with Trusted Publishing, not with "
                f"{credentials.origin}",
                fix=f"set up Trusted Publishing for the project on {index}, and remove the token",
            )
    if not attestations.is_installed():
        return core.problems.Problem(
            code="build-requirement-missing",
            message="the packages that sign attestations are not installed",
            fix=attestations.INSTALL,
        )
    return None


def _find_signer(state: IndexState, project: Project, directory: Path) -> Publisher | Problem | None:
    """Return who signs the files, or the problem that prevents it; None if all files are already signed."""
    identity = project.indexes.identity(state.name)
    if isinstance(identity, str):
        if all(attest.has_valid_attestation(directory, file, None) for file in state.missing):
            return None
        return core.problems.Problem(
            code="identity-missing",
            message=f"files cannot be signed: {identity}",
            fix="publish from a CI provider that issues identity tokens, or copy the attestations that a job made "
            "next to the files",
        )
    return core.publishers.publisher_from_claims(identity.claims) or core.problems.Problem(
        code="identity-missing",
        message=f"files cannot be signed: attestations do not support the identity {identity.description}",
        fix="publish from GitHub, GitLab, Google Cloud or CircleCI",
    )


def _without_attestations(choice: str, obstacle: Problem) -> AttestationPlan:
    """Return a plan without attestations, which is blocked by the obstacle if attestations are required."""
    if choice == "required":
        return AttestationPlan("required", problems=(obstacle,))
    emphasis = "publishing WITHOUT attestations: " if choice == "best-effort" else ""
    return AttestationPlan("off", emphasis + ": ".join(filter(None, [obstacle.message, obstacle.fix])))
