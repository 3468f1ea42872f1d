"""Trusted publishers, as described by provenance (PEP 740) and by the identity tokens of CI providers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from relnox.core.records import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

ATTESTATION_SUFFIX = ".publish.attestation"
"""The suffix of attestation files, for which twine and PyPI's GitHub action look."""

AttestationPolicy = Literal["required", "best-effort", "off"]
"""Whether files are published with attestations."""

_FIELDS_BY_CI_PROVIDER = {
    "GitHub": ("repository", "workflow", "environment"),
    "GitLab": ("repository", "workflow_filepath", "environment"),
    "Google": ("email",),
    "CircleCI": ("project_id", "pipeline_definition_id"),
}
"""Maps each kind of publisher to the fields that identify it, as they are named in provenance."""
_OPTIONAL_FIELD = "environment"
_CASE_INSENSITIVE_FIELDS = ("repository", "email", "environment")


class Publisher(Record, kw_only=True):
    """A trusted publisher: the `kind` of PEP 740, such as `GitHub`, and the fields that identify it."""

    ci_provider: str
    fields: tuple[tuple[str, str], ...]

    @property
    def as_document(self) -> dict[str, str]:
        """The `publisher` object in provenance."""
        return {"kind": self.ci_provider, **dict(self.fields)}

    @property
    def description(self) -> str:
        """The publisher on one line, such as `GitHub acme/demo, release.yml, environment pypi`."""
        parts = [f"environment {value}" if name == _OPTIONAL_FIELD else value for name, value in self.fields]
        return f"{self.ci_provider} {', '.join(parts)}"

    def matches(self, other: Publisher) -> bool:
        """Return whether a job with this publisher is accepted by an index that names the publisher `other`.

        If `other` has no environment, a job with any environment is accepted.
        """
        if self.ci_provider != other.ci_provider:
            return False
        own = dict(self.fields)
        return all(
            own.get(name, "").casefold() == value.casefold()
            if name in _CASE_INSENSITIVE_FIELDS
            else own.get(name) == value
            for name, value in other.fields
        )


def publisher_from_claims(claims: Mapping[str, str]) -> Publisher | None:
    """Return the publisher that the claims of a job's identity token describe.

    Return None if the CI provider is not supported.
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
    return publisher_from_document(document | {"environment": claims.get("environment")})  # where its kind has one


def publisher_from_document(document: Mapping[str, Any]) -> Publisher | None:
    """Return the publisher that the `publisher` object in the provenance of a file describes (PEP 740).

    Return None if its kind is unknown, or identifying fields are missing or invalid.
    """
    ci_provider = str(document.get("kind"))
    names = _FIELDS_BY_CI_PROVIDER.get(ci_provider, ())
    fields = tuple((name, document[name]) for name in names if document.get(name))
    if not names or not {*names} - {_OPTIONAL_FIELD} <= dict(fields).keys():
        return None
    if not all(isinstance(value, str) for _, value in fields):
        return None
    return Publisher(ci_provider=ci_provider, fields=fields)
