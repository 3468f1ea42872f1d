"""`ci --publishers` lists what to register; the name of a workflow that publishes does not change by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from package_index import serving
from projects import git, repository, single, write
from running import open_project, run_in_process

from relnox.ci.publishers import publisher_form_url
from relnox.commands import ci
from relnox.indexes import targets

if TYPE_CHECKING:
    from pathlib import Path

FILE = ".github/workflows/release.yml"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project whose remote is on GitHub."""
    root = repository(single(tmp_path / "demo"))
    git(root, "remote", "set-url", "origin", "git@github.com:acme/tools.git")
    for step in ci._requirement_lock_steps(open_project(root)):  # locking needs an index that has relnox
        write(root, {step.file: step._header_comment})
    return root


def test_the_publishers_of_an_index_are_listed_with_what_its_form_asks(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as index:
        monkeypatch.setattr(targets, "_public_upload_urls", lambda: {"pypi": index.upload_url})
        monkeypatch.setattr(targets, "_public_simple_url", lambda _: index.simple_url)
        monkeypatch.setattr(targets, "TEST", "pypi")
        text = run_in_process(root, "ci", "--publishers", code=0).text
        assert "demo     pypi   acme   tools       release.yml  pypi         pending publisher" in text
        assert "/manage/account/publishing/" in text
        assert "remove a pending publisher that is not used within 30 days" in text


@pytest.mark.parametrize(
    ("forge", "query"),
    [
        ("github", {"owner": "acme", "repository": "tools", "workflow_filename": "release.yml"}),
        ("gitlab", {"namespace": "acme", "project": "tools", "workflow_filepath": "release.yml"}),
    ],
)
def test_the_form_of_a_project_is_filled_in(forge: str, query: dict[str, str]) -> None:
    identity = "acme", "tools", "release.yml"
    address = urlsplit(publisher_form_url("https://index.example/simple/", "demo", forge, identity, "pypi"))
    assert (address.netloc, address.path) == ("index.example", "/manage/project/demo/settings/publishing/")
    values = {name: value for name, (value,) in parse_qs(address.query).items()}
    assert values == {"provider": forge, "environment": "pypi", **query}


def test_a_publishing_workflow_is_not_renamed_by_itself(root: Path) -> None:
    run_in_process(root, "ci", code=0)
    git(root, "add", "--all")
    git(root, "mv", FILE, ".github/workflows/publish.yml")
    ran = run_in_process(root, "ci", code=1)
    assert f"not writing {FILE}: the workflow .github/workflows/publish.yml exists" in ran.text
    assert "[workflow-conflict]" in ran.text
    assert not (root / FILE).exists()
    git(root, "rm", "--force", "--quiet", ".github/workflows/publish.yml")
    run_in_process(root, "ci", code=0)
    assert (root / FILE).exists()
