"""What a bump minds besides versions: lock files, and whose versions are."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import pytest
from projects import HATCHLING, commit_all, everything, git, repository, shell, write
from running import run_blocked_bump

from relnox.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from running import Bump, RunResult

pytestmark = pytest.mark.heavy

PYTHON = sys.executable
MAJOR = ("--package", "base", "--part", "major")
COMMIT = ("--commit", "--tag")
SETTINGS = '[tool.relnox]\npackages = ["libs/*"]\nversions = "independent"\n'


def done(bump: Bump, root: Path, *options: str) -> RunResult:
    """Run a bump that must work."""
    return bump(root, *options, code=0)


def committed(root: Path) -> list[str]:
    """Files of the last commit."""
    return git(root, "show", "--format=", "--name-only").splitlines()


def library(name: str, version: str, *needs: str, more: str = "") -> str:
    """A pyproject.toml."""
    listed = ", ".join(f'"{need}"' for need in needs)
    head = f'[project]\nname = "{name}"\nversion = "{version}"\nrequires-python = ">=3.11"\n'
    return f"{head}dependencies = [{listed}]\n{more}\n{HATCHLING}"


# --- locks that only their own tools write -------------------------------------------------------------

TOOL = """\
#!{python}
import hashlib, pathlib, sys

tool = pathlib.Path(__file__).name
if sys.argv[1:] != ["lock"]:
    sys.exit(f"{{tool}}: what is {{sys.argv[1:]}}?")
with open({log!r}, "a", encoding="utf-8") as log:
    log.write(f"{{tool}} in {{pathlib.Path.cwd().name}}\\n")
pathlib.Path("left-behind.txt").write_text("by the tool")
if {broken}:
    print("The requirements have no solution", file=sys.stderr)
    sys.exit(3)
content = hashlib.sha256(pathlib.Path("pyproject.toml").read_bytes()).hexdigest()
pathlib.Path(f"{{tool}}.lock").write_text(f'# made by {{tool}}\\ncontent-hash = "{{content}}"\\n')
"""
"""Stands for poetry and pdm: makes the lock of the directory it is run in from what pyproject.toml holds there."""

POEM = """\
[tool.poetry]
name = "poem"
version = "0.3.1"
description = ""
authors = []

[tool.poetry.dependencies]
python = ">=3.11"
base = "^1.0"

[build-system]
requires = ["poetry-core>=2"]
build-backend = "poetry.core.masonry.api"
"""


def lock_of(tool: str, pyproject: str) -> str:
    """The lock that a tool makes for a pyproject.toml."""
    return f'# made by {tool}\ncontent-hash = "{sha256(pyproject.encode()).hexdigest()}"\n'


class Tools:
    """A directory of programs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "log.txt"
        directory.mkdir()

    def install(self, *names: str, broken: bool = False) -> None:
        for name in names:
            text = TOOL.format(python=PYTHON, log=str(self.log), broken=broken)
            write(self.directory, {name: text})
            (self.directory / name).chmod(0o755)

    def runs(self) -> list[str]:
        """Which tools ran, and in which directories."""
        return self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    """Stand-ins for poetry and pdm, and no program besides them but git."""
    found = Tools(tmp_path / "programs")
    program = shutil.which("git")
    assert program is not None
    (found.directory / "git").symlink_to(program)
    monkeypatch.setenv("PATH", str(found.directory))
    monkeypatch.setattr(sys, "executable", str(found.directory / "python"))
    return found


def locked(root: Path, settings: str = SETTINGS) -> Path:
    """base 1.0.0; poem and pedal need it below 2 and have a lock; bystander has one and does not need it."""
    pedal, bystander = library("pedal", "0.1.0", "base>=1,<2"), library("bystander", "5.0.0")
    files = {
        "pyproject.toml": settings,
        "libs/base/pyproject.toml": library("base", "1.0.0"),
        "libs/base/poetry.lock": lock_of("poetry", "base"),
        "libs/poem/pyproject.toml": POEM,
        "libs/poem/poetry.lock": lock_of("poetry", POEM),
        "libs/pedal/pyproject.toml": pedal,
        "libs/pedal/pdm.lock": lock_of("pdm", pedal),
        "libs/bystander/pyproject.toml": bystander,
        "libs/bystander/poetry.lock": lock_of("poetry", bystander),
        "libs/poem/poem.py": "",
        "libs/pedal/pedal.py": "",
    }
    return repository(write(root, files))


STALE = ("libs/poem/poetry.lock", "libs/pedal/pdm.lock")


def test_each_tool_updates_its_lock_file_in_the_commit_of_the_bump(
    tmp_path: Path, bump: Bump, tools: Tools
) -> None:
    tools.install("poetry", "pdm")
    root = locked(tmp_path / "many")
    before = everything(root)
    ran = done(bump, root, *MAJOR, *COMMIT, "--lock")
    assert sorted(tools.runs()) == ["pdm in pedal", "poetry in poem"]
    edited = [f"libs/{name}/pyproject.toml" for name in ("base", "pedal", "poem")]
    assert committed(root) == sorted([*edited, *STALE])
    for file in STALE:
        directory, _, name = file.rpartition("/")
        pyproject = git(root, "show", f"base-v2.0.0:{directory}/pyproject.toml") + "\n"
        assert (root / file).read_text() == lock_of(name.partition(".")[0], pyproject)
    assert 'base = "^2.0"' in (root / "libs/poem/pyproject.toml").read_text()
    assert git(root, "status", "--porcelain", "--ignored") == ""  # what else the tools wrote is not here
    assert "made for the old requirements" not in ran.text
    done(bump, root, "--undo")
    assert everything(root) == before


def test_in_a_project_below_the_top_level_the_tools_run_in_its_directories(
    tmp_path: Path, bump: Bump, tools: Tools
) -> None:
    tools.install("poetry", "pdm")
    top = tmp_path / "top"
    root = locked(top / "python")
    shutil.rmtree(root / ".git")
    write(top, {"README.md": "# All\n"})
    repository(top)
    done(bump, root, *MAJOR, *COMMIT, "--lock")
    assert {f"python/{name}" for name in STALE} <= set(committed(top))
    assert git(top, "status", "--porcelain", "--ignored") == ""


def test_without_the_option_lock_files_are_unchanged_and_listed(tmp_path: Path, bump: Bump, tools: Tools) -> None:
    tools.install("poetry", "pdm")
    root = locked(tmp_path / "many")
    before = everything(root).files
    ran = done(bump, root, *MAJOR, *COMMIT)
    locks = "libs/pedal/pdm.lock, libs/poem/poetry.lock"
    assert f"{locks}: out of date after this bump; to update it: --lock" in ran.text
    assert committed(root) == [f"libs/{name}/pyproject.toml" for name in ("base", "pedal", "poem")]
    after = everything(root).files
    assert {name: after[name] for name in STALE} == {name: before[name] for name in STALE}
    assert tools.runs() == []


@pytest.mark.parametrize("name", ["poetry", "pdm"])
@pytest.mark.parametrize("is_missing", [False, True], ids=["fails", "missing"])
def test_a_failing_or_missing_tool_is_reported_and_nothing_is_bumped(
    tmp_path: Path, bump: Bump, tools: Tools, name: str, *, is_missing: bool
) -> None:
    tools.install(*{"poetry", "pdm"} - {name})
    if not is_missing:
        tools.install(name, broken=True)
    said = run_blocked_bump(
        bump, locked(tmp_path / "many"), *MAJOR, *COMMIT, "--lock", code=1 if is_missing else 2
    )
    directory = "libs/poem" if name == "poetry" else "libs/pedal"
    expected = (
        [
            f"{name} is not on PATH",
            f"install {name}, or add its directory to PATH; without --lock the lock file is not updated",
        ]
        if is_missing
        else [
            f"{name} failed with status 3",
            "| The requirements have no solution",
            f"reproduce it: cd {directory} && {name} lock; without --lock the lock file is not updated",
        ]
    )
    assert [text for text in expected if text not in said] == []


def test_a_lock_file_with_uncommitted_changes_is_not_overwritten_even_with_force(
    tmp_path: Path, bump: Bump, tools: Tools
) -> None:
    tools.install("poetry", "pdm")
    root = locked(tmp_path / "many")
    write(root, {STALE[0]: "# mine\n"})
    for force in ((), ("--allow-dirty",)):
        said = run_blocked_bump(bump, root, *MAJOR, *COMMIT, "--lock", *force)
        assert f"uncommitted changes: {STALE[0]}" in said


@pytest.mark.parametrize("where", ["outside git", "before the first commit"])
def test_without_a_commit_to_clone_the_option_is_rejected(
    tmp_path: Path, bump: Bump, tools: Tools, where: str
) -> None:
    tools.install("poetry", "pdm")
    root = locked(tmp_path / "many")
    shutil.rmtree(root / ".git")
    if where == "before the first commit":
        git(root, "init", "--quiet")
    before = {path: path.read_bytes() for path in root.rglob("libs/**/*.*")}
    ran = bump(root, *MAJOR, "--lock", code=1)
    assert "(needed for --lock)" in ran.err
    assert "remove --lock" in ran.err
    assert {path: path.read_bytes() for path in root.rglob("libs/**/*.*")} == before


def test_each_requirement_that_changes_is_noted_once_and_by_name(tmp_path: Path, bump: Bump) -> None:
    group = '\n[tool.poetry.group.dev.dependencies]\nbase = "^1.0"\n'
    files = {
        "pyproject.toml": SETTINGS,
        "libs/base/pyproject.toml": library("base", "1.0.0"),
        "libs/poem/pyproject.toml": POEM.replace("\n[build-system]", f"{group}\n[build-system]"),
        "libs/prose/pyproject.toml": library(
            "prose", "1.0.0", "base<2", more='optional-dependencies = {x = ["base<2"]}'
        ),
    }
    root = repository(write(tmp_path / "many", files))
    ran = done(bump, root, *MAJOR, "--dry-run")
    assert re.findall("note: (.* becomes .*)", ran.text) == [
        "poem: base ^1.0 becomes ^2.0",
        "prose: base<2 becomes base<3",
    ]


def test_ignored_lock_files_are_skipped(tmp_path: Path, bump: Bump, tools: Tools) -> None:
    tools.install("poetry", "pdm")
    root = locked(tmp_path / "many")
    git(root, "rm", "--quiet", "--cached", *STALE)
    write(root, {".gitignore": "/libs/*/p*.lock\n"})
    commit_all(root)
    before = {name: (root / name).read_bytes() for name in STALE}
    for options in (MAJOR, (*MAJOR, "--lock")):
        ran = done(bump, root, *options, *COMMIT)
        assert ".lock" not in ran.text
        assert {name: (root / name).read_bytes() for name in STALE} == before
        done(bump, root, "--undo")
    assert tools.runs() == []


def test_a_rerun_of_a_rejected_push_runs_no_tool_again(tmp_path: Path, bump: Bump, tools: Tools) -> None:
    tools.install("poetry", "pdm")
    root = locked(tmp_path / "many")
    hook = shell(root / ".git/hooks/pre-push", "exit 1")
    options = (*MAJOR, *COMMIT, "--lock", "--push")
    assert bump(root, *options).code == 2
    hook.unlink()
    times = len(tools.runs())
    done(bump, root, *options)
    assert len(tools.runs()) == times
    assert git(root, "rev-parse", "origin/main") == git(root, "rev-parse", "HEAD")


# --- a uv.lock beside each member ----------------------------------------------------------------------


def uv_lock(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run uv in a directory, without an index."""
    uv = shutil.which("uv", path=f"{sys.exec_prefix}/bin")
    assert uv is not None
    words = [uv, "lock", *options, "--offline", "--no-config", "--python", sys.executable]
    return subprocess.run(words, cwd=directory, capture_output=True, text=True, check=False)


def assert_locked(root: Path, names: Iterable[str]) -> None:
    """uv finds nothing to change in the lock files of these members."""
    for name in names:
        checked = uv_lock(root / "libs" / name, "--check")
        assert checked.returncode == 0, (name, checked.stderr)


MEMBERS = ("alone", "lower", "upper")


@pytest.fixture
def members(tmp_path: Path) -> Path:
    """Three libraries that are no uv workspace, each with its own lock; upper takes lower from its directory."""
    source = '\n[tool.uv.sources]\nlower = { path = "../lower", editable = true }\n'
    root = write(
        tmp_path / "members",
        {
            "pyproject.toml": SETTINGS,
            "libs/alone/pyproject.toml": library("alone", "1.0.0"),
            "libs/lower/pyproject.toml": library("lower", "1.0.0"),
            "libs/upper/pyproject.toml": library("upper", "1.0.0", "lower>=1,<2", more=source),
        },
    )
    for name in MEMBERS:
        assert uv_lock(root / "libs" / name).returncode == 0
    return repository(root)


def entry(name: str, version: str) -> str:
    return f'name = "{name}"\nversion = "{version}"\n'


@pytest.mark.parametrize(
    ("options", "moved"),
    [
        (("--package", "alone", "--part", "minor"), {"alone": {"alone": "1.1.0"}}),
        (("--package", "upper", "--pre", "rc"), {"upper": {"upper": "1.0.1rc0"}}),
        (  # the lock of what takes it from its directory names its version too
            ("--package", "lower", "--part", "minor"),
            {"lower": {"lower": "1.1.0"}, "upper": {"lower": "1.1.0"}},
        ),
        (  # the requirement follows, and its package with it
            ("--package", "lower", "--part", "major"),
            {"lower": {"lower": "2.0.0"}, "upper": {"lower": "2.0.0", "upper": "1.0.1"}},
        ),
        (
            ("--all", "--to", "3.0"),
            {
                "alone": {"alone": "3.0"},
                "lower": {"lower": "3.0"},
                "upper": {"lower": "3.0", "upper": "3.0"},
            },
        ),
    ],
)
def test_versions_in_lock_files_of_members_are_updated_and_uv_accepts_them(
    members: Path, bump: Bump, options: tuple[str, ...], moved: dict[str, dict[str, str]]
) -> None:
    assert_locked(members, MEMBERS)
    before = everything(members).files
    done(bump, members, *options, *COMMIT)
    for name in MEMBERS:
        file = f"libs/{name}/uv.lock"
        expected = before[file].decode()
        for each, version in moved.get(name, {}).items():
            assert expected.count(entry(each, "1.0.0")) == 1
            expected = expected.replace(entry(each, "1.0.0"), entry(each, version))
        assert (members / file).read_bytes() == expected.encode(), file
        assert (file in committed(members)) == (name in moved)
    assert_locked(members, MEMBERS)
    assert git(members, "status", "--porcelain") == ""


def test_a_published_package_with_the_name_of_a_member_is_unchanged(members: Path, bump: Bump) -> None:
    published = '\n[[package]]\nname = "lower"\nversion = "1.0.0"\nsource = { registry = "../index" }\n'
    file = members / "libs/alone/uv.lock"
    file.write_bytes((file.read_bytes() + published.encode()).replace(b"\n", b"\r\n"))
    write(members, {".gitattributes": "* -text\n"})
    commit_all(members)
    before = file.read_bytes()
    done(bump, members, "--package", "lower", "--package", "alone", "--part", "minor", *COMMIT)
    own = b'name = "alone"\r\nversion = "1.%d.0"\r\n'
    assert file.read_bytes() == before.replace(own % 0, own % 1) != before


EXTRAS = 'optional-dependencies = { fast = [], all = ["NEED"], more = ["NEED ; python_version < \'4\'"] }\n'
GROUP = (
    '[dependency-groups]\ndev = ["NEED"]\n[tool.uv.sources]\nalone = { workspace = true }\n[tool.uv.workspace]\n'
)


@pytest.mark.parametrize(
    ("need", "changed"),
    [
        ("alone[fast]==1.0.0", "==1.1.0"),
        ("alone[fast] ~= 1.0.0, != 1.0.5", "!=1.0.5,~=1.1.0"),
        ("alone[fast]<1.1,>=1", ">=1.1.0,<1.2"),
        ("alone[fast]==1.0.*", "==1.1.*"),
        ("alone[fast]>=1", ">=1"),
    ],
)
@pytest.mark.parametrize("more", [EXTRAS, GROUP], ids=["extras", "group"])
def test_a_requirement_of_a_package_on_itself_changes_in_its_lock_file_as_well(
    tmp_path: Path, bump: Bump, need: str, changed: str, more: str
) -> None:
    root = write(
        tmp_path / "alone",
        {
            "pyproject.toml": '[tool.relnox]\npackages = ["libs/*"]\n',
            "libs/alone/pyproject.toml": library("alone", "1.0.0", more=more.replace("NEED", need)),
        },
    )
    made = uv_lock(root / "libs/alone")
    assert made.returncode == 0, made.stderr
    done(bump, repository(root), "--part", "minor", *COMMIT)
    assert_locked(root, ["alone"])
    lock = (root / "libs/alone/uv.lock").read_text()
    assert lock.count(f'specifier = "{changed}"') == (2 if more == EXTRAS else 0)


def test_lock_files_elsewhere_change_for_the_package_in_that_directory_only(members: Path, bump: Bump) -> None:
    entries = {
        "docs/uv.lock": "../libs/upper",
        "tests/data/uv.lock": "../../libs/upper",
        "tests/sample/uv.lock": ".",  # another package of that name
    }
    text = 'version = 1\n\n[[package]]\nname = "upper"\nversion = "1.0.0"\nsource = {{ editable = "{}" }}\n'
    write(members, {file: text.format(path) for file, path in entries.items()})
    commit_all(members)
    done(bump, members, "--package", "upper", "--part", "minor", *COMMIT)
    for file, path in entries.items():
        version = "1.0.0" if path == "." else "1.1.0"
        assert (members / file).read_text() == text.format(path).replace("1.0.0", version)


BASE = '{ name = "base", specifier = "==1.0.0" }'


@pytest.mark.parametrize(
    ("declared", "metadata"),
    [
        ('dependencies = ["base==1.0.0"]', f"requires-dist = [{BASE}]"),
        ('optional-dependencies.x = ["base==1.0.0"]', f"requires-dist = [{BASE}]"),
        ('[dependency-groups]\ntest = ["base==1.0.0"]', f"requires-dev = {{ test = [{BASE}] }}"),
    ],
)
def test_a_lock_file_that_takes_a_sibling_from_an_index_is_named(
    tmp_path: Path, bump: Bump, declared: str, metadata: str
) -> None:
    lock = (
        'version = 1\n\n[[package]]\nname = "app"\nversion = "1.0.0"\nsource = { editable = "." }\n\n'
        f'[package.metadata]\n{metadata}\n\n[[package]]\nname = "base"\nversion = "1.0.0"\n'
        'source = { registry = "https://example.invalid/simple" }\n'
    )
    files = {
        "pyproject.toml": SETTINGS,
        "libs/base/pyproject.toml": library("base", "1.0.0"),
        "libs/app/pyproject.toml": f'[project]\nname = "app"\nversion = "1.0.0"\n{declared}\n',
        "libs/app/uv.lock": lock,
    }
    root = repository(write(tmp_path / "many", files))
    ran = done(bump, root, "--package", "base", "--part", "minor", *COMMIT)
    assert (
        "libs/app/uv.lock: out of date after this bump (it takes base from an index); when base 1.1.0 is "
        "published: uv lock --project libs/app" in ran.text
    )
    after = lock if "groups" in declared else lock.replace('"app"\nversion = "1.0.0"', '"app"\nversion = "1.0.1"')
    assert (root / "libs/app/uv.lock").read_text() == after


# --- to whom versions belong ---------------------------------------------------------------------------


def libraries(root: Path, settings: str = "", **versions: str) -> Path:
    """Packages a, b and c; c needs exactly the a that is there."""
    versions = {"a": "1.0.0", "b": "1.0.0", "c": "1.0.0"} | versions
    files = {"pyproject.toml": f"{SETTINGS}{settings}"}
    for name, version in versions.items():
        needs = (f"a=={versions['a']}",) if name == "c" else ()
        files[f"libs/{name}/pyproject.toml"] = library(name, version, *needs)
        files[f"libs/{name}/src/{name}.py"] = ""
    return repository(write(root, files))


def test_versions_managed_by_another_tool_are_shown_and_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = libraries(tmp_path / "owned", 'managed-by = "cargo-release"\n')
    for task in ("status", "build-all"):
        plan = tmp_path / f"{task}.json"
        assert main([task, "--project", str(root), "--dry-run", "--plan", str(plan)]) == 0
        assert all(f'"{name}"' in plan.read_text() for name in "abc")
    assert "cargo-release" not in capsys.readouterr().err


def test_a_bump_made_before_another_tool_managed_versions_can_be_undone(tmp_path: Path, bump: Bump) -> None:
    root = libraries(tmp_path / "owned")
    before = everything(root).files
    done(bump, root, "--all", "--part", "minor", "--commit")
    owned = f'{SETTINGS}managed-by = "cargo-release"\n'
    write(root, {"pyproject.toml": owned})
    done(bump, root, "--undo")
    assert everything(root).files == before | {"pyproject.toml": owned.encode()}


# --- groups, and the tags that they get ----------------------------------------------------------------


class Released(NamedTuple):
    """What came of a bump: the versions of a, b and c, and the new tags."""

    versions: str
    tags: str


def release(bump: Bump, root: Path, *options: str) -> Released:
    """Release, and see that each new tag is an annotated one on the new commit."""
    before = set(git(root, "tag").split())
    done(bump, root, *options, *COMMIT)
    tags = sorted(set(git(root, "tag").split()) - before)
    assert {git(root, "cat-file", "-t", tag) for tag in tags} == {"tag"}
    assert {git(root, "rev-parse", f"{tag}^{{}}") for tag in tags} == {git(root, "rev-parse", "HEAD")}
    assert git(root, "status", "--porcelain") == ""
    texts = ((root / f"libs/{name}/pyproject.toml").read_text() for name in "abc")
    found = [line for text in texts for line in re.findall('^version = "(.*)"', text, re.MULTILINE)]
    return Released(" ".join(found), " ".join(tags))


def group(kind: str, *names: str) -> str:
    listed = ", ".join(f'"{name}"' for name in names or ("a", "b"))
    return f'\n[tool.relnox.groups.both]\npackages = [{listed}]\nkind = "{kind}"\n'


SHARED = 'tag-formats = { a = "both-v{version}", b = "both-v{version}" }\n'
MINOR = ("--part", "minor")
B = ("--package", "b", *MINOR)


@pytest.mark.parametrize(
    ("settings", "options", "expected"),
    [
        (group("fixed"), B, Released("1.1.0 1.1.0 1.0.1", "a-v1.1.0 b-v1.1.0 c-v1.0.1")),
        (SHARED + group("fixed"), B, Released("1.1.0 1.1.0 1.0.1", "both-v1.1.0 c-v1.0.1")),
        # What follows a package of its group is in the group: all three move as one.
        (
            group("fixed", "b", "c"),
            ("--package", "a", *MINOR),
            Released("1.1.0 1.0.1 1.0.1", "a-v1.1.0 b-v1.0.1 c-v1.0.1"),
        ),
        # One group of all: no setting but the form makes it one tag.
        ('tag-format = "v{version}"\n' + group("fixed", "*"), B, Released("1.1.0 1.1.0 1.1.0", "v1.1.0")),
        (
            'tag-format = "{directory}/v{version}"\n' + group("fixed"),
            B,
            Released("1.1.0 1.1.0 1.0.1", "a/v1.1.0 b/v1.1.0 c/v1.0.1"),
        ),
    ],
)
def test_a_group_is_bumped_and_tagged(
    tmp_path: Path, bump: Bump, settings: str, options: tuple[str, ...], expected: Released
) -> None:
    # c pins a, and so it moves where a does, whatever group a is in.
    root = libraries(tmp_path / "many", settings)
    before = everything(root)
    assert release(bump, root, *options) == expected
    done(bump, root, "--undo")
    assert everything(root) == before


def test_with_part_auto_a_change_of_one_package_bumps_its_fixed_group(tmp_path: Path, bump: Bump) -> None:
    root = libraries(tmp_path / "many", SHARED + group("fixed"))
    for tag in ("both-v1.0.0", "c-v1.0.0"):
        git(root, "tag", tag)
    write(root, {"libs/b/src/b.py": "more = 1\n"})
    commit_all(root, "feat: more")
    assert release(bump, root, "--part", "auto") == Released("1.1.0 1.1.0 1.0.1", "both-v1.1.0 c-v1.0.1")
    ran = done(bump, root, "--part", "auto", *COMMIT)  # what is tagged under a shared name is released
    assert "nothing to release" in ran.text
