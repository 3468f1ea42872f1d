"""Who a job is, by its identity's claims, and whether that is whom provenance names."""

from __future__ import annotations

import pytest

from relnox.core.release import publishers
from relnox.core.release.publishers import Publisher

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
    publisher = publishers.publisher_from_claims(claims)
    assert publisher is not None
    assert publisher.description == description
    assert publishers.publisher_from_document(publisher.as_document) == publisher
    assert publisher.matches(publisher)


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
    assert publishers.publisher_from_claims(claims) is None


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"kind": "own"},
        {"kind": None, "repository": "acme/demo", "workflow": "release.yml"},
        {"kind": "GitHub", "repository": "acme/demo"},
        {"kind": "GitHub", "repository": "acme/demo", "workflow": 1},
        {"kind": "GitHub", "repository": "acme/demo", "workflow": None, "environment": "pypi"},
        {"kind": ["GitHub"]},
    ],
)
def test_provenance_without_identifying_fields_has_no_publisher(document: dict[str, object]) -> None:
    assert publishers.publisher_from_document(document) is None


@pytest.mark.parametrize(
    ("there", "fits"),
    [
        ({"repository": "acme/demo", "workflow": "release.yml"}, True),
        ({"repository": "Acme/Demo", "workflow": "release.yml", "environment": "PyPI"}, True),
        ({"repository": "acme/demo", "workflow": "Release.yml"}, False),
        ({"repository": "acme/demo2", "workflow": "release.yml"}, False),
        ({"repository": "acme/demo", "workflow": "release.yml", "environment": "test"}, False),
    ],
)
def test_an_index_may_leave_the_environment_open_and_spell_names_in_any_case(
    *, there: dict[str, str], fits: bool
) -> None:
    job = publishers.publisher_from_claims(GITHUB)
    named = publishers.publisher_from_document({"kind": "GitHub", "claims": None, **there})
    assert isinstance(job, Publisher)
    assert isinstance(named, Publisher)
    assert job.matches(named) is fits
