"""What to register with an index, so that it trusts the jobs that publish (Trusted Publishing)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal
from urllib.parse import urlencode, urljoin

from relnox.ci import gitlab
from relnox.ci.model import Workflow
from relnox.core.records import Record

PENDING_DAYS = 30
"""How long the public index keeps a publisher of a project that does not exist yet, in days."""


class Publisher(Record, kw_only=True):
    """A publisher: the identity that an index accepts for a project.

    Attributes:
        forge: The forge of the repository.
        owner: Its owner, or the group with its parents.
        repository: The name of the repository.
        workflow: The name of the workflow file on GitHub, its path on GitLab.
        environment: The environment of the job that publishes.
        package: The project on the index.
        index: The name of the index.
        exists: Whether the index has the project.
    """

    forge: Literal["github", "gitlab"]
    owner: str
    repository: str
    workflow: str
    environment: str
    package: str
    index: str
    exists: bool

    def form(self, simple_url: str) -> str:
        """Return the address of the form of an index at its simple URL, filled in unless the project is new."""
        if not self.exists:
            return urljoin(simple_url, "/manage/account/publishing/")
        names = ("owner", "repository", "workflow_filename")
        if self.forge == "gitlab":
            names = ("namespace", "project", "workflow_filepath")
        values = (self.owner, self.repository, self.workflow)
        query = {"provider": self.forge, **dict(zip(names, values, strict=True)), "environment": self.environment}
        return urljoin(simple_url, f"/manage/project/{self.package}/settings/publishing/?{urlencode(query)}")


def publishing_environments(
    workflows: Iterable[Workflow], indexes: Iterable[str], *, on_gitlab: bool
) -> Iterator[tuple[str, str, str]]:
    """Yield each workflow with an identity, with an index and the environment for it.

    An environment that is not the same in all runs has the name of the index.
    """
    for workflow in workflows:
        for job in workflow.jobs:
            if any(permission.scope == "id-token" for permission in job.permissions):
                name = gitlab.environment_name(job.environment) if on_gitlab else job.environment
                for index in indexes:
                    is_constant = isinstance(name, str) and not name.startswith("$")
                    yield workflow.key, index, str(name) if is_constant else index
