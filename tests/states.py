"""States in which a command has a problem, by the code of the problem: real checkouts, archives and indexes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import acts
import pytest
from backends import READING
from fake_forge import Asset, GitHubServer, remote_on_forge
from package_index import FILE, JSON_PAGE, LISTING, PackageIndex, Rule
from projects import commit_all, git, remote_of, repository, shell, single, write
from releases import SimulatedClock, made_wheel, project_of
from running import open_project
from trusting import certificate

from relnox.commands import ci
from relnox.run_files import lock_checkout
from relnox.source.git.repository import Git
from relnox.system import retries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Make = Callable[["World"], str]

BUMP = "bump --part minor"
RELEASE = f"{BUMP} --commit --tag"


class World:
    """Where a state is: a directory with a project and what is beside it, and the environment."""

    def __init__(self, beside: Path) -> None:
        self.beside = beside
        self.root = self.cwd = beside / "project"
        self.root.mkdir(parents=True)
        self.patch = pytest.MonkeyPatch()
        self.server: Any = None
        self.closing = ExitStack()
        self.holder = ExitStack()
        self.closing.callback(self.patch.undo)
        self.fills = {
            "VERSION": "9.0.0",
            "DIR": str(self.root),
            "BRANCH": "main",
            "COMMIT": "HEAD",
            "NAME": "own",
            "EXTRA": "fast",
            "EXPRESSION": "1 + 1",
            "REMOTE": "origin",
            "EMAIL": "me@example.org",
        }

    def close(self) -> None:
        """End what runs, and restore the environment."""
        self.closing.close()

    def index(self, *rules: Rule, **options: Any) -> PackageIndex:
        """An index that runs as long as the world is there."""
        return self.closing.enter_context(PackageIndex(rules, **options))

    def write(self, files: dict[str, str]) -> World:
        """Write files of the project."""
        write(self.root, files)
        return self

    def settings(self, text: str) -> None:
        """Add to the pyproject.toml of the project."""
        with (self.root / "pyproject.toml").open("a", encoding="utf-8") as file:
            file.write(text)

    def edit(self, name: str, old: str, new: str) -> World:
        """Replace a part of a file."""
        path = self.root / name
        text = path.read_text(encoding="utf-8")
        assert old in text, text
        path.write_text(text.replace(old, new), encoding="utf-8")
        return self

    def fill(self, text: str) -> str:
        """Replace the placeholders of a fix, such as VERSION."""
        for name, value in self.fills.items():
            text = re.sub(rf"\b{name}\b", value, text)
        return text

    def git(self, *words: str) -> str:
        """Run git in the project."""
        return git(self.root, *words)

    def commit(self) -> str:
        """Commit everything in the project."""
        return commit_all(self.root)


class State(NamedTuple):
    """How a problem comes about, and what a person does where its fix is no command.

    Attributes:
        code: The code of the problem.
        make: Makes the state; returns the command that has the problem.
        by_hand: Does what the fix says; returns another command, if the command is what the fix changes.
        beside: Codes of other problems that the command has.
        then: Codes of problems that may be next.
        instead: Whether the command of the fix takes the place of the one that has the problem.
        again: The command after a fix that changes which one is right, such as that for another tag.
        no_fix: Why nothing is to be done.
    """

    code: str
    make: Callable[[World], str]
    by_hand: Callable[[World], object] | None = None
    beside: tuple[str, ...] = ()
    then: tuple[str, ...] = ()
    no_fix: str = ""
    instead: bool = False
    again: str = ""


STATES: dict[str, State] = {}


def state(code: str, by_hand: Callable[[World], object] | None = None, **more: Any) -> Callable[[Make], Make]:
    """Declare the state of a problem."""

    def declare(make: Make) -> Make:
        name = f"{code}: {make.__name__.replace('_', '-')}"
        assert name not in STATES, name
        STATES[name] = State(code, make, by_hand, **more)
        return make

    return declare


def project(world: World, settings: str = "") -> World:
    """One package with a commit and a remote."""
    single(world.root)
    world.settings(settings)
    repository(world.root)
    return world


def released(world: World, settings: str = "") -> World:
    """One package whose version is tagged, with a commit after it."""
    project(world, settings)
    world.git("tag", "--annotate", "--message", "1.2.3", "v1.2.3")
    world.git("push", "--quiet", "origin", "v1.2.3")
    world.write({"src/demo/more.py": "more = 1\n"})
    commit_all(world.root, "fix: more")
    world.git("push", "--quiet")
    return world


def two(world: World, settings: str = "", versions: str = "independent") -> World:
    """Two packages, each with a version of its own."""
    files = {"pyproject.toml": f'[tool.relnox]\npackages = ["a", "b"]\nversions = "{versions}"\n{settings}'}
    for name, version in (("a", "1.0.0"), ("b", "2.0.0" if versions == "independent" else "1.0.0")):
        files[f"{name}/pyproject.toml"] = f'[project]\nname = "{name}"\nversion = "{version}"\n'
        files[f"{name}/{name}.py"] = ""
    write(world.root, files)
    repository(world.root)
    return world


def command(
    code: str,
    words: str,
    right: str | Callable[[World], object] | None = None,
    make: Callable[[World], object] = released,
    **more: Any,
) -> None:
    """Declare a command that is wrong by itself."""

    def run(world: World) -> str:
        make(world)
        return words

    by_hand = (lambda _: right) if isinstance(right, str) else right
    STATES[f"{code}: {words}"] = State(code, run, by_hand, **more)


def setting(code: str, line: str, right: str = "", words: str = "status", **more: Any) -> None:
    """Declare a setting that is wrong; a person writes the right line."""

    def make(world: World) -> str:
        project(world, f"[tool.relnox]\n{line}\n")
        return words

    def correct(world: World) -> None:
        world.edit("pyproject.toml", line, right)
        world.commit()

    STATES[f"{code}: {line}"] = State(code, make, correct, **more)


def built(world: World, settings: str = "", version: str = "1.0", hook: str = "", code: str = "") -> World:
    """One package that builds by itself, with a commit and a remote; `hook` is Python in its backend."""
    write(
        world.root,
        {
            "pyproject.toml": f'[project]\nname = "home"\nversion = "{version}"\n\n'
            '[build-system]\nrequires = []\nbuild-backend = "house"\nbackend-path = ["backend"]\n' + settings,
            ".gitignore": "dist/\n",
        },
    )
    (world.root / "backend").mkdir()
    (world.root / "backend" / "house.py").write_text(READING + hook, encoding="utf-8")
    (world.root / "home.py").write_text(code, encoding="utf-8")
    repository(world.root)
    return world


def _replace(path: Path) -> None:
    path.unlink()
    path.write_text("1.2.3\n", encoding="utf-8")


def _move(one: Path, other: Path) -> None:
    one.rename(other)


# --- command line and settings

command("task-unknown", "biuld-all --dry-run", "build-all --dry-run")
command("task-unknown", "upload --dry-run", "publish --dry-run", instead=True, then=("manifest-missing",))
command("option-unknown", "bump --part minor --comit --dry-run", "bump --part minor --commit --dry-run")
command("value-invalid", "bump --part large --dry-run", "bump --part minor --dry-run")
command("option-invalid", "completion", "completion bash")
command("option-missing", f"{BUMP} --tag --dry-run")
command("option-missing", f"{BUMP} --push --dry-run")
command("option-missing", f"{BUMP} --then-dev --commit --dry-run")
command("option-missing", "bump --dry-run")
command(
    "option-missing",
    "collect --dry-run",
    "collect --from dist --dry-run",
    then=("manifest-missing",),
)
command("option-missing", "bump --part minor --allow-lower --dry-run")
command("options-conflict", "bump --to 2.0.0 --part minor --dry-run", "bump --to 2.0.0 --dry-run")
command("options-conflict", "bump --part release --pre rc --dry-run", then=("bump-not-possible",))
command("options-conflict", "bump --undo --part minor --dry-run", "bump --undo --dry-run", then=("bump-missing",))
command("options-conflict", f"{BUMP} --plan - --report - --dry-run", f"{BUMP} --plan - --dry-run")
setting("command-line-only", "publish.yes = true")
setting("command-line-only", 'status.report = "src/demo/__init__.py"')
setting("command-line-only", 'bump.plan = "src/demo/__init__.py"')
setting("command-line-only", 'build.expect-version = "1.2.3"')
setting("value-invalid", 'tag-format = "v{versoin}"', 'tag-format = "v{version}"')
setting("value-invalid", "tag-format = 3", 'tag-format = "v{version}"')
setting("value-invalid", 'changelog = "towncrir"', 'changelog = "none"')
setting("value-invalid", 'commit-message = "Release {verison}"', 'commit-message = "Release {version}"')
setting("setting-invalid", 'tag_format = "v{version}"', 'tag-format = "v{version}"')
setting("setting-invalid", "indexes.own.upload = 'https://own.example.invalid/'", 'changelog = "none"')
setting("setting-invalid", 'exclude = ["vendored"]', "exclude = []")
setting("setting-invalid", 'changelog-file = "src"', 'changelog-file = "changes.md"')
setting("setting-invalid", 'changelog-file = "news/changes.md"', 'changelog-file = "changes.md"')
setting("package-unknown", 'metadata-only = ["dmeo"]', 'metadata-only = ["demo"]')
command("package-unknown", f"{BUMP} --package c --dry-run", f"{BUMP} --package a --dry-run", make=two)
command("packages-not-selected", f"{BUMP} --dry-run", make=two)
command(
    "packages-in-lockstep", f"{BUMP} --package a --dry-run", make=lambda world: two(world, versions="lockstep")
)


@state("command-line-only", then=("manifest-missing",))
def variable_that_consents(world: World) -> str:
    released(world)
    world.patch.setenv("RELNOX_YES", "1")
    return "publish --dry-run"


def _in_the_project(world: World) -> None:
    world.cwd = world.root


def _without_cycle(world: World) -> None:
    world.edit("b/pyproject.toml", 'dependencies = ["a"]\n', "")
    world.commit()


@state("project-not-found", _in_the_project)
def beside_the_project(world: World) -> str:
    project(world)
    world.cwd = world.beside / "empty"
    world.cwd.mkdir()
    return "status"


@state("project-file-invalid", lambda world: world.edit("pyproject.toml", "oops", ""))
def broken_pyproject(world: World) -> str:
    project(world, "oops")
    return "status"


@state("project-file-invalid", lambda world: world.edit("b/pyproject.toml", '"a"', '"b"'))
def name_twice(world: World) -> str:
    two(world)
    world.edit("b/pyproject.toml", '"b"', '"a"')
    return "status"


@state(
    "package-unknown",
    lambda world: world.edit("pyproject.toml", "[tool", '[project]\nname = "demo"\nversion = "1"\n[tool'),
)
def no_package(world: World) -> str:
    write(world.root, {"pyproject.toml": "[tool.relnox]\npackages = []\n"})
    repository(world.root)
    return "status"


@state("dependency-cycle", _without_cycle)
def cycle(world: World) -> str:
    two(world)
    for name, other in (("a", "b"), ("b", "a")):
        world.edit(f"{name}/pyproject.toml", "version", f'dependencies = ["{other}"]\nversion')
    world.commit()
    return "build-all --dry-run"


@state("plan-file-invalid")
def plan_that_is_none(world: World) -> str:
    released(world)
    (world.beside / "plan.json").write_text("{}", encoding="utf-8")
    world.fills |= {"TASK": BUMP, "FILE": str(world.beside / "plan.json")}
    return f"{BUMP} --expect-plan {world.beside / 'plan.json'}"


command("plan-differs", f"{BUMP} --expect-plan {'0' * 64}", BUMP)


# --- checkout and git


command("not-a-git-repository", RELEASE, make=lambda world: single(world.root))


@state("branch-changed")
def no_commit(world: World) -> str:
    single(world.root)
    world.git("init", "--quiet")
    return "auto-tag --no-push --dry-run"


@state("operation-in-progress", beside=("tree-dirty",))
def merging(world: World) -> str:
    released(world)
    for branch, text in (("other", "one\n"), ("main", "two\n")):
        world.git("switch", "--quiet", *(["-c"] if branch == "other" else []), branch)
        world.write({"notes.txt": text})
        world.commit()
    subprocess.run(["git", "merge", "other"], cwd=world.root, check=False, capture_output=True)
    world.write({"notes.txt": "both\n"})
    world.git("add", "notes.txt")
    return f"{RELEASE}"


@state("git-setting-invalid")
def hidden_changes(world: World) -> str:
    released(world)
    world.git("update-index", "--assume-unchanged", "pyproject.toml")
    return RELEASE


@state("git-setting-invalid")
def sparse(world: World) -> str:
    two(world)
    world.edit("b/pyproject.toml", "version", 'dependencies = ["a>=1.0"]\nversion')
    world.commit()
    world.git("sparse-checkout", "set", "a")
    return f"{BUMP} --package a"


@state("committer-unknown")
def no_committer(world: World) -> str:
    released(world)
    for name in ("user.name", "user.email"):
        world.git("config", "--unset", name)
    world.patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    world.git("config", "user.useConfigOnly", "true")
    return RELEASE


@state("tree-dirty", World.commit)
def changed_pyproject(world: World) -> str:
    released(world)
    world.edit("pyproject.toml", "# the one place", "# the place")
    return RELEASE


@state("tree-dirty", World.commit)
def changed_before_build(world: World) -> str:
    built(world)
    world.edit("pyproject.toml", 'version = "1.0"', 'version = "1.1"')
    return "build-all"


@state("file-untracked")
def untracked_changelog(world: World) -> str:
    released(world)
    world.write({"CHANGELOG.md": "# Changelog\n\n## [Unreleased]\n\n- One\n"})
    return RELEASE


@state("file-untracked", then=("package-unknown",))
def untracked_package(world: World) -> str:
    two(world)
    write(world.root / "c", {"pyproject.toml": '[project]\nname = "c"\nversion = "1"\n', "c.py": ""})
    world.edit("pyproject.toml", '"b"]', '"b", "c"]')
    world.git("commit", "--quiet", "-am", "Add c")
    return f"{BUMP} --package c --commit --tag"


@state("file-untracked")
def empty_submodule(world: World) -> str:
    built(world)
    other = single(world.beside / "other", name="other")
    repository(other)
    world.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "vendored")
    world.commit()
    world.git("submodule", "deinit", "--quiet", "--force", "vendored")
    world.patch.setenv("GIT_CONFIG_COUNT", "1")
    world.patch.setenv("GIT_CONFIG_KEY_0", "protocol.file.allow")
    world.patch.setenv("GIT_CONFIG_VALUE_0", "always")
    return "build-all --dry-run"


@state("imported-module-untracked")
def import_of_untracked(world: World) -> str:
    released(world)
    world.write({"src/demo/__init__.py": "from demo import other\n"})
    world.commit()
    world.write({"src/demo/other.py": ""})
    return RELEASE


def _name_the_target(world: World) -> None:
    world.edit("pyproject.toml", '"VERSION"', '"docs/VERSION"').commit()


@state("file-is-link", _name_the_target)
def linked_version_file(world: World) -> str:
    released(world, '[[tool.relnox.version-files]]\nfile = "VERSION"\npattern = "(?P<version>.+)"\n')
    world.write({"docs/VERSION": "1.2.3\n"})
    (world.root / "VERSION").symlink_to("docs/VERSION")
    world.commit()
    return RELEASE


@state("file-changed", lambda world: _replace(world.root / "VERSION"))
def pipe_as_version_file(world: World) -> str:
    released(world, '[[tool.relnox.version-files]]\nfile = "VERSION"\npattern = "(?P<version>.+)"\n')
    os.mkfifo(world.root / "VERSION")
    return f"{BUMP} --dry-run"


@state("head-detached")
def detached(world: World) -> str:
    released(world)
    world.git("switch", "--quiet", "--detach", "main")
    return f"{RELEASE}"


@state("branch-not-allowed")
def feature_branch(world: World) -> str:
    released(world, '[tool.relnox]\nbranch = "main"\n')
    world.git("switch", "--quiet", "-c", "feature")
    return RELEASE


@state("branch-not-allowed")
def other_upstream(world: World) -> str:
    released(world)
    git(world.root, "push", "--quiet", "origin", "main:trunk")
    world.git("fetch", "--quiet")
    world.git("branch", "--quiet", "--set-upstream-to", "origin/trunk")
    return f"{RELEASE} --push"


@state("branch-not-allowed")
def fork(world: World) -> str:
    released(world)
    world.git("clone", "--quiet", "--bare", str(remote_of(world.root)), str(world.beside / "upstream.git"))
    world.git("remote", "add", "upstream", str(world.beside / "upstream.git"))
    world.git("fetch", "--quiet", "upstream")
    world.git("branch", "--quiet", "--set-upstream-to", "upstream/main")
    return f"{RELEASE} --push"


@state("branch-behind")
def behind(world: World) -> str:
    released(world)
    clone = world.beside / "clone"
    git(world.beside, "clone", "--quiet", str(remote_of(world.root)), str(clone))
    write(clone, {"more.txt": "more\n"})
    commit_all(clone, push=True)
    return f"{RELEASE} --push"


@state("branch-behind")
def behind_what_was_fetched(world: World) -> str:
    behind(world)
    world.git("fetch", "--quiet")
    return RELEASE


@state("branch-behind")
def tags_of_an_unpushed_commit(world: World) -> str:
    released(world)
    world.edit("pyproject.toml", "1.2.3", "1.2.4")
    world.commit()
    return "auto-tag --no-check-index"


@state("remote-missing")
def no_remote(world: World) -> str:
    released(world)
    world.git("remote", "remove", "origin")
    world.git("remote", "add", "elsewhere", str(remote_of(world.root)))
    world.fills |= {"URL": str(remote_of(world.root)), "NAME": "elsewhere"}
    return f"{RELEASE} --push"


@state("remote-unreachable", lambda world: _move(world.beside / "moved.git", remote_of(world.root)))
def no_repository_at_the_remote(world: World) -> str:
    released(world)
    _move(remote_of(world.root), world.beside / "moved.git")
    return f"{RELEASE} --push"


@state("push-rejected", lambda world: (remote_of(world.root) / "hooks/pre-receive").unlink())
def rejecting_remote(world: World) -> str:
    released(world)
    shell(remote_of(world.root) / "hooks/pre-receive", "echo not today >&2\nexit 1")
    return f"{RELEASE} --push"


@state("clone-shallow")
def shallow(world: World) -> str:
    released(world)
    url = f"file://{remote_of(world.root)}"
    git(world.beside, "clone", "--quiet", "--depth", "1", url, str(world.beside / "shallow"))
    world.root = world.cwd = world.beside / "shallow"
    return "bump --part auto"


@state("clone-shallow")
def no_tags(world: World) -> str:
    released(world)
    git(world.beside, "clone", "--quiet", "--no-tags", str(remote_of(world.root)), str(world.beside / "clone"))
    world.root = world.cwd = world.beside / "clone"
    return "bump --part auto"


@state("checkout-locked", lambda world: world.holder.close())
def other_run(world: World) -> str:
    released(world)
    world.holder.enter_context(lock_checkout(Git(world.root).private_directory()))
    world.closing.callback(world.holder.close)
    return RELEASE


@state("repository-not-trusted")
def foreign_repository(world: World) -> str:
    released(world)
    world.patch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    world.patch.setenv("GIT_CONFIG_GLOBAL", str(world.beside / "gitconfig"))
    (world.beside / "gitconfig").touch()
    return "status"


# --- versions, tags, changelog

command("version-invalid", "bump --to one --dry-run", "bump --to 1.3.0 --dry-run")
command("version-not-higher", "bump --to 1.0.0 --dry-run")
command("version-not-higher", "bump --to 1.2.3 --dry-run", then=())
command("local-version", "bump --to 1.3.0+local --dry-run")
command("bump-missing", "bump --undo", then=("bump-missing",))
setting("version-managed-elsewhere", 'managed-by = "other"', words=BUMP)
setting("package-unknown", '[tool.relnox.groups.all]\npackages = ["nothing"]')


@state(
    "version-missing",
    lambda world: world.edit("pyproject.toml", "# the", 'version = "1"  # the').commit(),
)
def no_version(world: World) -> str:
    project(world)
    world.edit("pyproject.toml", 'version = "1.2.3"', "")
    world.commit()
    return "build-all --dry-run"


@state("version-missing")
def no_tag_yet(world: World) -> str:
    derived(world)
    return RELEASE


@state("version-locations-differ", then=("tree-dirty",))
def other_literal(world: World) -> str:
    released(world)
    world.write({"src/demo/__init__.py": '__version__ = "1.2.2"\n'})
    world.commit()
    return "build-all --dry-run"


command("version-locations-differ", RELEASE, make=other_literal)


@state("version-locations-differ")
def lockstep_with_two_versions(world: World) -> str:
    two(world, versions="lockstep")
    world.edit("b/pyproject.toml", "1.0.0", "1.1.0")
    world.commit()
    return BUMP


@state("version-outside-bounds")
def other_line(world: World) -> str:
    released(world, '[tool.relnox]\nbranch = { main = ">=2", "1.x" = "<2" }\n')
    world.git("branch", "1.x")
    return RELEASE


@state("version-not-higher")
def tagged_higher(world: World) -> str:
    released(world)
    world.git("tag", "--annotate", "--message", "2", "v2.0.0")
    return RELEASE


@state("version-not-higher", then=("branch-behind",))
def lower_than_its_tag(world: World) -> str:
    released(world)
    world.edit("pyproject.toml", "1.2.3", "1.2.2")
    world.commit()
    world.git("push", "--quiet")
    return "auto-tag --no-check-index"


@state("tag-exists")
def tag_of_another_commit(world: World) -> str:
    released(world)
    world.git("switch", "--quiet", "-c", "other")
    world.git("commit", "--quiet", "--allow-empty", "--message", "Other")
    world.git("tag", "--annotate", "--message", "1.3.0", "v1.3.0")
    world.git("switch", "--quiet", "main")
    return RELEASE


@state("tag-exists")
def tag_only_on_the_remote(world: World) -> str:
    tag_of_another_commit(world)
    world.git("push", "--quiet", "origin", "v1.3.0")
    world.git("tag", "--delete", "v1.3.0")
    return f"{RELEASE} --push"


@state("tag-exists", then=("branch-behind",))
def version_tagged_on_another_branch(world: World) -> str:
    released(world)
    world.git("switch", "--quiet", "-c", "other", "HEAD~1")
    world.edit("pyproject.toml", "1.2.3", "1.2.4")
    world.commit()
    world.git("tag", "--annotate", "--message", "1.2.4", "v1.2.4")
    world.git("switch", "--quiet", "main")
    world.edit("pyproject.toml", "1.2.3", "1.2.4")
    world.commit()
    world.git("push", "--quiet")
    return "auto-tag --no-check-index"


@state("tag-format-invalid", lambda world: world.edit("pyproject.toml", "{directory}", "{name}"))
def directory_that_is_no_ref(world: World) -> str:
    two(world, 'tag-format = "{directory}-v{version}"\n')
    (world.root / "b").rename(world.root / "b..b")
    world.edit("pyproject.toml", '"b"', '"b..b"')
    return "status"


@state("tag-format-unknown", lambda world: world.edit("pyproject.toml", '"v{v', '"{name}-v{v'))
def same_tags_for_two(world: World) -> str:
    two(world, 'tag-format = "v{version}"\n')
    return "status"


@state("tag-format-unknown")
def same_tags_for_two_groups(world: World) -> str:
    groups = "".join(f'[tool.relnox.groups.{name}]\npackages = ["{name}"]\n' for name in ("a", "b"))
    two(world, f'tag-format = "v{{version}}"\n\n{groups}')
    return "status"


@state("tag-format-unknown", then=("tree-dirty",))
def form_that_is_not_clear(world: World) -> str:
    two(world)
    for name in ("release-1.0", "a_1.0", "v3"):
        world.git("tag", name)
    return f"{BUMP} --package a --commit --tag"


@state("tag-not-checked-out")
def tag_elsewhere(world: World) -> str:
    released(world)
    return "build-all --release-tag v1.2.3 --dry-run"


@state("tag-not-checked-out", lambda _: "build-all --release-tag v1.2.3 --dry-run")
def no_release_tag(world: World) -> str:
    project(world)
    world.git("tag", "v1.2.3")
    world.git("tag", "stable")
    return "build-all --release-tag stable --dry-run"


@state("tag-version-differs", then=("tree-dirty",))
def tagged_with_another_version(world: World) -> str:
    released(world, '[tool.relnox]\ntag-format = "v{version}"\n')
    world.git("tag", "v1.2.4")
    return "build-all --dry-run"


command("release-version-differs", "build-all --expect-version 1.2.4 --dry-run", make=project)


@state("release-version-differs", again="build-all --release-tag v1.3.1 --dry-run")
def tag_of_another_version(world: World) -> str:
    released(world, '[tool.relnox]\ntag-format = "v{version}"\n')
    world.git("tag", "--annotate", "--message", "1.3.0", "v1.3.0")
    return "build-all --release-tag v1.3.0 --dry-run"


@state("release-version-differs", beside=("tag-not-checked-out",))
def tag_that_is_right_where_it_is(world: World) -> str:
    released(world)
    world.edit("pyproject.toml", "1.2.3", "1.2.4")
    world.commit()
    return "build-all --release-tag v1.2.3 --dry-run"


@state("package-not-tagged")
def package_without_the_tag(world: World) -> str:
    two(world, 'tag-format = "{name}-v{version}"\n')
    world.git("tag", "--annotate", "--message", "a 1.0.0", "a-v1.0.0")
    return "build-all --release-tag a-v1.0.0 --package b --dry-run"


CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n- One\n\n## [1.2.3] - 2026-01-01\n\n- Two\n"


@state("changelog-invalid", lambda world: world.write({"CHANGELOG.md": CHANGELOG}).commit())
def changelog_with_the_version(world: World) -> str:
    released(world)
    world.write({"CHANGELOG.md": CHANGELOG.replace("- Two", "## [1.3.0] - 2026-01-02\n\n- Two")})
    world.commit()
    return RELEASE


@state("changelog-invalid", lambda world: world.write({"CHANGELOG.md": CHANGELOG}).commit())
def changelog_with_two(world: World) -> str:
    released(world)
    world.write({"CHANGELOG.md": CHANGELOG.replace("- Two", "## Unreleased\n\n- Two")})
    world.commit()
    return RELEASE


def needing(world: World, requirement: str, policy: str) -> World:
    two(world, f'update-requirements = "{policy}"\n')
    world.edit("b/pyproject.toml", "version", f'dependencies = ["{requirement}"]\nversion')
    world.commit()
    return world


def _widen(world: World) -> None:
    world.edit("b/pyproject.toml", '"a<', '"a>=1.0,<')
    world.edit("b/pyproject.toml", "<1.1", "<2")
    world.commit()


@state("requirement-excludes-version", _widen)
def requirement_below(world: World) -> str:
    needing(world, "a<1.1", "never")
    return f"{BUMP} --package a"


@state("requirement-ahead", lambda world: world.edit("b/pyproject.toml", "==3.0", "==1.0.0").commit())
def requirement_above(world: World) -> str:
    needing(world, "a==3.0", "always")
    return f"{BUMP} --package a"


def derived(world: World, settings: str = "") -> World:
    """A package whose version setuptools-scm derives from tags."""
    write(
        world.root,
        {
            "pyproject.toml": '[build-system]\nrequires = ["setuptools", "setuptools-scm"]\n'
            'build-backend = "setuptools.build_meta"\n[project]\nname = "demo"\ndynamic = ["version"]\n'
            "[tool.setuptools_scm]\n" + settings,
            "demo.py": "",
        },
    )
    repository(world.root)
    return world


command("option-missing", BUMP, make=derived, then=("version-missing",))
command("nothing-to-commit", f"{BUMP} --pull-request", make=derived, then=("forge-unknown", "version-missing"))


# --- builds


command("setting-invalid", "build-all --test --dry-run", make=built)


@state("archive-invalid", lambda world: world.edit("home.py", "PRIVATE KEY", "PUBLIC KEY").commit())
def key_in_a_module(world: World) -> str:
    built(world, code='"""-----BEGIN ' + f'PRIVATE KEY-----\n{"aB3dE6gH9jK2mN5pQ8sT1vW4xY7zA0cF" * 9}\n"""\n')
    return "build-all"


@state("build-failed", lambda world: world.edit("backend/house.py", "import not_there", "").commit())
def build_without_module(world: World) -> str:
    built(world, hook="\nimport not_there\n")
    return "build-all"


@state("output-outside-checkout")
def clean_outside(world: World) -> str:
    built(world)
    (world.beside / "elsewhere").mkdir()
    made_wheel(world.beside / "elsewhere", "home")
    return f"build-all --clean --output {world.beside / 'elsewhere'} --dry-run"


@state("manifest-missing")
def nothing_built(world: World) -> str:
    built(world, own(world))
    return "publish --index own --dry-run"


def own(world: World, *, production: bool = False, rules: Sequence[Rule] = (), **options: Any) -> str:
    """The settings of an index that runs; a token is set."""
    index = world.server = world.index(*rules, **options)
    world.patch.setenv("RELNOX_OWN_TOKEN", "pypi-canary-0815")
    return (
        f'\n[tool.relnox.indexes.own]\nupload = "{index.upload_url}"\nsimple = "{index.simple_url}"\n'
        f"production = {str(production).lower()}\npublic-rules = {str(production).lower()}\n"
    )


PUBLISH = "publish --index own --yes"


def made(
    world: World, *, production: bool = False, rules: Sequence[Rule] = (), version: str = "1.0", **options: Any
) -> World:
    """A package that is built, tagged and pushed, with an index."""
    built(world, own(world, production=production, rules=rules), version, **options)
    world.git("tag", "--annotate", "--message", version, f"v{version}")
    world.git("push", "--quiet", "--tags")
    run(world, "build-all")
    return world


def run(world: World, words: str) -> None:
    """Run relnox as a part of a state."""
    from running import run_in_process

    task, *options = words.split()
    assert (ran := run_in_process(world.root, task, *options)).code == 0, ran.text


@state("manifest-invalid")
def damaged_manifest(world: World) -> str:
    made(world)
    (world.root / "dist" / "manifest.json").write_text("{}", encoding="utf-8")
    return PUBLISH


@state("manifest-incomplete", then=())
def manifest_of_a_part(world: World) -> str:
    made(world)
    path = world.root / "dist" / "manifest.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["missing"] = ["home"]
    path.write_text(json.dumps(document), encoding="utf-8")
    return PUBLISH


@state("manifest-outdated")
def manifest_of_an_older_commit(world: World) -> str:
    built(world, own(world))
    run(world, "build-all")
    world.write({"home.py": "name = 1\n"})
    commit_all(world.root, "fix: home")
    return PUBLISH


@state("manifest-outdated")
def manifest_of_an_older_version(world: World) -> str:
    made(world)
    world.edit("pyproject.toml", "1.0", "1.1")
    world.commit()
    return PUBLISH


command("commit-unexpected", "build-all --expect-commit main --dry-run", "build-all --dry-run")
command("manifest-changed", f"{PUBLISH} --manifest-sha256 0", PUBLISH, made)


@state("archive-changed")
def changed_archive(world: World) -> str:
    made(world)
    with (world.root / "dist" / "home-1.0.tar.gz").open("ab") as file:
        file.write(b"more")
    return PUBLISH


@state("archive-changed")
def changed_archive_that_is_public(world: World) -> str:
    made(world)
    run(world, PUBLISH)
    changed_archive_of(world)
    return PUBLISH


def changed_archive_of(world: World) -> None:
    with (world.root / "dist" / "home-1.0.tar.gz").open("ab") as file:
        file.write(b"more")


@state("archive-missing")
def missing_archive(world: World) -> str:
    made(world)
    (world.root / "dist" / "home-1.0.tar.gz").unlink()
    return PUBLISH


def made_after(world: World, module: str, settings: str = "") -> None:
    """A package that is built, with an earlier release on the index whose wheel has this module only."""
    made(world, production=True, version="1.1", code=f"text = {'more ' * 1000!r}\n")
    world.settings(settings)
    world.server.add(made_wheel(world.beside / "old", "home", {f"{module}.py": ""}))


@state("archive-too-large", then=("manifest-outdated",))
def larger_than_the_last_release(world: World) -> str:
    made_after(world, "home", '[tool.relnox.diff]\nmax-growth = "10%"\n')
    return PUBLISH


@state("archive-content", then=("manifest-outdated",))
def new_at_the_top_level(world: World) -> str:
    made_after(world, "house")
    return PUBLISH


@state("build-dirty")
def built_with_changes(world: World) -> str:
    made(world, production=True)
    world.write({"home.py": "name = 1\n"})
    run(world, "build-all --from-tree")
    return PUBLISH


def _rebuild(world: World) -> None:
    world.write({"home.py": ""})
    commit_all(world.root, "fix: home")
    world.git("tag", "--force", "--annotate", "--message", "1.0", "v1.0")
    run(world, "build-all")


@state("archive-content")
def metapackage_that_is_pushed(world: World) -> str:
    two(world, 'tag-format = "{name}-v{version}"\n')
    (world.root / "b" / "b.py").unlink()
    system = '\n[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
    with (world.root / "b" / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(f'dependencies = ["a"]\n{system}')
    world.commit()
    return f"{RELEASE} --push --package b"


def two_built(world: World) -> None:
    """Two packages that build by themselves, with versions of their own, built and with an index."""
    settings = '[tool.relnox]\npackages = ["a", "b"]\nversions = "independent"\n' + own(world, production=True)
    files = {"pyproject.toml": settings, ".gitignore": "dist/\n"}
    for name in ("a", "b"):
        files[f"{name}/pyproject.toml"] = (
            f'[project]\nname = "{name}"\nversion = "1.0"\n\n'
            '[build-system]\nrequires = []\nbuild-backend = "house"\nbackend-path = ["backend"]\n'
        )
        files[f"{name}/{name}.py"] = ""
    write(world.root, files)
    for name in ("a", "b"):
        (world.root / name / "backend").mkdir()
        (world.root / name / "backend" / "house.py").write_text(READING, encoding="utf-8")
    repository(world.root)
    run(world, "build-all")


def _tag_and_build(world: World) -> None:
    world.git("tag", "--annotate", "--message", "1.0", "v1.0")
    run(world, "build-all")


@state("index-file-differs", _rebuild)
def other_file_on_the_index(world: World) -> str:
    made(world, production=True)
    run(world, PUBLISH)
    world.write({"home.py": "name = 1\n"})
    commit_all(world.root, "fix: home")
    world.git("tag", "--force", "--annotate", "--message", "1.0", "v1.0")
    run(world, "build-all")
    return PUBLISH


command("index-unknown", "publish --index onw --yes --dry-run", "publish --index own --yes --dry-run", made)


@state("confirmation-needed")
def no_terminal(world: World) -> str:
    made(world, production=True)
    return "publish --index own"


@state("production-index", instead=True, then=("confirmation-needed",))
def test_on_production(world: World) -> str:
    made(world, production=True)
    return "publish-test --index own"


@state("development-version", instead=True, then=("server-unreachable", "manifest-outdated"))
def dev_version(world: World) -> str:
    made(world, production=True, version="1.0.dev1")
    return PUBLISH


@state("branch-behind")
def built_from_an_unpushed_commit(world: World) -> str:
    built(world, own(world, production=True))
    world.write({"home.py": "name = 1\n"})
    world.commit()
    run(world, "build-all")
    return PUBLISH


@state("credentials-missing", lambda world: world.patch.setenv("RELNOX_OWN_TOKEN", "pypi-canary-0815"))
def no_token(world: World) -> str:
    made(world)
    world.patch.delenv("RELNOX_OWN_TOKEN")
    return PUBLISH


@state("credentials-for-other-index", lambda world: world.edit("pyproject.toml", "me:secret@", ""))
def password_in_the_address(world: World) -> str:
    made(world)
    world.edit("pyproject.toml", "http://", "http://me:secret@")
    return PUBLISH


@state("project-archived", lambda world: world.server.set_status("home", "active"))
def archived(world: World) -> str:
    made(world)
    world.server.set_status("home", "archived")
    return PUBLISH


@state("project-quarantined", lambda world: world.server.set_status("home", "active"))
def quarantined(world: World) -> str:
    made(world)
    world.server.set_status("home", "quarantined")
    return PUBLISH


# --- archives


def archive(code: str, name: str, **wheel: Any) -> None:
    """Declare an archive that no public index takes; a person builds it again."""

    def make(world: World) -> str:
        packed_project(world, **wheel)
        return PUBLISH

    STATES[f"{code}: {name}"] = State(code, make, packed_project)


def packed_project(
    world: World,
    settings: str = "",
    rules: Sequence[Rule] = (),
    *,
    production: bool = True,
    clock: Callable[[], float] = time.time,
    **wheel: Any,
) -> None:
    """A project whose one wheel is there already, with an index."""
    settings = own(world, production=production, rules=rules, clock=clock) + settings
    project_of(world.root, made_wheel(world.root / "dist", "demo", **wheel), settings=settings)


POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 12345\n"
archive("archive-invalid", "wrong record", record="demo.py,sha256=abc,1\n")
archive("archive-content", "empty", files={})
archive("metadata-invalid", "long summary", fields=["Summary: " + "x" * 600])
archive("classifier-unknown", "unknown", fields=["Classifier: Unknown :: Classifier"])
archive("classifier-private", "not for others", fields=["Classifier: Private :: Do Not Upload"])
archive("requirement-by-url", "of a file", requires=["six @ https://example.org/six-1-py3-none-any.whl"])
archive("lfs-pointer-in-archive", "table", files={"demo.py": "", "table.bin": POINTER})
archive("license-file-missing", "named", fields=["License-File: COPYING"])
archive("wheels-missing", "of a platform", settings='[tool.relnox.wheels]\ndemo = ["cp312-manylinux_x86_64"]\n')
STATES["wheels-missing: of a platform"] = STATES["wheels-missing: of a platform"]._replace(
    then=("archive-missing", "archive-unexpected", "wheels-missing")
)


# --- workflow files

WORKFLOW = ".github/workflows/release.yml"
OWN_WORKFLOW = ".github/workflows/own.yml"


def with_workflows(world: World) -> World:
    """A project with the workflow of a release; requirements are locked, since that needs an index with relnox."""
    project(world, '[tool.relnox.ci]\nworkflows = ["release"]\n')
    for step in ci._requirement_lock_steps(open_project(world.root)):
        world.write({step.file: step._header_comment})
    run(world, "ci")
    world.commit()
    return world


@state("workflow-unsafe", lambda world: world.edit(WORKFLOW, "  pull_request_target:\n", ""))
def workflow_with_a_dangerous_trigger(world: World) -> str:
    with_workflows(world).edit(WORKFLOW, "  workflow_dispatch:", "  pull_request_target:\n  workflow_dispatch:")
    return "ci --check"


@state("workflow-unsafe", lambda world: world.edit(OWN_WORKFLOW, "skip-existing: true", "print-hash: true"))
def upload_that_skips_files(world: World) -> str:
    project(world).write(
        {
            OWN_WORKFLOW: "on: push\njobs:\n  upload:\n    environment: pypi\n    steps:\n"
            "      - uses: pypa/gh-action-pypi-publish@v1\n        with:\n          skip-existing: true\n"
        }
    )
    return "ci --lint"


@state("workflow-outdated")
def workflow_before_a_changed_setting(world: World) -> str:
    with_workflows(world).edit("pyproject.toml", "workflows =", 'trigger = "release"\nworkflows =')
    return "ci --check"


@state("workflow-conflict", lambda world: (world.root / WORKFLOW).unlink())
def workflow_of_someone_else(world: World) -> str:
    with_workflows(world).write({WORKFLOW: "on: push\njobs: {}\n"})
    return "ci"


# --- indexes


def misbehaving(code: str, rule: Rule, **more: Any) -> None:
    """Declare an index that misbehaves; its operator ends that."""

    def make(world: World) -> str:
        world.patch.setattr(retries, "CLOCK", clock := SimulatedClock())
        packed_project(world, rules=[rule], production=False, clock=clock.time)
        return PUBLISH

    def behave(world: World) -> None:
        world.server.rules = ()

    STATES[f"{code}: {len(STATES)}"] = State(code, make, behave, **more)


DAY = 24 * 3600
misbehaving("index-unavailable", Rule(acts.E500), beside=("release-not-verified",))
misbehaving("rate-limited", Rule(acts.rate_limited(DAY)))
misbehaving("file-rejected", Rule(acts.READ_ONLY))
misbehaving("archive-too-large", Rule(acts.TOO_LARGE))
misbehaving("project-missing", Rule(acts.NO_PENDING_PUBLISHER))
misbehaving("credentials-rejected", Rule(acts.UNKNOWN_LOGIN))
misbehaving("release-not-verified", Rule(acts.NOT_STORED))
misbehaving("listing-invalid", Rule(acts.answers(200, "OK", ("Content-Type", JSON_PAGE), body=b"{"), on=LISTING))
misbehaving("redirect-refused", Rule(acts.redirects(302, "{origin}/simple/")))
misbehaving("served-content-differs", Rule(acts.serves(lambda content: content[:-1] + b"?"), on=FILE))


@state("release-too-old")
def too_old(world: World) -> str:
    made(world, production=True, rules=[Rule(acts.OLD_RELEASE, filename="home-1.0-*")])
    return PUBLISH


@state("file-name-used")
def deleted_name(world: World) -> str:
    made(world, production=True, rules=[Rule(acts.RESERVED, filename="home-1.0-*")])
    return PUBLISH


@state("index-file-differs")
def other_file_of_one_of_two(world: World) -> str:
    two_built(world)
    run(world, PUBLISH)
    world.write({"a/a.py": "name = 1\n"})
    commit_all(world.root, "fix: a")
    run(world, "build-all")
    return f"{PUBLISH} --package a"


@state(
    "file-yanked",
    lambda world: world.server.yanked.clear(),
    beside=("credentials-exposed",),
    then=("release-not-verified",),
)
def yanked(world: World) -> str:
    world.patch.setattr(retries, "CLOCK", SimulatedClock())
    made(world)
    run(world, PUBLISH)
    world.server.yank("home-1.0-py3-none-any.whl")
    return "verify-install --index own"


@state(
    "release-not-verified",
    beside=("credentials-exposed",),
    by_hand=lambda world: world.server.add(world.root / "dist" / "demo-1.0-py3-none-any.whl"),
)
def not_listed(world: World) -> str:
    world.patch.setattr(retries, "CLOCK", clock := SimulatedClock())
    packed_project(world, clock=clock.time, production=False)
    return "verify-install --index own"


@state("requirement-unavailable", instead=True, then=("confirmation-needed",))
def sibling_on_no_index(world: World) -> str:
    settings = own(world, production=True)
    wheels = [made_wheel(world.root / "dist", "demo", requires=["core"]), made_wheel(world.root / "dist", "core")]
    project_of(world.root, *wheels, settings=settings)
    return f"{PUBLISH} --package demo"


PRIVATE = 'classifiers = ["Private :: Do Not Upload"]\n'


@state("requirement-unavailable", lambda world: world.edit("secret/pyproject.toml", PRIVATE, ""))
def sibling_that_is_private(world: World) -> str:
    wheels = [
        made_wheel(world.root / "dist", "open", requires=["secret"]),
        made_wheel(world.root / "dist", "secret"),
    ]
    project_of(world.root, *wheels, needs={"open": ["secret"]})
    world.edit("secret/pyproject.toml", "version =", f"{PRIVATE}version =")
    return "verify-install --from dist"


@state("release-not-tagged", _tag_and_build)
def target_without_tag(world: World) -> str:
    built(world, own(world) + '[tool.relnox.targets]\nfinal = "own"\n')
    run(world, "build-all")
    return "publish --yes"


@state("version-tagged-elsewhere")
def tagged_before(world: World) -> str:
    made(world, production=True)
    world.write({"home.py": "name = 1\n"})
    commit_all(world.root, "fix: home")
    world.git("push", "--quiet")
    run(world, "build-all")
    return PUBLISH


@state("archive-unexpected", lambda world: (world.beside / "jobs/one/home-2.0.tar.gz").unlink())
def file_of_no_manifest(world: World) -> str:
    made(world)
    job = world.beside / "jobs" / "one"
    shutil.copytree(world.root / "dist", job)
    shutil.copyfile(job / "home-1.0.tar.gz", job / "home-2.0.tar.gz")
    return f"collect --from {job.parent}"


# --- credentials and the network


@state("credentials-exposed", lambda world: world.patch.delenv("TWINE_PASSWORD"))
def password_beside_a_build(world: World) -> str:
    built(world)
    world.patch.setenv("TWINE_PASSWORD", "pypi-canary-0815")
    return "build-all"


@state("pypirc-invalid", lambda world: (world.beside / "pypirc").write_text("", encoding="utf-8"))
def broken_pypirc(world: World) -> str:
    packed_project(world)
    (world.beside / "pypirc").write_text("nonsense", encoding="utf-8")
    world.patch.setenv("TWINE_CONFIG_FILE", str(world.beside / "pypirc"))
    world.patch.delenv("RELNOX_OWN_TOKEN")
    return f"{PUBLISH} --dry-run"


STATES["pypirc-invalid: broken-pypirc"] = STATES["pypirc-invalid: broken-pypirc"]._replace(
    then=("credentials-missing",)
)


@state("ca-bundle-missing", lambda world: world.patch.delenv("REQUESTS_CA_BUNDLE"), then=("server-unreachable",))
def no_bundle(world: World) -> str:
    packed_project(world)
    world.edit("pyproject.toml", "http://127.0.0.1", "https://127.0.0.1")
    world.patch.setenv("REQUESTS_CA_BUNDLE", str(world.beside / "none.pem"))
    return PUBLISH


@state("proxy-invalid", lambda world: world.patch.delenv("https_proxy"), then=("server-unreachable",))
def proxy_without_a_host(world: World) -> str:
    packed_project(world)
    world.patch.setattr(retries, "CLOCK", SimulatedClock())
    world.edit("pyproject.toml", world.server.origin, "https://index.invalid")
    world.patch.setenv("https_proxy", "http://")
    return PUBLISH


@state(
    "connection-not-encrypted",
    lambda world: world.edit("pyproject.toml", "http://index.invalid", world.server.origin),
)
def upload_over_http(world: World) -> str:
    packed_project(world)
    world.edit("pyproject.toml", f'upload = "{world.server.origin}', 'upload = "http://index.invalid')
    return PUBLISH


@state(
    "server-unreachable", lambda world: world.edit("pyproject.toml", "127.0.0.1:9/", world.server.origin[7:] + "/")
)
def nothing_at_the_port(world: World) -> str:
    packed_project(world)
    world.patch.setattr(retries, "CLOCK", SimulatedClock())
    world.edit("pyproject.toml", world.server.origin[7:] + "/", "127.0.0.1:9/")
    return PUBLISH


@state("certificate-not-trusted", lambda w: w.patch.setenv("REQUESTS_CA_BUNDLE", str(w.beside / "both.pem")))
def private_authority(world: World) -> str:
    packed_project(world)
    server = world.index(tls=certificate(world.beside))
    world.edit("pyproject.toml", world.server.origin, server.origin)
    return PUBLISH


# --- installs, hooks, tools


def _packed_again(world: World) -> None:
    project_of(world.root, made_wheel(world.root / "dist", "demo"))


@state("install-broken", _packed_again)
def import_fails(world: World) -> str:
    project_of(world.root, made_wheel(world.root / "dist", "demo", {"demo.py": "import undeclared\n"}))
    return "verify-install --from dist"


@state("install-empty", _packed_again)
def nothing_to_import(world: World) -> str:
    project_of(world.root, made_wheel(world.root / "dist", "demo", {}))
    return "verify-install --from dist"


def hooked(world: World, event: str, run: str) -> None:
    """A package with a hook."""
    built(world, f"\n[[tool.relnox.hooks.{event}]]\nrun = {run}\n")


@state("hook-failed", lambda world: world.edit("pyproject.toml", "false", "true").commit())
def hook_that_fails(world: World) -> str:
    hooked(world, "before-build", '["false"]')
    return "build-all"


@state("hook-failed", lambda world: world.edit("pyproject.toml", "s/1.1", "s/x").commit())
def hook_that_writes(world: World) -> str:
    hooked(world, "edit-bump", '["sed", "-i", "s/1.1/1.2/", "pyproject.toml"]')
    return BUMP


@state(
    "hook-changed-files",
    then=("tree-dirty",),
    by_hand=lambda world: (world.root / ".git" / "hooks" / "pre-commit").unlink(),
)
def hook_that_commits_more(world: World) -> str:
    built(world)
    shell(world.root / ".git/hooks/pre-commit", "echo more >> home.py\ngit add home.py")
    return RELEASE


@state("tool-not-found", then=("tree-dirty",))
def no_git_cliff(world: World) -> str:
    released(world, '[tool.relnox]\nchangelog = "git-cliff"\n')
    return RELEASE


@state("program-failed", lambda world: (world.root / ".git" / "hooks" / "pre-commit").unlink())
def hook_that_refuses(world: World) -> str:
    built(world)
    shell(world.root / ".git/hooks/pre-commit", "exit 1")
    return RELEASE


TIMES = """
_wheel = build_wheel


def build_wheel(directory, settings=None, metadata_directory=None):
    import time

    pathlib.Path("home.py").write_text(f"built = {time.time_ns()}")
    return _wheel(directory)
"""


@state(
    "build-not-reproducible",
    beside=("archive-content",),
    by_hand=lambda world: world.edit("backend/house.py", "time.time_ns()", "0").commit(),
)
def time_in_a_module(world: World) -> str:
    built(world, hook=TIMES)
    return "build-all --reproducible"


command("bump-not-possible", "bump --part release --dry-run")


@state("file-not-writable", lambda _: "status --report -")
def report_into_nowhere(world: World) -> str:
    project(world)
    return f"status --report {world.beside}/none/report.json"


# --- forges


def on_forge(world: World) -> None:
    """A released package whose remote is on a forge."""
    released(world)
    world.server = world.closing.enter_context(_forge(world))


@contextmanager
def _forge(world: World) -> Iterator[GitHubServer]:
    forge = GitHubServer(remote_of(world.root))
    with remote_on_forge(forge, world.root, world.patch.setenv):
        yield forge


PROPOSE = f"{BUMP} --pull-request"


@state("forge-unknown", then=("forge-token-missing", "remote-unreachable"))
def remote_in_a_directory(world: World) -> str:
    released(world)
    world.fills["URL"] = "https://github.com/acme/demo"
    return PROPOSE


@state("forge-token-missing", lambda world: world.patch.setenv("GITHUB_TOKEN", world.server.token))
def no_forge_token(world: World) -> str:
    on_forge(world)
    for name in ("GITHUB_TOKEN", "GH_TOKEN", "RELNOX_FORGE_TOKEN"):
        world.patch.delenv(name, raising=False)
    return PROPOSE


@state("branch-not-pushed")
def commit_not_pushed(world: World) -> str:
    on_forge(world)
    world.write({"more.txt": ""})
    commit_all(world.root, "fix: more")
    return PROPOSE


@state("branch-changed")
def branch_not_on_the_remote(world: World) -> str:
    on_forge(world)
    world.git("switch", "--quiet", "-c", "trunk")
    return PROPOSE


@state("branch-wrong")
def branch_of_a_pull_request(world: World) -> str:
    on_forge(world)
    world.git("switch", "--quiet", "-c", "relnox/release/main")
    return PROPOSE


@state("branch-unknown")
def detached_at_no_branch(world: World) -> str:
    on_forge(world)
    world.git("switch", "--quiet", "--detach", "HEAD~1")
    return PROPOSE


@state("branch-has-commits", lambda world: world.git("push", "origin", ":relnox/release/main"))
def branch_with_a_foreign_commit(world: World) -> str:
    on_forge(world)
    run(world, PROPOSE)
    clone = world.beside / "clone"
    git(
        world.beside, "clone", "--quiet", "--branch", "relnox/release/main", str(remote_of(world.root)), str(clone)
    )
    write(clone, {"more.txt": "more\n"})
    commit_all(clone, push=True)
    return PROPOSE


PAGE = "forge-release --index own"


def on_the_index(world: World) -> None:
    """A tagged package that is public on an index, with its remote on a forge."""
    made(world, production=True)
    run(world, PUBLISH)
    world.server = world.closing.enter_context(_forge(world))


@state("already-released", then=("server-unreachable",), instead=True)
def job_that_runs_again(world: World) -> str:
    built(world)
    run(world, f"{RELEASE} --push")
    world.git("reset", "--quiet", "--hard", "HEAD~1")
    return f"{RELEASE} --push"


@state("test-index", then=("server-unreachable",), instead=True)
def page_of_a_test_index(world: World) -> str:
    made(world)
    run(world, PUBLISH)
    world.server = world.closing.enter_context(_forge(world))
    return PAGE


@state("file-not-listed", then=("confirmation-needed",), instead=True)
def page_before_the_files(world: World) -> str:
    made(world, production=True)
    world.server = world.closing.enter_context(_forge(world))
    return PAGE


@state("release-not-tagged")
def tag_of_a_page_not_pushed(world: World) -> str:
    on_the_index(world)
    world.git("push", "--quiet", "--delete", "origin", "v1.0")
    return PAGE


@state("forge-release-exists", lambda world: setattr(world.server.releases[0], "draft", False))
def draft_of_a_person(world: World) -> str:
    on_the_index(world)
    world.server.release("v1.0", "Soon", draft=True)
    return PAGE


@state("forge-release-immutable")
def public_and_immutable(world: World) -> str:
    on_the_index(world)
    world.server.release("v1.0", "By hand", immutable=True)
    return PAGE


@state("forge-file-differs", lambda world: world.server.releases[0].assets.clear())
def other_file_of_a_public_release(world: World) -> str:
    on_the_index(world)
    world.server.release("v1.0", "By hand", assets=[Asset(99, "SHA256SUMS", b"other")])
    return PAGE
