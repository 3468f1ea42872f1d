"""Trusted publishers (PEP 740), as described by the identity tokens of CI providers."""

from __future__ import annotations

import re
from collections.abc import Mapping

from relnox.core.records import Record

ATTESTATION_SUFFIX = ".publish.attestation"
"""The suffix of attestation files, for which twine and PyPI's GitHub action look."""


class Publisher(Record, kw_only=True):
    """A trusted publisher: the `kind` of PEP 740, such as `GitHub`, and the fields that identify it."""

    kind: str
    fields: tuple[tuple[str, str], ...]

    @property
    def as_document(self) -> dict[str, str]:
        """The `publisher` object in provenance."""
        return {"kind": self.kind, **dict(self.fields)}

    @property
    def description(self) -> str:
        """The publisher on one line, such as `GitHub acme/demo, release.yml, environment pypi`."""
        parts = [f"environment {value}" if name == "environment" else value for name, value in self.fields]
        return f"{self.kind} {', '.join(parts)}"


def publisher_from_claims(claims: Mapping[str, str]) -> Publisher | None:
    """Return the publisher that the claims of a job's identity token describe.

    Return None if attestations do not support the CI provider.
    """
    github = re.fullmatch(r"[^/]+/[^/]+/\.github/workflows/([^@]+)@.*", claims.get("workflow_ref", ""))
    gitlab = re.fullmatch(r"[^/]+/.+?//([^@]+)@.*", claims.get("ci_config_ref_uri", ""))
    kind, fields = "Google", {"email": claims.get("email")}
    if github:
        kind, fields = "GitHub", {"repository": claims.get("repository"), "workflow": github[1]}
    elif gitlab:
        kind, fields = "GitLab", {"repository": claims.get("project_path"), "workflow_filepath": gitlab[1]}
    elif (project := claims.get("oidc.circleci.com/project-id")) is not None:
        pipeline = claims.get("oidc.circleci.com/pipeline-definition-id")
        kind, fields = "CircleCI", {"project_id": project, "pipeline_definition_id": pipeline}
    identifying = [(name, value) for name, value in fields.items() if value]
    if len(identifying) < len(fields):
        return None
    if kind in ("GitHub", "GitLab") and (environment := claims.get("environment")):
        identifying.append(("environment", environment))
    return Publisher(kind=kind, fields=tuple(identifying))
