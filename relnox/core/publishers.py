"""Who publishes, as provenance names it (PEP 740): what a CI engine says of the job that is running."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from relnox.core.records import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SUFFIX", "Policy", "Publisher", "named", "of_claims"]

SUFFIX = ".publish.attestation"
"""What follows a file's name in that of its attestation; twine and the public index's action look for it."""

Policy = Literal["required", "best-effort", "off"]
"""Whether files go up with attestations: none without one, as many as can be had, or none."""

_FIELDS = {
    "GitHub": ("repository", "workflow", "environment"),
    "GitLab": ("repository", "workflow_filepath", "environment"),
    "Google": ("email",),
    "CircleCI": ("project_id", "pipeline_definition_id"),
}
"""What tells publishers of a kind apart, as provenance spells it."""
_OPTIONAL = "environment"
_ANY_CASE = ("repository", "email", "environment")


class Publisher(Record, kw_only=True):
    """A trusted publisher.

    Attributes:
        ci_provider: `GitHub`, `GitLab`, `Google` or `CircleCI`: the `kind` of PEP 740.
        fields: What tells it from others of its kind.
    """

    ci_provider: str
    fields: tuple[tuple[str, str], ...]

    @property
    def document(self) -> dict[str, str]:
        """The publisher as provenance holds it."""
        return {"kind": self.ci_provider, **dict(self.fields)}

    @property
    def told(self) -> str:
        """The publisher in a line, such as `GitHub acme/demo, release.yml, environment pypi`."""
        parts = [f"environment {value}" if name == _OPTIONAL else value for name, value in self.fields]
        return f"{self.ci_provider} {', '.join(parts)}"

    def fits(self, other: Publisher) -> bool:
        """Whether this job is a publisher that an index names; one without an environment is any environment's."""
        if self.ci_provider != other.ci_provider:
            return False
        own = dict(self.fields)
        return all(
            own.get(name, "").casefold() == value.casefold() if name in _ANY_CASE else own.get(name) == value
            for name, value in other.fields
        )


def of_claims(claims: Mapping[str, str]) -> Publisher | None:
    """The publisher that a job with this identity is; None for an engine that attestations know nothing of.

    Args:
        claims: What the identity token says.
    """
    github = re.fullmatch(r"[^/]+/[^/]+/\.github/workflows/([^@]+)@.*", claims.get("workflow_ref", ""))
    gitlab = re.fullmatch(r"[^/]+/.+?//([^@]+)@.*", claims.get("ci_config_ref_uri", ""))
    document: dict[str, str | None]
    if github and "repository" in claims:
        document = {"kind": "GitHub", "repository": claims["repository"], "workflow": github[1]}
    elif gitlab and "project_path" in claims:
        document = {"kind": "GitLab", "repository": claims["project_path"], "workflow_filepath": gitlab[1]}
    elif (project := claims.get("oidc.circleci.com/project-id")) is not None:
        pipeline = claims.get("oidc.circleci.com/pipeline-definition-id")
        document = {"kind": "CircleCI", "project_id": project, "pipeline_definition_id": pipeline}
    else:
        document = {"kind": "Google", "email": claims.get("email")}
    return named({**document, "environment": claims.get("environment")})  # where its kind has one


def named(document: Mapping[str, Any]) -> Publisher | None:
    """The publisher that provenance names; None for one of another kind, or without what tells it from others.

    Args:
        document: The `publisher` of an attestation bundle.
    """
    ci_provider = document.get("kind")
    fields = tuple((name, document[name]) for name in _FIELDS.get(str(ci_provider), ()) if document.get(name))
    whole = {name for name in _FIELDS.get(str(ci_provider), ()) if name != _OPTIONAL}
    if not whole or not whole <= dict(fields).keys() or not all(isinstance(value, str) for _, value in fields):
        return None
    return Publisher(ci_provider=str(ci_provider), fields=fields)
