"""`forge-release` on fake forges: the release of a tag, its files, and everything that goes wrong on the way."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from fake_forge import DROP, Asset, GitHubServer, GitLabServer, Reply, remote_on_forge
from markdown_it import MarkdownIt
from package_index import PackageIndex
from projects import commit_all, git, remote_of, repository, write
from releases import made_sdist, made_wheel, write_manifest
from running import run_in_process

from relnox.commands import options_by_table
from relnox.commands.shared.forge_releases import forge_release_problems
from relnox.project import open_project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fake_forge import ForgeServer, Release
    from releases import SimulatedClock
    from running import RunResult

    from relnox.core.release.manifest import Manifest

CHANGELOG = """\
# Changelog

## [Unreleased]

## [1.1.0] - 2026-11-20

### Added

- Something new, see [the docs][docs] and @maintainer

## [1.0.0] - 2026-01-01

- Start

[docs]: https://example.org/docs
"""
OWN_DRAFT = "<!-- relnox: release v1.1.0 -->\nSomething new"
DRAFT = "https://github.com/acme/demo/releases/1"
NAMES = ("SHA256SUMS", "manifest.json")


class World:
    """A tagged project whose build is public on an index, with its remote on a forge."""

    def __init__(self, root: Path, index: PackageIndex) -> None:
        self.root, self.index = root, index
        self.forge: ForgeServer
        self.manifest: Manifest

    def settings(self, text: str = "") -> None:
        write(
            self.root,
            {
                "pyproject.toml": '[project]\nname = "demo"\nversion = "1.1.0"\n\n[tool.relnox]\n'
                f'targets = {{ "*" = "own" }}\n{text}\n[tool.relnox.indexes.own]\n'
                f'upload = "{self.index.upload_url}"\nsimple = "{self.index.simple_url}"\n'
            },
        )

    def build(self, version: str = "1.1.0", tag: str = "") -> None:
        """Commit, tag and push a version, and put its files on the index."""
        file = self.root / "pyproject.toml"
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace('version = "1.1.0"', f'version = "{version}"'), encoding="utf-8")
        git(self.root, "commit", "--quiet", "--allow-empty", "--all", "--message", f"Release {version}")
        tag = tag or f"v{version}"
        git(self.root, "tag", tag)
        git(self.root, "push", "--quiet", "origin", "main", tag)
        paths = [
            made_wheel(self.root / "dist", "demo", version=version),
            made_sdist(self.root / "dist", "demo", version=version),
        ]
        commit = git(self.root, "rev-parse", "HEAD")
        self.manifest = write_manifest(self.root, paths, {"demo": ()}, commit=commit)
        self.index.add(*paths)

    def run(self, *options: str, code: int | None = 0) -> RunResult:
        ran = run_in_process(self.root, "forge-release", *options, code=code)
        assert "Traceback" not in ran.err, ran.text
        return ran

    @property
    def release(self) -> Release:
        """The only release."""
        (release,) = self.forge.releases
        return release

    def content(self, name: str) -> str:
        (content,) = {asset.content for asset in self.forge.assets if asset.name == name}
        return content.decode()

    def is_released(self, names: tuple[str, ...] = NAMES) -> None:
        """Check that there is one public release with the right notes and files, and that it is the latest."""
        release = self.release
        assert not release.draft
        assert self.forge.latest == release.id
        assert release.body.count("pip install") == 1
        assert release.body.count("Something new") == 1
        files = release.assets if isinstance(self.forge, GitHubServer) else self.forge.assets
        assert {file.name for file in files} == set(names)
        if isinstance(self.forge, GitHubServer):
            assert len(files) == len(names)
        else:
            assert release.links.keys() == set(names)
        for file in files:
            if (path := self.root / "dist" / file.name).suffix in (".whl", ".gz"):
                assert file.content == path.read_bytes()
        sums = {file.filename: file.sha256 for file in self.manifest.distributions}
        assert self.content("SHA256SUMS") == "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))


@contextmanager
def opened(kind: type[ForgeServer], root: Path, index: PackageIndex, patch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world on a forge, with a simulated clock."""
    write(root, {"CHANGELOG.md": CHANGELOG, ".gitignore": "/dist/\n", "demo.py": ""})
    world = World(root, index)
    world.settings()
    repository(root)
    git(root, "tag", "v1.0.0")
    git(root, "push", "--quiet", "origin", "v1.0.0")
    world.forge = kind(remote_of(root))
    with remote_on_forge(world.forge, root, patch.setenv):
        world.build()
        yield world


@pytest.fixture(params=[GitHubServer, GitLabServer], ids=["github", "gitlab"])
def world(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    index: PackageIndex,
    clock: SimulatedClock,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    with opened(request.param, tmp_path / "demo", index, monkeypatch) as world:
        yield world


@pytest.fixture
def github(
    tmp_path: Path, index: PackageIndex, clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    with opened(GitHubServer, tmp_path / "demo", index, monkeypatch) as world:
        yield world


@pytest.fixture
def gitlab(
    tmp_path: Path, index: PackageIndex, clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    with opened(GitLabServer, tmp_path / "demo", index, monkeypatch) as world:
        yield world


def test_a_tag_is_released_with_notes_and_files(world: World) -> None:
    ran = world.run()
    world.is_released()
    body = world.release.body
    assert "[docs]: https://example.org/docs" in body
    assert "/compare/v1.0.0...v1.1.0" in body
    assert f"pip install --index-url {world.index.simple_url} demo==1.1.0" in body
    assert world.release.name == "demo 1.1.0"
    assert "release pages" in ran.out.lower()
    changes = world.forge.changes
    again = world.run()
    assert world.forge.changes == changes
    assert "SKIPPED publish release demo 1.1.0" in again.err
    world.is_released()


def test_all_files_are_attached_and_sha256sum_accepts_them(world: World, tmp_path: Path) -> None:
    world.settings('forge-release.assets = "all"')
    world.run()
    names = tuple(file.filename for file in world.manifest.distributions)
    world.is_released((*names, *NAMES))
    for asset in world.forge.assets:
        (tmp_path / asset.name).write_bytes(asset.content)
    checked = subprocess.run(
        ["sha256sum", "--check", "SHA256SUMS"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert checked.stdout.count(": OK") == len(names)
    assert json.loads(world.content("manifest.json"))["commit"] == git(world.root, "rev-parse", "HEAD")


# --- which release is the latest


@pytest.mark.parametrize(
    ("version", "latest", "prerelease"),
    [("2.0.0", True, False), ("1.0.5", False, False), ("1.2.0rc1", False, True), ("1.1.0.post1", True, False)],
)
def test_only_the_highest_final_version_is_the_latest_release(
    github: World, version: str, latest: bool, prerelease: bool
) -> None:
    github.run()
    first = github.forge.latest
    github.settings()
    github.build(version)
    github.run()
    release = github.forge.releases[-1]
    assert (release.name, release.prerelease, release.draft) == (f"demo {version}", prerelease, False)
    assert github.forge.latest == (release.id if latest else first)
    assert "/compare/v1.0.0...v1.0.5" in release.body or version != "1.0.5"


def test_packages_with_tags_of_their_own_have_releases_of_their_own(github: World) -> None:
    names = ("acme-api", "acme-core")
    settings = 'versions = "independent"\ntag-format = "{name}/v{version}"\n'
    monorepo(github, names, settings, {"acme-api": "acme-api/v1.1.0", "acme-core": "acme-core/v1.1.0"})
    github.run()
    assert [release.name for release in github.forge.releases] == ["acme-api 1.1.0", "acme-core 1.1.0"]
    assert github.forge.latest == 0
    for release, name in zip(github.forge.releases, names, strict=True):
        assert f"{name}==1.1.0" in release.body
        (sums,) = (asset.content.decode() for asset in release.assets if asset.name == "SHA256SUMS")
        assert sums.count("\n") == 1
        assert name.replace("-", "_") in sums
    github.run("--package", "acme-api")
    assert len(github.forge.releases) == 2


def test_the_settings_name_the_package_whose_release_is_the_latest(github: World) -> None:
    settings = 'versions = "independent"\ntag-format = "{name}-v{version}"\nforge-release.latest = "acme-core"\n'
    monorepo(
        github,
        ("acme-api", "acme-core"),
        settings,
        {"acme-api": "acme-api-v1.1.0", "acme-core": "acme-core-v1.1.0"},
    )
    github.run()
    assert github.forge.latest == next(
        release.id for release in github.forge.releases if release.name == "acme-core 1.1.0"
    )


def test_packages_in_lockstep_have_one_release(world: World) -> None:
    monorepo(world, ("acme-api", "acme-core"), 'versions = "lockstep"\n', {"acme-api": "v1.1.0"})
    world.run()
    release = world.release
    assert release.name == "1.1.0"
    assert "| acme-api | `pip install" in release.body
    assert "| acme-core | `pip install" in release.body
    assert world.content("SHA256SUMS").count("\n") == 2
    assert world.forge.latest == release.id
    assert "tag v1.1.0 is of acme-core as well" in world.run("--package", "acme-api", code=1).err


def test_a_tag_with_slashes_and_many_files(world: World) -> None:
    names = tuple(f"acme-{number}" for number in range(40))
    settings = 'versions = "lockstep"\ntag-format = "release/{version}"\nforge-release.assets = "all"\n'
    monorepo(world, names, settings, {"acme-0": "release/1.1.0"})
    world.run()
    assert world.release.tag == "release/1.1.0"
    assert len({asset.name for asset in world.forge.assets}) == 42
    changes = world.forge.changes
    world.run()
    assert world.forge.changes == changes


def test_a_floating_tag_has_no_release(github: World) -> None:
    github.settings()
    github.build("2.0.0")
    git(github.root, "tag", "v2")
    git(github.root, "push", "--quiet", "origin", "v2")
    github.run("--release-tag", "v2.0.0")
    assert [release.tag for release in github.forge.releases] == ["v2.0.0"]
    assert "/compare/v1.1.0...v2.0.0" in github.release.body


def test_obstacles_are_known_before_the_tag_is_pushed(world: World) -> None:
    with open_project(world.root, options_by_table) as project:
        assert list(forge_release_problems(project, {"v9.0": None})) == []
        assert [problem.code for problem in forge_release_problems(project, {"v9.0": "1" * 40})] == [
            "release-not-tagged"
        ]
    assert len(world.forge.requests) <= 4
    world.forge.may_write = False
    with open_project(world.root, options_by_table) as project:
        assert [problem.code for problem in forge_release_problems(project, {"v9.0": None})] == ["forge-rejected"]
    assert world.forge.changes == 0


def monorepo(world: World, names: tuple[str, ...], settings: str, tags: dict[str, str]) -> None:
    """Turn the project into a workspace that is built and public, with these tags."""
    git(world.root, "tag", "--delete", "v1.0.0", "v1.1.0")
    git(world.root, "push", "--quiet", "--delete", "origin", "v1.0.0", "v1.1.0")
    world.settings(f'packages = ["acme-*"]\n{settings}')
    file = world.root / "pyproject.toml"
    file.write_text("[tool.relnox]" + file.read_text(encoding="utf-8").partition("[tool.relnox]")[2], "utf-8")
    for name in names:
        write(world.root, {f"{name}/pyproject.toml": f'[project]\nname = "{name}"\nversion = "1.1.0"\n'})
    commit = commit_all(world.root)
    for tag in tags.values():
        git(world.root, "tag", tag)
    git(world.root, "push", "--quiet", "origin", "main", *tags.values())
    paths = [made_wheel(world.root / "dist", name, version="1.1.0") for name in names]
    world.manifest = write_manifest(world.root, paths, dict.fromkeys(names, ()), commit=commit)
    world.index.add(*paths)


# --- notes


def test_notes_are_the_commits_since_the_previous_tag(world: World) -> None:
    world.settings('forge-release.notes = "commits"')
    git(world.root, "commit", "--quiet", "--all", "--message", "fix: thank @octocat for <b>that</b> & #12\n\nMore")
    world.build("1.2.0")
    world.run()
    body = world.release.body
    assert "- fix: thank @<!-- -->octocat for \\<b\\>that\\</b\\> \\& #12 (" in body
    assert "Release 1.1.0" not in body
    assert "/compare/v1.1.0...v1.2.0" in body


def test_notes_are_generated_with_an_explicit_previous_tag(world: World) -> None:
    world.settings('forge-release.notes = "generated"')
    world.build("1.2")
    world.run()
    assert "v1.1.0" in world.release.body.partition("**All changes**")[0]


def test_a_changelog_in_restructuredtext_is_converted(github: World) -> None:
    entry = "- Something new in :func:`~demo.greet` (`#7 <https://example.org/7>`_)"
    text = f"Changes\n=======\n\n1.1.0\n-----\n\n{entry}\n"
    git(github.root, "mv", "CHANGELOG.md", "CHANGES.rst")
    write(github.root, {"CHANGES.rst": text})
    commit_all(github.root)
    git(github.root, "tag", "--force", "v1.1.0")
    git(github.root, "push", "--quiet", "--force", "origin", "main", "v1.1.0")
    paths = [github.root / "dist" / file.filename for file in github.manifest.distributions]
    write_manifest(github.root, paths, {"demo": ()}, commit=git(github.root, "rev-parse", "HEAD"))
    github.run()
    assert "- Something new in `greet` ([\\#7](https://example.org/7))" in github.release.body.replace(
        "[#7]", "[\\#7]"
    )


def test_a_version_without_a_section_lists_commits(world: World) -> None:
    world.settings()
    world.build("1.3.0")
    ran = world.run()
    assert "no changelog has a section of v1.3.0" in ran.err
    assert "First release" not in world.release.body


def test_the_first_release_says_so(world: World) -> None:
    git(world.root, "tag", "--delete", "v1.0.0")
    git(world.root, "push", "--quiet", "--delete", "origin", "v1.0.0")
    world.run("--notes", "generated")
    assert "First release." in world.release.body


def test_notes_that_are_too_long_are_cut_at_an_entry(github: World) -> None:
    entry = f"- {'many words ' * 20}\n"
    write(github.root, {"CHANGELOG.md": f"# Changelog\n\n## 1.2.0\n\n{entry * 1000}\n## 1.1.0\n\n- Old\n"})
    commit_all(github.root)
    github.settings()
    github.build("1.2.0")
    github.run()
    body = github.release.body
    assert 120_000 < len(body) <= github.forge.max_body
    notes = body.partition("_Shortened")[0].strip().split("\n")
    assert notes[-1] == entry.strip()
    assert "[v1.1.0...v1.2.0](https://github.com/acme/demo/compare/v1.1.0...v1.2.0)" in body


# --- releases that people made


def test_a_release_that_a_person_published_gets_instructions_once(world: World) -> None:
    release = world.forge.release("v1.1.0", "Thank you all!\r\n\r\n--\r\nMe", prerelease=True)
    for _ in range(2):
        world.run()
        assert world.release is release
        assert release.body.startswith("Thank you all!")
        assert release.body.count("### Installation") == 1
        assert (release.prerelease, release.name) == (True, "v1.1.0")
    assert {asset.name for asset in world.forge.assets} == set(NAMES)
    assert world.forge.latest == 0


def test_text_that_a_person_edited_stays(world: World) -> None:
    world.run()
    world.release.body = world.release.body.replace("Something new", "Edited").replace("demo==1.1.0", "demo")
    world.run()
    assert "Edited" in world.release.body
    assert world.release.body.count("demo==1.1.0") == 1


def test_an_immutable_release_takes_instructions_only(github: World) -> None:
    release = github.forge.release("v1.1.0", "By hand", immutable=True)
    ran = github.run(code=4)
    assert "[forge-release-immutable]" in ran.err
    assert 'assets = "none"' in ran.err
    github.run("--assets", "none")
    assert release.body.count("### Installation") == 1
    assert release.assets == []


def test_an_own_immutable_release_is_complete_and_takes_no_more(github: World) -> None:
    github.forge.is_immutable = True
    assert "to verify it: gh release verify v1.1.0" in github.run().err
    github.is_released()
    changes = github.forge.changes
    github.run()
    assert "immutable, and lacks demo-1.1.0" in github.run("--assets", "all", code=4).err
    assert github.forge.changes == changes


def test_a_tag_of_a_deleted_immutable_release_cannot_be_used(github: World) -> None:
    github.forge.reserved_tags = {"v1.1.0"}
    ran = github.run(code=4)
    assert "cannot be used again [forge-release-immutable]" in ran.err
    assert "release a higher version" in ran.err


@pytest.mark.parametrize("by_hand", [True, False], ids=["by hand", "by a later run"])
def test_a_draft_is_left_to_a_person_and_shows_no_tasks_when_it_is_public(github: World, by_hand: bool) -> None:
    github.settings('check.manual = [{ title = "Tell all", when = "after" }]')
    github.run("--draft")
    release = github.release
    assert "- [ ] Tell all (after publishing)\n" in release.body
    assert (release.draft, github.forge.latest) == (True, 0)
    release.body = release.body.replace("Something new", "Something new, edited")
    if by_hand:
        release.draft = False
        assert "stays a draft" not in github.run("--draft").err
    else:
        github.run()
        assert github.forge.latest == release.id
    assert (release.draft, len(release.assets)) == (False, 2)
    shown = MarkdownIt().render(release.body)
    assert re.sub("<!--.*?-->", "", shown, flags=re.DOTALL).lstrip().startswith("<h3>Added</h3>")
    assert "Something new, edited" in shown


# --- GitHub's traps


def test_empty_duplicate_drafts_are_deleted_and_the_oldest_stays(github: World) -> None:
    drafts = [github.forge.release("v1.1.0", OWN_DRAFT, draft=True) for _ in range(3)]
    other = github.forge.release("v1.0.0", OWN_DRAFT, draft=True)
    github.run()
    assert github.forge.releases == [drafts[0], other]
    assert not drafts[0].draft


def test_a_second_draft_with_files_is_named_and_stays(github: World) -> None:
    first = github.forge.release("v1.1.0", OWN_DRAFT, draft=True)
    second = github.forge.release("v1.1.0", OWN_DRAFT, draft=True)
    second.assets.append(Asset(99, "SHA256SUMS", b"other"))
    ran = github.run(code=4)
    assert f"releases/{second.id}" in ran.err
    assert github.forge.releases == [first, second]
    assert first.draft


@pytest.mark.parametrize("complete", [True, False])
def test_a_release_that_another_job_publishes_meanwhile_is_completed(github: World, complete: bool) -> None:
    def publish() -> None:
        (draft,) = github.forge.releases
        assets = [Asset(90 + number, file.name, file.content) for number, file in enumerate(draft.assets)]
        github.forge.release("v1.1.0", draft.body, assets=assets if complete else [])

    forge = github.forge
    forge.meanwhile["PATCH /releases/1$"] = publish
    ran = github.run(code=3)
    assert "another job published a release of v1.1.0 first" in ran.err
    assert f"delete the draft by hand: {DRAFT}" in ran.err
    draft, published = forge.releases
    assert draft.draft
    assert f"delete its draft by hand: {DRAFT}" in github.run().err
    assert {asset.name for asset in published.assets} == set(NAMES)
    assert published.body.count("### Installation") == 1


def test_a_broken_upload_is_removed_and_repeated(github: World) -> None:
    github.forge.broken_uploads = 2
    github.run()
    github.is_released()
    assert all(asset.state == "uploaded" for asset in github.release.assets)


def test_a_duplicate_that_appears_later_is_deleted(github: World) -> None:
    def draft_again() -> None:
        github.forge.release("v1.1.0", OWN_DRAFT, draft=True)

    github.forge.meanwhile["POST /releases/1/assets"] = draft_again
    github.run()
    github.is_released()


def test_a_listing_that_is_late_makes_no_second_draft(github: World) -> None:
    github.forge.meanwhile["POST /releases$"] = lambda: setattr(github.forge, "unlisted", 3)
    github.run()
    github.is_released()


def test_the_release_is_found_among_many(github: World) -> None:
    github.run()
    for number in range(250):
        github.forge.release(f"nightly-{number}")
    changes = github.forge.changes
    github.run()
    assert github.forge.changes == changes


def test_another_file_of_a_draft_is_replaced_and_that_of_a_public_release_is_not(github: World) -> None:
    draft = github.forge.release("v1.1.0", OWN_DRAFT, draft=True)
    draft.assets.append(Asset(99, "SHA256SUMS", b"other"))
    github.run()
    assert github.content("SHA256SUMS") != "other"
    sums = next(asset for asset in draft.assets if asset.name == "SHA256SUMS")
    sums.content = b"other"
    ran = github.run(code=4)
    assert "another file SHA256SUMS" in ran.err
    assert sums.content == b"other"


# --- what blocks it


def test_archives_to_attach_are_compared_first(world: World) -> None:
    (world.root / "dist" / world.manifest.distributions[0].filename).write_bytes(b"other")
    assert "[archive-changed]" in world.run("--assets", "all", code=4).err
    assert world.forge.changes == 0
    world.run()


def test_a_tag_that_the_remote_has_on_another_commit_blocks(world: World) -> None:
    git(world.root, "push", "--quiet", "--force", "origin", "v1.0.0:refs/tags/v1.1.0")
    assert "[tag-exists]" in world.run(code=4).err
    assert world.forge.changes == 0


def test_gitlab_has_no_drafts(gitlab: World) -> None:
    ran = gitlab.run("--draft", code=1)
    assert "fix: remove --draft; or [tool.relnox.forge-release] draft = false" in ran.err


def test_an_administrator_of_gitlab_has_no_role(gitlab: World) -> None:
    assert isinstance(gitlab.forge, GitLabServer)
    gitlab.forge.states_role = False
    gitlab.run()
    gitlab.is_released()


def test_the_token_of_a_gitlab_job_may_release(gitlab: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITLAB_TOKEN")
    monkeypatch.setenv("CI_JOB_TOKEN", gitlab.forge.token)
    gitlab.run()
    gitlab.is_released()
    assert all("JOB-TOKEN" in request.headers for request in gitlab.forge.requests)


# --- interrupted


@pytest.mark.heavy
@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("failure", ["rejected", "lost"])
def test_a_run_that_fails_at_any_request_is_finished_by_the_same_command(
    world: World, failure: str, stored: bool
) -> None:
    reply = DROP if failure == "lost" else Reply(400, {"message": "Bad"})
    world.run()
    requests = len(world.forge.requests)
    assert requests > 8
    for number in range(requests):
        world.forge.releases.clear()
        world.forge.assets.clear()
        world.forge.latest = 0
        world.forge.requests.clear()
        world.forge.fail("", reply, stored=stored, skip=number)
        ran = world.run(code=None)
        assert ran.code == 0 or failure == "rejected", ran.text
        world.forge.faults.clear()
        world.run()
        world.is_released()


@pytest.mark.heavy
@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("number", range(28))
def test_a_run_that_is_killed_at_any_request_is_finished_by_the_same_command(
    world: World, number: int, stored: bool
) -> None:
    words = ["forge-release", "--project", str(world.root)]
    world.forge.kill_at_request(number, words, stored=stored)
    world.run()
    world.is_released()


@pytest.mark.heavy
def test_two_runs_at_once_make_one_release(world: World) -> None:
    words = [sys.executable, "-m", "relnox", "forge-release", "--project", str(world.root)]
    runs = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(2)]
    outputs = [run.communicate(timeout=300)[0].decode() for run in runs]
    assert all("Traceback" not in output for output in outputs), outputs
    world.run()
    world.is_released()
