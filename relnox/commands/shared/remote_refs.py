"""The refs of the remote, as tasks see them before they plan."""

from __future__ import annotations

from relnox.commands.shared.project import Project
from relnox.core.records import Record
from relnox.errors import Blocked, Failed
from relnox.source.git import parse_tags, remotes


class RemoteRefs(Record):
    """The branches and tags of the remote.

    Attributes:
        refs: Maps the full name of each ref to its object; None if they were not read.
        error: Why they could not be read, or None; it is no error if there is no remote.
    """

    refs: dict[str, str] | None = None
    error: str | None = None

    @property
    def tags(self) -> dict[str, str] | None:
        """The commit of each tag."""
        return parse_tags(self.refs) if self.refs is not None else None


def read_remote_refs(project: Project, *, needed_by: str = "") -> RemoteRefs:
    """Ask the remote for its refs, for ten seconds, or as long as it takes if an option needs them.

    Raises:
        Blocked: The refs are needed, and the remote does not exist.
        Failed: The refs are needed, and the remote does not answer.
    """
    git, remote = project.git, project.config.remote
    if git is None:
        return RemoteRefs()
    if remote not in remotes.names(git):
        if not needed_by:
            return RemoteRefs()
        raise Blocked(
            "remote-missing",
            f"git remote {remote} does not exist ({needed_by} needs it)",
            fix=f"git remote add {remote} URL, or set [tool.relnox] remote",
        )
    try:
        return RemoteRefs(remotes.read_refs(git, remote, timeout=None if needed_by else remotes.NETWORK_TIMEOUT))
    except Failed as error:
        if needed_by:
            raise
        return RemoteRefs(error=error.message)
