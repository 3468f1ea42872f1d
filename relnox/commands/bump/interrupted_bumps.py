"""Bumps whose edits are made and not committed: by an interrupted run, or by one without `--commit`.

The plan is that of the files of HEAD, so that the same command makes the missing edits and no others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from relnox.commands.bump.project_state import Observation
from relnox.commands.bump.snapshot import NewBump
from relnox.commands.options import BumpOptions as Options
from relnox.commands.shared.project import Project
from relnox.core import records
from relnox.core.planning.changes import Edit
from relnox.core.text import join_names
from relnox.source import file_edits


def edited_files(edits: Sequence[Edit], checkout: Project) -> tuple[str, ...]:
    """Return the files that have their new content already."""
    return tuple(edit.file for edit in edits if file_edits.are_applied(checkout.root, (edit,)))


def is_interrupted(edits: Sequence[Edit], edited: Collection[str], checkout: Project, options: Options) -> bool:
    """Return whether edits are those of an earlier run: some are made, and their files have no other changes.

    With `--again`, the edits of a finished bump without a commit are not, since another one is wanted.
    """
    if not edited or file_edits.changed_files(checkout.root, edits) or checkout.git is None:
        return False
    if options.again and not options.commit and len(edited) == len(edits):
        return False
    # What is staged must be the content of HEAD or that of the file.
    options_of_diff = ("--name-only", "--no-renames", "--relative")
    staged_files = set(checkout.git.read_entries("diff", "--cached", *options_of_diff))
    if not staged_files.isdisjoint(edit.file for edit in edits):
        staged_files &= set(checkout.git.read_entries("diff", *options_of_diff))
    return staged_files.isdisjoint(edit.file for edit in edits)


def without_edits(observation: Observation, edited: Collection[str]) -> Observation:
    """Return the state of the project without the changes that an earlier run made."""
    state = observation.state
    if state is None:
        return observation
    changed_files = tuple(name for name in state.changed_files if name not in edited)
    untracked_files = tuple(name for name in state.untracked_files if name not in edited)
    replace = records.replace
    return replace(observation, state=replace(state, changed_files=changed_files, untracked_files=untracked_files))


def notes(new: NewBump, options: Options) -> Iterator[str]:
    """Yield a note on the edits that are made already."""
    if new.edited_files and len(new.edited_files) == len(new.edits) and not options.commit:
        yield "already done: the files have their new versions; to bump once more: --again --allow-dirty"
    elif new.edited_files:
        yield f"going on with an earlier run, which has edited {join_names(new.edited_files)}"
