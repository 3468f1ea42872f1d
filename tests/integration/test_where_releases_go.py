"""The index of a release: tags, names, redirects, and missing credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import releases
from acts import redirects
from package_index import PackageIndex, Rule
from projects import commit_all, git, workspace, write
from running import RunResult, run_in_process

if TYPE_CHECKING:
    from pathlib import Path

    from trusting import Trusting

pytestmark = pytest.mark.heavy

CANARY = "canary-0815"


def release(root: Path, settings: str, *versions: str, tags: tuple[str, ...] = ()) -> Path:
    """A repository with a package for each version, its tags, and archives that are built already."""
    names = [f"p{number}" for number in range(len(versions))]
    workspace(root, settings, **dict(zip(names, versions, strict=True)))
    for tag in tags:
        git(root, "tag", tag)
    wheels = [
        releases.made_wheel(root / "dist", name, version=version)
        for name, version in zip(names, versions, strict=True)
    ]
    releases.write_manifest(root, wheels, {}, commit=git(root, "rev-parse", "HEAD"))
    return root


def relnox(root: Path, task: str, *words: str, code: int = 0) -> RunResult:
    return run_in_process(root, task, *words, code=code)


def two(trying: Trusting, shop: Trusting, rules: str) -> str:
    return f"[tool.relnox.targets]\n{rules}\n{trying.settings('trying')}{shop.settings('shop')}"


@pytest.mark.parametrize(
    ("version", "tag", "expected"), [("1.2.3", "p0-v1.2.3", "shop"), ("1.2.3rc1", "p0-v1.2.3-rc.1", "trying")]
)
def test_the_tag_at_the_commit_that_was_built_chooses_the_index(  # noqa: PLR0917
    version: str,
    tag: str,
    expected: str,
    trying: Trusting,
    shop: Trusting,
    tmp_path: Path,
) -> None:
    rules = 'final = "shop"\nprerelease = "trying"'
    root = release(tmp_path / "demo", two(trying, shop, rules), version, tags=(tag,))
    relnox(root, "publish")
    assert {"shop": shop, "trying": trying}[expected].files
    assert not {"shop": trying, "trying": shop}[expected].files


def test_a_production_index_under_a_harmless_name_asks_all_the_same(shop: Trusting, tmp_path: Path) -> None:
    settings = shop.settings("shop", production=True) + shop.settings("trying")
    root = release(tmp_path / "demo", settings, "1.2.3")
    ran = relnox(root, "publish", "--index", "trying", code=1)
    assert "confirmation needed, but stdin is not a terminal: Publish p0 1.2.3 to trying" in ran.err
    assert not shop.hashes
    relnox(root, "publish", "--index", "trying", "--yes")
    assert shop.hashes


def test_the_command_line_wins_over_the_rules(trying: Trusting, shop: Trusting, tmp_path: Path) -> None:
    root = release(tmp_path / "demo", two(trying, shop, 'final = "shop"'), "1.2.3", tags=("v1.2.3",))
    relnox(root, "publish", "--index", "trying")
    assert trying.hashes
    assert not shop.requests


def test_a_release_without_a_tag_or_with_tags_for_two_indexes_goes_nowhere(
    trying: Trusting, shop: Trusting, tmp_path: Path
) -> None:
    rules = two(trying, shop, 'final = "shop"\nprerelease = "trying"')
    root = release(tmp_path / "demo", rules, "1.0", "2.0rc1", tags=("p0-v1.0",))
    ran = relnox(root, "publish", code=1)
    assert "p1 has no tag at the commit that was built" in ran.err
    git(root, "tag", "p1-v2.0rc1")
    ran = relnox(root, "publish", code=1)
    assert "p0-v1.0 to shop, p1-v2.0rc1 to trying" in ran.err
    assert not trying.requests
    assert not shop.requests
    for name in ("p0", "p1"):
        relnox(root, "publish", "--package", name)
    assert (list(shop.hashes), list(trying.hashes)) == (
        ["p0-1.0-py3-none-any.whl"],
        ["p1-2.0rc1-py3-none-any.whl"],
    )


def test_a_tag_at_another_commit_does_not_count(trying: Trusting, shop: Trusting, tmp_path: Path) -> None:
    root = release(tmp_path / "demo", two(trying, shop, 'final = "shop"'), "1.0")
    write(root, {"later.txt": "x"})
    commit_all(root)
    git(root, "tag", "v1.0")
    ran = relnox(root, "publish", code=1)
    assert "p0 has no tag at the commit that was built" in ran.err


@pytest.mark.parametrize("production", [True, False])
def test_publish_test_does_not_follow_a_redirect_to_production(
    production: bool, trying: Trusting, shop: Trusting, tmp_path: Path
) -> None:
    # neither by its name nor under another one, nor by being sent there.
    trying.misbehave(Rule(redirects(308, f"{shop.upload_url}?password={CANARY}")))
    settings = trying.settings("trying") + shop.settings("shop", production=production)
    other = shop.settings("alias").replace("legacy", "another")
    root = release(tmp_path / "demo", settings + other, "1.0")
    ran = run_in_process(root, "publish-test", "--index", "trying", "--no-verify")
    assert ran.code != 0
    assert "redirects uploads to" in ran.err
    assert CANARY not in ran.text
    assert not shop.requests
    if production:
        for name in ("shop", "alias"):
            ran = relnox(root, "publish-test", "--index", name, "--no-verify", code=1)
            assert f"{name} is a production index" in ran.err
        assert not shop.requests


def test_ignored_variables_are_noted_before_any_upload(
    trying: Trusting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWINE_REPOSITORY_URL", "https://elsewhere.example.invalid/legacy/")
    monkeypatch.setenv("UV_PUBLISH_URL", "https://elsewhere.example.invalid/legacy/")
    root = release(tmp_path / "demo", trying.settings("trying"), "1.0")
    ran = relnox(root, "publish", "--index", "trying")
    notes = [line for line in ran.err.splitlines() if line.startswith("note: ")]
    assert notes[0] == f"note: credentials for trying ({urlsplit(trying.upload_url).netloc}): RELNOX_TRYING_TOKEN"
    assert "TWINE_REPOSITORY_URL (elsewhere.example.invalid) is ignored" in notes[1]
    assert "UV_PUBLISH_URL (elsewhere.example.invalid) is ignored" in notes[2]
    assert trying.hashes


def test_a_rule_for_development_versions_is_consent(shop: Trusting, tmp_path: Path) -> None:
    settings = '[tool.relnox.targets]\ndev = "shop"\n' + shop.settings("shop", production=True)
    root = release(tmp_path / "demo", settings, "1.2.4.dev7", tags=("p0-v1.2.4.dev7",))
    ran = relnox(root, "publish", "--yes")
    assert "p0 1.2.4.dev7 is a development version, published to the production index shop" in ran.err
    assert shop.hashes


@pytest.mark.parametrize(
    ("version", "requires", "problem"),
    [
        ("1.0+g27f686d", [], "version 1.0+g27f686d is a local version"),
        ("1.0", ["six @ https://a.invalid/six.whl"], "refers to a URL"),
        ("1.0", ["six @ file:///six.whl"], "refers to a URL"),
    ],
)
def test_a_private_index_takes_what_the_public_one_rejects_unless_it_has_its_rules(
    version: str, requires: list[str], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "a-token")
    wheel = releases.made_wheel(tmp_path / "dist", "demo", version=version, requires=requires)
    with PackageIndex() as index:
        settings = f'[tool.relnox.indexes.own]\nupload = "{index.upload_url}"\nsimple = "{index.simple_url}"\n'
        releases.project_of(tmp_path, wheel, settings=f"{settings}public-rules = true\n")
        ran = run_in_process(tmp_path, "publish", "--index", "own", "--yes", code=1)
        assert f"{problem} (rejected by the public index)" in ran.err
        assert index.uploads == ()
        manifest = releases.project_of(tmp_path, wheel, settings=settings)
        run_in_process(tmp_path, "publish", "--index", "own", "--yes", code=0)
        assert releases.is_whole(index, manifest)
