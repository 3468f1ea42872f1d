"""The refs of the remote, as tasks see them before they plan."""

from __future__ import annotations

from relnox.commands.shared.project import Project, RemoteRefs
from relnox.errors import Blocked, Failed
from relnox.source.git import remotes


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
