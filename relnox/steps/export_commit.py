"""Export the commit to build."""

from __future__ import annotations

from pathlib import Path

from relnox.core.planning.step import Step
from relnox.core.records import Record, replace
from relnox.errors import Failed
from relnox.source.copies import copy_of
from relnox.steps.run import Run


class BuildSource(Record, kw_only=True):
    """The source of a build: an exported commit, or the working tree.

    Attributes:
        directory: The project's directory in the source.
        commit: The full commit id, or None for the working tree.
        export: The directory of the exported commit; the project's directory may be a subdirectory of it.
        tracked: The files of the commit, relative to the project's directory, sorted.
    """

    directory: Path
    commit: str | None = None
    export: Path | None = None
    tracked: tuple[str, ...] | None = None


class GeneratedFiles(Record, kw_only=True):
    """The files that a hook generated before the build, relative to the project's directory."""

    files: tuple[str, ...]


def generated_files(run: Run) -> set[str]:
    """Return the files that hooks generated, relative to the project's directory."""
    return {name for generated in run.results(GeneratedFiles) for name in generated.files}


def source_to_build(run: Run) -> BuildSource:
    """Return the source that a run builds: the exported commit with generated files, or the working tree."""
    source = run.result(BuildSource) or BuildSource(directory=run.root)
    generated = generated_files(run)
    if source.tracked is None or not generated:
        return source
    return replace(source, tracked=tuple(sorted({*source.tracked, *generated})))


class Export(Step, kw_only=True):
    """Export a commit to a scratch directory, so that only committed files are built.

    Attributes:
        commit: The full commit id.
    """

    key = "export"
    exclusive = True
    concurrent = True
    commit: str

    @property
    def title(self) -> str:
        return f"export commit {self.commit[:10]} (without uncommitted changes)"

    def apply(self, run: Run) -> BuildSource:
        export = run.scratch / "source"
        copy = copy_of(run.checkout, self.commit, export)
        return BuildSource(directory=copy.root, commit=self.commit, export=export, tracked=copy.tracked_files())

    def verify(self, run: Run, result: BuildSource) -> str:
        del run
        if not result.directory.is_dir():
            raise Failed(
                "tree-dirty",
                f"the project directory is not in commit {self.commit[:10]}",
                fix="commit the project: git add . && git commit",
            )
        return f"exported {self.commit[:10]}"
