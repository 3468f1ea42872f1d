"""Whether files are published with attestations (PEP 740), who signs them, and what stands against it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from relnox import core
from relnox.core.records import replace
from relnox.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from relnox.commands.project import Project
    from relnox.core.manifest import Distribution, Manifest
    from relnox.core.plan import Problem
    from relnox.core.publishers import Policy, Publisher
    from relnox.core.steps import Attest, CheckProvenance, Step

__all__ = ["CHOICES", "HELP", "NOTHING", "Attesting", "look"]

S = TypeVar("S", bound="Step")

CHOICES = ("auto", "required", "best-effort", "off")
HELP = "Whether files go with attestations; auto: required where the job's identity uploads and can sign."
_PATIENCE: dict[Policy, int] = {"required": 3600, "best-effort": 60, "off": 0}
"""Seconds of trouble that signing outlasts: the public service was away for three quarters of an hour."""
_FOR_EACH = 10
"""Seconds more for each file."""


class Attesting(NamedTuple):
    """What is done about attestations.

    Attributes:
        policy: What counts in this run.
        why: Why it is that, where it was not asked for by name; or what is missing.
        publisher: Who signs; None where nobody can.
        problems: What stands against it.
        public: Files that are public already without provenance: they will never have any.
        files: Those that are to be signed.
    """

    policy: Policy = "off"
    why: str = ""
    publisher: Publisher | None = None
    problems: tuple[Problem, ...] = ()
    public: tuple[str, ...] = ()
    files: tuple[Distribution, ...] = ()

    def notes(self) -> Iterator[str]:
        """What a reader should know."""
        if self.why or self.files:
            yield f"attestations: {self.policy}{f' ({self.why})' if self.why else ''}"
        if self.public and not self.problems:
            yield f"public already, and WITHOUT attestations for good: {', '.join(self.public)}"

    def signing(self, index: str, folder: str) -> Iterator[Attest]:
        """The step that signs what is not public yet."""
        if self.files and self.policy != "off":
            yield core.steps.Attest(
                index=index,
                files=self.files,
                folder=folder,
                policy=self.policy,
                publisher=self.publisher,
                deadline=_PATIENCE[self.policy] + _FOR_EACH * len(self.files),
            )

    def attached(self, step: S) -> S:
        """An upload with what attests the file; any other step as it is."""
        if not isinstance(step, core.steps.Upload) or self.policy == "off":
            return step
        needs = ("attest", *step.needs) if self.files else step.needs
        return replace(step, attestations=self.policy, publisher=self.publisher, needs=needs)

    def proof(self, index: str, manifest: Manifest, package: str) -> Iterator[CheckProvenance]:
        """The step that verifies what the index serves of a package."""
        if self.policy != "off":
            yield core.steps.CheckProvenance(
                index=index,
                package=package,
                version=manifest.version(package),
                files=manifest.files_of(package),
                policy=self.policy,
                publisher=self.publisher,
                needs=(f"await {package}",),
            )


NOTHING = Attesting()
"""Files go without attestations."""


def look(  # noqa: PLR0913 - what it depends on
    choice: str,
    index: str,
    missing: Sequence[Distribution],
    public: Mapping[str, Iterable[str]],
    *,
    project: Project,
    folder: Path,
) -> Attesting:
    """What a choice comes to on this machine, for this index.

    Args:
        choice: What was asked for, of `CHOICES`.
        index: Where files go.
        missing: Files of the manifest that are not public yet.
        public: Names of those that are, by package.
        project: The project.
        folder: Where the files are.

    Raises:
        Blocked: The job has an identity that no index takes.
        TransientError: The CI engine does not answer.
    """
    if choice == "off" or (choice == "auto" and not missing):
        return Attesting(why="as it was asked for" if missing else "")
    if (why_not := _why_not(choice, index, missing, project)) is not None:
        return _none(choice, why_not)
    who = _who(index, missing, project, folder) if missing else None
    if isinstance(who, core.plan.Problem):
        return _none(choice, who)
    policy: Policy = "best-effort" if choice == "best-effort" else "required"
    why = "the extra is installed, and the job has an identity" if choice == "auto" else ""
    without = tuple(
        name for package, names in public.items() for name in names if _is_without(project, index, package, name)
    )
    problems = (_too_late(index, without),) if without and policy == "required" else ()
    return Attesting(policy, why, who, problems, without, tuple(missing))


def _why_not(choice: str, index: str, missing: Sequence[Distribution], project: Project) -> Problem | None:
    """What is missing on this machine."""
    from relnox.indexes import attestations, targets

    if missing and not (credentials := project.indexes.credentials(index)).trusted:
        if choice == "auto":
            return core.plan.Problem(code="todo", message="uploads are not by Trusted Publishing", fix="")
        if index in (targets.PRODUCTION, targets.TEST):
            return core.plan.Problem(
                code="todo",
                message=f"{index} takes attestations from trusted publishers alone, not with {credentials.origin}",
                fix="set up Trusted Publishing for the project there, and take the token away",
            )
    if not attestations.is_installed():
        return core.plan.Problem(
            code="todo", message="what signs and verifies attestations is not installed", fix=attestations.INSTALL
        )
    return None


def _who(
    index: str, missing: Sequence[Distribution], project: Project, folder: Path
) -> Publisher | Problem | None:
    """Who signs what goes to an index, or why nobody does; None where everything is signed already."""
    from relnox.executor.attesting import is_attested

    identity = project.indexes.identity(index)
    if isinstance(identity, str):
        if all(is_attested(folder, file, None) for file in missing):
            return None
        return core.plan.Problem(
            code="todo",
            message=f"nobody can sign: {identity}",
            fix="let a job of a CI engine publish, or carry over what it signed, beside the files",
        )
    return core.publishers.of_claims(identity.claims) or core.plan.Problem(
        code="todo",
        message=f"nobody can sign: {identity.told} is no publisher that attestations know",
        fix="they know GitHub, GitLab, Google Cloud and CircleCI",
    )


def _none(choice: str, why: Problem) -> Attesting:
    """No attestations: an error where they are required."""
    if choice == "required":
        return Attesting("required", problems=(why,))
    loudly = "files go WITHOUT: " if choice == "best-effort" else ""
    return Attesting("off", loudly + ": ".join(filter(None, [why.message, why.fix])))


def _too_late(index: str, names: Sequence[str]) -> Problem:
    from relnox.executor.attesting import without_provenance

    error = without_provenance(index, names)
    return core.plan.Problem(code="todo", message=error.message, fix=error.fix or "", exit_code=ExitCode.CONFLICT)


def _is_without(project: Project, index: str, package: str, name: str) -> bool:
    file = project.indexes.seen(index, package).get(name)
    return file is not None and file.provenance is None
