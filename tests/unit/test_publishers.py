"""Who a job is, by the claims of its identity."""

from __future__ import annotations

import pytest

from relnox.core.release import publication

GITHUB = {
    "iss": "https://token.actions.githubusercontent.com",
    "repository": "acme/demo",
    "workflow_ref": "acme/demo/.github/workflows/release.yml@refs/tags/v1.0",
    "environment": "pypi",
}
GITLAB = {
    "project_path": "acme/tools/demo",
    "ci_config_ref_uri": "gitlab.com/acme/tools/demo//ci/release.yml@refs/heads/main",
}
CIRCLE = {"oidc.circleci.com/project-id": "4711", "oidc.circleci.com/pipeline-definition-id": "0815"}


@pytest.mark.parametrize(
    ("claims", "description"),
    [
        (GITHUB, "GitHub acme/demo, release.yml, environment pypi"),
        ({**GITHUB, "environment": ""}, "GitHub acme/demo, release.yml"),
        (GITLAB, "GitLab acme/tools/demo, ci/release.yml"),
        ({**GITLAB, "environment": "pypi"}, "GitLab acme/tools/demo, ci/release.yml, environment pypi"),
        ({"email": "release@acme.example"}, "Google release@acme.example"),
        (CIRCLE, "CircleCI 4711, 0815"),
    ],
)
def test_the_publisher_of_a_job_follows_from_its_claims(claims: dict[str, str], description: str) -> None:
    publisher = publication.publisher_from_claims(claims)
    assert publisher is not None
    assert publisher.description == description


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"sub": "organization:acme:pipeline:demo", "organization_slug": "acme"},
        {"repository": "acme/demo"},
        {"workflow_ref": GITHUB["workflow_ref"]},
        {"repository": "acme/demo", "workflow_ref": "release.yml"},
        {"project_path": "acme/demo", "ci_config_ref_uri": "gitlab.com/acme/demo"},
        {"oidc.circleci.com/project-id": "4711"},
    ],
)
def test_a_job_of_an_unsupported_ci_provider_has_no_publisher(claims: dict[str, str]) -> None:
    assert publication.publisher_from_claims(claims) is None
