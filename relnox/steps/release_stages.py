"""The stages of a release that know when they are done, what they send, and when to ask."""

from __future__ import annotations

from relnox.building.archives import hash_file, is_file_inside
from relnox.core.planning.step import Step
from relnox.core.release.manifest import MANIFEST_JSON
from relnox.core.text import format_count
from relnox.errors import Problem
from relnox.source.git import find_repository
from relnox.steps.built_archives import read_manifest_if_valid
from relnox.steps.run import Run
from relnox.steps.stages import Stage, StageRunner, as_later_error, checkout_directory


class SendingStage(Stage):
    """A stage that makes something public: tags, files or a release page."""

    remote = True
    makes_public = True


class BuildStage(Stage):
    """Build the packages of a commit, unless the directory has their complete build already.

    A second build may differ from the first one, whose files may be public.

    Attributes:
        packages: The packages that the build must have.
        directory: The directory with the manifest, relative to the root.
        commit: The commit or tag to build; None for HEAD.
    """

    packages: tuple[str, ...]
    directory: str
    commit: str | None = None

    def done(self, run: Run) -> str | None:
        """Skip the build if the directory has a complete one of the commit."""
        root = checkout_directory(run)
        directory, git = root / self.directory, find_repository(root)
        commit = git.resolve_commit(self.commit or "HEAD") if git is not None else None
        manifest = read_manifest_if_valid(directory)
        if manifest is None or manifest.dirty or manifest.missing or commit is None or manifest.commit != commit:
            return None
        if not set(self.packages) <= set(manifest.packages):
            return None
        for file in manifest.distributions:
            path = directory / file.filename
            if not is_file_inside(directory, path) or hash_file(path).sha256 != file.sha256:
                return None
        files = format_count(len(manifest.distributions), "file")
        return f"{self.directory}/{MANIFEST_JSON} has the build of {commit[:10]}: {files} with these hashes"


class Gate(Step, key="gate"):
    """Plan the stages that make something public, and ask for confirmation before the first of them.

    Attributes:
        stages: The stages that make something public.
        yes: Whether the command line has confirmed it.
        purpose: What the gate does, for people.
    """

    runs_task = True
    stages: tuple[Stage, ...]
    yes: bool
    purpose: str = ""

    @property
    def title(self) -> str:
        return "gate: check what becomes public" + (", confirmed by --yes" if self.yes else ", and ask")

    def apply(self, run: Run) -> str:
        """Ask, and return what was confirmed.

        Raises:
            Problem: One of the stages is blocked, or the user declined.
        """
        runner = run.result(StageRunner)
        assert runner is not None  # noqa: S101 - a value of every run
        try:
            plans = [runner.plan(stage, checkout_directory(run)) for stage in self.stages]
            pushed = [step.title for plan in plans for step in plan.steps if step.remote and step.upload is None]
            questions = [plan.consent for plan in plans if plan.consent is not None]
            first = [f"{title[0].upper()}{title[1:]}." for title in dict.fromkeys(pushed)]
            if not self.yes and (first or questions):
                runner.confirm(" ".join([*first, *(questions or ["Continue?"])]))
        except Problem as error:
            raise as_later_error(error, run) from None
        if self.yes:
            return "confirmed by --yes"
        return "confirmed" if first or questions else "nothing is left to be made public"
