"""What to register with an index, so that it trusts the jobs that publish (Trusted Publishing)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import urlencode, urljoin

from relnox.ci import gitlab
from relnox.ci.model import Workflow

PENDING_DAYS = 30
"""How long the public index keeps a publisher of a project that does not exist yet, in days."""
_IDENTITY_FIELDS = {
    "github": ("owner", "repository", "workflow_filename"),
    "gitlab": ("namespace", "project", "workflow_filepath"),
}
"""What the form calls the owner of a repository, its name and the workflow, by forge."""


def publisher_form_url(
    simple_url: str, package: str, forge: str, identity: tuple[str, str, str], environment: str
) -> str:
    """Return the URL of the filled-in form that adds a publisher to a project on the public index.

    Args:
        simple_url: The URL of the simple API of the index.
        package: The project.
        forge: `github` or `gitlab`.
        identity: The owner of the repository, its name and that of the workflow's file.
        environment: The environment of the job that publishes.
    """
    fields = zip(_IDENTITY_FIELDS[forge], identity, strict=True)
    query = {"provider": forge, **dict(fields), "environment": environment}
    return urljoin(simple_url, f"/manage/project/{package}/settings/publishing/?{urlencode(query)}")


def pending_publisher_form_url(simple_url: str) -> str:
    """Return the URL of the empty form for the publisher of a project that the public index does not have yet.

    `simple_url` is the URL of the simple API of the index.
    """
    return urljoin(simple_url, "/manage/account/publishing/")


def publishing_environments(
    workflows: Iterable[Workflow], indexes: Iterable[str], *, on_gitlab: bool
) -> Iterator[tuple[str, str, str]]:
    """Yield a workflow's key, an index and an environment for each publisher to register with an index.

    These are all pairs of a workflow that uses Trusted Publishing and one of `indexes`. The environment is that of
    the job that publishes. If each run chooses it, it has the name of the index, except on GitLab, if an earlier
    job chooses the index: there it is `publish`.
    """
    for workflow in workflows:
        for job in workflow.jobs:
            if any(permission.scope == "id-token" for permission in job.permissions):
                name = gitlab.environment_name(job.environment) if on_gitlab else job.environment
                for index in indexes:
                    is_constant = isinstance(name, str) and not name.startswith("$")
                    yield workflow.key, index, str(name) if is_constant else index
