"""`[[tool.relnox.version-files]]`: further files that contain the version."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from projects import HATCHLING, commit_all, git, repository, write
from running import run_blocked_bump

if TYPE_CHECKING:
    from pathlib import Path

    from running import Bump

pytestmark = pytest.mark.heavy


def place(file: str, **settings: str | int) -> str:
    """Format a declared version file as TOML; patterns in single quotes."""
    lines = [
        f"{key} = {value}" if isinstance(value, int) else f"{key} = '{value}'" for key, value in settings.items()
    ]
    return "\n".join(["[[tool.relnox.version-files]]", f'file = "{file}"', *lines, ""])


def demo(root: Path, files: dict[str, str], *declared: str, version: str = "1.2.3") -> Path:
    """Make a repository of one package with more files, and the declared version files."""
    pyproject = f'[project]\nname = "demo"\nversion = "{version}"\n\n{HATCHLING}\n' + "\n".join(declared)
    return repository(write(root, {"pyproject.toml": pyproject, **files}))


def changed(root: Path) -> dict[str, list[str]]:
    """Lines that the last commit added, by file."""
    found: dict[str, list[str]] = {}
    file = ""
    for line in git(root, "show", "--format=", "-U0", "--no-renames").splitlines():
        if line.startswith("+++ "):
            file = line.removeprefix("+++ b/")
        elif line.startswith("+"):
            found.setdefault(file, []).append(line.removeprefix("+"))
    return found


KNOWN = {
    "src/demo/__init__.py": ('"""demo 1.2.3"""\n\n__version__ = "1.2.3"\n', ['__version__ = "1.3.0a0"']),
    "typings/demo.pyi": ('__version__: str = "1.2.3"\n', ['__version__: str = "1.3.0a0"']),
    "Cargo.toml": ('[package]\nname = "demo"\nversion = "1.2.3"\n', ['version = "1.3.0-alpha.0"']),
    "package.json": (
        '{"dependencies": {"version": "1.2.3"},\n "version": "1.2.3"}\n',
        [' "version": "1.3.0-alpha.0"}'],
    ),
    "CITATION.cff": ('cff-version: 1.2.0\nversion: "1.2.3"  # this\ndoi: 1.2.3\n', ['version: "1.3.0a0"  # this']),
}


@pytest.mark.parametrize("file", KNOWN)
def test_files_of_known_formats_need_no_pattern(tmp_path: Path, bump: Bump, file: str) -> None:
    text, expected = KNOWN[file]
    root = demo(tmp_path / "demo", {file: text}, place(file))
    ran = bump(root, "--part", "minor", "--pre", "alpha", "--commit")
    assert ran.code == 0, ran.text
    assert changed(root) == {file: expected, "pyproject.toml": ['version = "1.3.0a0"']}


def test_all_locations_are_bumped_in_one_commit_and_undone_together(tmp_path: Path, bump: Bump) -> None:
    files = {name: text for name, (text, _) in KNOWN.items()}
    root = demo(tmp_path / "demo", files, *(place(name) for name in files))
    before = git(root, "rev-parse", "HEAD^{tree}")
    assert bump(root, "--part", "patch", "--commit").code == 0
    assert sorted(changed(root)) == sorted([*files, "pyproject.toml"])
    assert json.loads((root / "package.json").read_text())["version"] == "1.2.4"
    assert bump(root, "--undo").code == 0
    assert git(root, "rev-parse", "HEAD^{tree}") == before
    assert git(root, "status", "--porcelain") == ""


NPM_LOCK = """\
{
  "name": "demo",
  "version": "1.2.3",
  "lockfileVersion": 3,
  "packages": {
    "": { "name" : "demo",  "version": "1.2.3", "dependencies": {"version": "1.2.3"} },
    "node_modules/version": {"version": "1.2.3"}
  },
  "dependencies": {"version": {"version": "1.2.3"}}
}
"""
NODE = "[tool.hatch.version]\nsource = 'nodejs'\n"


@pytest.mark.parametrize("lock", ["package-lock.json", "npm-shrinkwrap.json"])
@pytest.mark.parametrize("is_declared", [True, False])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_lock_file_of_npm_gets_the_version_of_its_package_json(
    tmp_path: Path, bump: Bump, lock: str, newline: str, *, is_declared: bool
) -> None:
    text = NPM_LOCK.replace("\n", newline)
    files = {f"web/{lock}" if is_declared else lock: text}
    if is_declared:
        root = demo(
            tmp_path / "demo", files | {"web/package.json": '{"version": "1.2.3"}'}, place("web/package.json")
        )
    else:
        project = f'[project]\nname = "demo"\ndynamic = ["version"]\n{HATCHLING}\n{NODE}'
        root = tmp_path / "demo"
        repository(write(root, {"pyproject.toml": project, "package.json": '{"version": "1.2.3"}', **files}))
    (file,) = files
    ran = bump(root, "--part", "minor", "--pre", "alpha", "--commit")
    assert ran.code == 0, ran.text
    expected = text.replace('"version": "1.2.3"', '"version": "1.3.0-alpha.0"', 2)
    assert (root / file).read_bytes() == expected.encode()
    assert git(root, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("lock", "more"),
    [
        (NPM_LOCK.replace('"version": "1.2.3"', '"version": "1.1.0"', 2), ""),  # npm did not update it either
        ("not JSON", ""),
        (NPM_LOCK, place("package-lock.json", count=0)),
    ],
)
def test_another_version_in_the_lock_file_of_npm_is_unchanged(
    tmp_path: Path, bump: Bump, lock: str, more: str
) -> None:
    files = {"package-lock.json": lock, "package.json": '{"version": "1.2.3"}'}
    root = demo(tmp_path / "demo", files, place("package.json"), more)
    ran = bump(root, "--part", "minor", "--commit")
    assert ran.code == 0, ran.text
    assert sorted(changed(root)) == ["package.json", "pyproject.toml"]


@pytest.mark.parametrize("lock", ["package-lock.json", "Cargo.lock"])
def test_a_lock_file_of_npm_or_cargo_that_git_ignores_is_unchanged(tmp_path: Path, bump: Bump, lock: str) -> None:
    locks = {"package-lock.json": NPM_LOCK, "Cargo.lock": '[[package]]\nname = "demo"\nversion = "1.2.3"\n'}
    files = {
        ".gitignore": f"{lock}\n",
        "Cargo.toml": '[package]\nname = "demo"\nversion = "1.2.3"\n',
        "package.json": '{"version": "1.2.3"}',
        "pyproject.toml": '[project]\nname = "demo"\ndynamic = ["version"]\n'
        '[build-system]\nrequires = ["maturin"]\nbuild-backend = "maturin"\n' + place("package.json"),
    }
    root = repository(write(tmp_path / "demo", files | locks))
    ran = bump(root, "--part", "minor", "--commit")
    assert ran.code == 0, ran.text
    assert sorted(changed(root)) == sorted({"Cargo.toml", "package.json", *locks} - {lock})
    assert (root / lock).read_text() == locks[lock]


def test_only_the_group_of_a_pattern_changes(tmp_path: Path, bump: Bump) -> None:
    files = {
        "docs/a.md": "demo (version 1.2.3, since 1.2.0)\ndemo (version 9)\n",
        "docs/b.md": "one 1.2.3 two\n",
    }
    root = demo(
        tmp_path / "demo",
        files,
        place("docs/a.md", pattern=r"^(demo) \(version (?P<version>[0-9.]+), since (?P<value>[0-9.]+)\)$"),
        place("docs/b.md", pattern=r"(?P<value>[0-9.]+) (two)"),
    )
    assert bump(root, "--part", "minor", "--commit").code == 0
    assert (root / "docs/a.md").read_text() == "demo (version 1.3.0, since 1.2.0)\ndemo (version 9)\n"
    assert (root / "docs/b.md").read_text() == "one 1.3.0 two\n"


def test_two_locations_in_one_file_change(tmp_path: Path, bump: Bump) -> None:
    root = demo(
        tmp_path / "demo",
        {"conf.py": 'release = "1.2.3"\nversion = "v1.2.3"\n'},
        place("conf.py", pattern='^release = "(?P<version>.*)"'),
        place("conf.py", pattern='^version = "v(?P<version>.*)"'),
    )
    assert bump(root, "--to", "10.0", "--commit").code == 0
    assert (root / "conf.py").read_text() == 'release = "10.0"\nversion = "v10.0"\n'


def test_a_location_in_pyproject_changes_with_the_version(tmp_path: Path, bump: Bump) -> None:
    tool = '[tool.other]\ncurrent = "1.2.3"\n'
    root = demo(tmp_path / "demo", {}, tool, place("pyproject.toml", pattern='^current = "(?P<version>.*)"'))
    assert bump(root, "--part", "major", "--commit").code == 0
    assert changed(root) == {"pyproject.toml": ['version = "2.0.0"', 'current = "2.0.0"']}


def test_text_around_a_location_is_unchanged(tmp_path: Path, bump: Bump) -> None:
    root = demo(tmp_path / "demo", {}, place("notes.txt", pattern="demo (?P<version>[0-9.]+)"))
    content = b"\xef\xbb\xbf\xc3\xbcml\xc3\xa4ut\r\ndemo 1.2.3 \xf0\x9f\x90\x8d\r\nno end"
    (root / "notes.txt").write_bytes(content)
    (root / ".gitattributes").write_bytes(b"* -text\n")
    commit_all(root)
    assert bump(root, "--part", "minor", "--commit").code == 0
    assert (root / "notes.txt").read_bytes() == content.replace(b"1.2.3", b"1.3.0")


# --- how often -----------------------------------------------------------------------------------------

TWICE = {"README.md": "pip install demo==1.2.3\n\npip install demo[x]==1.2.3\n"}
PIN = r"==(?P<version>[0-9.]+)"


def test_a_pattern_with_the_declared_count_changes_everywhere(tmp_path: Path, bump: Bump) -> None:
    root = demo(tmp_path / "demo", TWICE, place("README.md", pattern=PIN, count=2))
    assert bump(root, "--part", "minor", "--commit").code == 0
    assert (root / "README.md").read_text() == TWICE["README.md"].replace("1.2.3", "1.3.0")


@pytest.mark.parametrize(
    ("count", "said"), [(1, "the pattern matches 2 times"), (3, "the pattern matches 2 times, not 3")]
)
def test_a_pattern_with_another_count_is_blocked(tmp_path: Path, bump: Bump, count: int, said: str) -> None:
    root = demo(tmp_path / "demo", TWICE, place("README.md", pattern=PIN, count=count))
    for options in (("--part", "minor"), ("--to", "2.0")):
        error = run_blocked_bump(bump, root, *options)
        assert f"README.md of [[tool.relnox.version-files]]: {said}" in error
        assert "correct its key `pattern` or `count`" in error


def test_matches_with_different_versions_are_blocked(tmp_path: Path, bump: Bump) -> None:
    files = {"README.md": TWICE["README.md"].replace("[x]==1.2.3", "[x]==1.2.2")}
    root = demo(tmp_path / "demo", files, place("README.md", pattern=PIN, count=2))
    assert (
        "README.md of [[tool.relnox.version-files]]: it has different versions: 1.2.2 and 1.2.3"
        in run_blocked_bump(bump, root, "--part", "minor")
    )


def test_a_file_with_count_0_is_unchanged(tmp_path: Path, bump: Bump) -> None:
    # A crate with a version of its own: without the line, it is taken for the package's.
    maturin = '[build-system]\nrequires = ["maturin"]\nbuild-backend = "maturin"\n'
    files = {
        "pyproject.toml": f'[project]\nname = "demo"\nversion = "1.2.3"\n\n{maturin}',
        "Cargo.toml": '[package]\nname = "demo-rs"\nversion = "0.7.0"\n',
    }
    root = repository(write(tmp_path / "demo", files))
    said = run_blocked_bump(bump, root, "--part", "minor")
    assert "1.2.3: pyproject.toml" in said
    assert "0.7.0: Cargo.toml" in said
    assert "count = 0" in said
    write(root, {"pyproject.toml": f"{files['pyproject.toml']}\n{place('Cargo.toml', count=0)}"})
    commit_all(root)
    ran = bump(root, "--part", "minor", "--commit")
    assert ran.code == 0, ran.text
    assert changed(root) == {"pyproject.toml": ['version = "1.3.0"']}


# --- drift ---------------------------------------------------------------------------------------------


def drifted(root: Path) -> Path:
    files = {
        "src/demo/__init__.py": '__version__ = "1.2.2"\n',
        "package.json": '{"version": "1.2.3-rc.1"}\n',
        "CITATION.cff": "version: 1.2.3\n",
    }
    return demo(root, files, *(place(name) for name in files))


def test_different_versions_are_listed_by_location(tmp_path: Path, bump: Bump) -> None:
    said = run_blocked_bump(bump, drifted(tmp_path / "demo"), "--part", "minor", "--commit")
    assert "the files of demo contain different versions" in said
    listed = [line.strip() for line in said.splitlines() if line.startswith("  ")]
    assert listed == [
        "1.2.3: pyproject.toml",
        "1.2.2: src/demo/__init__.py",
        "1.2.3-rc.1: package.json",
        "1.2.3: CITATION.cff",
    ]


def test_an_explicit_version_aligns_locations(tmp_path: Path, bump: Bump) -> None:
    root = drifted(tmp_path / "demo")
    ran = bump(root, "--to", "1.3.0rc1", "--commit")
    assert ran.code == 0, ran.text
    assert changed(root) == {
        "CITATION.cff": ["version: 1.3.0rc1"],
        "package.json": ['{"version": "1.3.0-rc.1"}'],
        "pyproject.toml": ['version = "1.3.0rc1"'],
        "src/demo/__init__.py": ['__version__ = "1.3.0rc1"'],
    }
    assert bump(root, "--part", "release", "--commit").code == 0


def test_a_location_without_a_version_is_blocked_even_with_to(tmp_path: Path, bump: Bump) -> None:
    root = demo(tmp_path / "demo", {"a.py": "x = 1\n"}, place("a.py"))
    for options in (("--part", "minor"), ("--to", "2.0")):
        assert "a.py of [[tool.relnox.version-files]]: __version__ is assigned 0 times" in run_blocked_bump(
            bump, root, *options
        )


def test_an_invalid_version_is_blocked_with_its_file(tmp_path: Path, bump: Bump) -> None:
    root = demo(tmp_path / "demo", {"a.py": '__version__ = "latest"\n'}, place("a.py"))
    assert "a.py: 'latest' is not a valid version (PEP 440)" in run_blocked_bump(bump, root, "--part", "minor")


# --- whose, and how it is spelled ----------------------------------------------------------------------


def several(root: Path, files: dict[str, str], *declared: str, lockstep: bool = False) -> Path:
    """Make two independent packages, or two in lockstep, with version files."""
    settings = (
        f'[tool.relnox]\npackages = ["packages/*"]\nversions = "{"lockstep" if lockstep else "independent"}"\n\n'
    )
    for name, version in {"a": "1.0.0", "b": "1.0.0" if lockstep else "2.0.0"}.items():
        files[f"packages/{name}/pyproject.toml"] = (
            f'[project]\nname = "{name}"\nversion = "{version}"\n\n{HATCHLING}'
        )
    return repository(write(root, {"pyproject.toml": settings + "\n".join(declared), **files}))


def test_a_version_file_belongs_to_its_directories_package_or_the_named_one(tmp_path: Path, bump: Bump) -> None:
    root = several(
        tmp_path / "many",
        {"packages/a/a.py": '__version__ = "1.0.0"\n', "docs/b.txt": "b 2.0.0\n"},
        place("packages/a/a.py"),
        place("docs/b.txt", pattern="b (?P<version>.*)", package="b"),
    )
    assert bump(root, "--package", "a", "--part", "minor", "--commit").code == 0
    assert sorted(changed(root)) == ["packages/a/a.py", "packages/a/pyproject.toml"]
    assert bump(root, "--package", "b", "--part", "minor", "--commit").code == 0
    assert changed(root) == {"docs/b.txt": ["b 2.1.0"], "packages/b/pyproject.toml": ['version = "2.1.0"']}


def test_a_version_file_outside_all_packages_is_blocked_except_in_lockstep(tmp_path: Path, bump: Bump) -> None:
    files, declared = {"docs/x.txt": "x 1.0.0\n"}, place("docs/x.txt", pattern="x (?P<version>.*)")
    said = run_blocked_bump(bump, several(tmp_path / "many", dict(files), declared), "--all", "--part", "minor")
    assert (
        "docs/x.txt of [[tool.relnox.version-files]] is not in the directory of a package, "
        "and has no key `package`" in said
    )
    assert 'package = "a"' in said
    root = several(tmp_path / "one", dict(files), declared, lockstep=True)
    assert bump(root, "--part", "minor", "--commit").code == 0
    assert changed(root)["docs/x.txt"] == ["x 1.1.0"]


def test_an_unknown_package_is_blocked(tmp_path: Path, bump: Bump) -> None:
    root = demo(tmp_path / "demo", {"x.py": '__version__ = "1.2.3"\n'}, place("x.py", package="dmeo"))
    said = run_blocked_bump(bump, root, "--part", "minor")
    assert "no package dmeo" in said
    assert "did you mean demo?" in said


@pytest.mark.parametrize(
    ("file", "spelling", "texts"),
    [
        ("a.txt", None, ("1.3.0a1", "1.3.0a2")),
        ("a.txt", "semver", ("1.3.0-alpha.1", "1.3.0-alpha.2")),
        ("package.json", "pep440", ("1.3.0a1", "1.3.0a2")),
        ("a.txt", None, ("1.3.0-alpha.1", "1.3.0a2")),  # PEP 440 reads it, and writes it its own way
    ],
)
def test_the_version_format_can_be_declared(
    tmp_path: Path, bump: Bump, file: str, spelling: str | None, texts: tuple[str, str]
) -> None:
    more = {"scheme": spelling} if spelling else {}
    if file == "a.txt":
        more["pattern"] = '"version": "(?P<version>.*)"'
    before, after = (f'{{"version": "{text}"}}\n' for text in texts)
    root = demo(tmp_path / "demo", {file: before}, place(file, **more), version="1.3.0a1")
    ran = bump(root, "--part", "pre", "--commit")
    assert ran.code == 0, ran.text
    assert (root / file).read_text() == after


def test_a_version_that_a_location_cannot_express_is_blocked_with_its_file(tmp_path: Path, bump: Bump) -> None:
    root = demo(tmp_path / "demo", {"package.json": '{"version": "1.2.3"}\n'}, place("package.json"))
    assert "package.json: " in run_blocked_bump(bump, root, "--part", "post", "--commit")


# --- declarations that cannot be right -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (place("no.txt", pattern="(?P<version>.*)"), "no.txt of [[tool.relnox.version-files]] cannot be read"),
        (place("a.txt"), "a.txt of [[tool.relnox.version-files]] requires a pattern"),
        (place("a.txt", pattern="x (.*)"), "not valid: it has no group called version"),
        (place("a.txt", pattern="(?P<version>"), "not valid: it is not a regular expression"),
        (place("a.txt", pattern="y (?P<version>.*)"), "the pattern matches 0 times"),
        (place("a.txt", pattern="(?P<version>z)?x"), "a.txt of [[tool.relnox.version-files]]"),
        (place("a.txt", pattern="[x.] ?(?P<version>1)?", count=3), "a.txt of [[tool.relnox.version-files]]"),
        (place("a.txt", regex="x"), "has no key 'regex'"),
        (place("a.txt", scheme="calver"), "is not one of pep440, semver"),
        (place("src", pattern="(?P<version>.*)"), "src of [[tool.relnox.version-files]] cannot be read"),
        (place("bin", pattern="(?P<version>.*)"), "bin of [[tool.relnox.version-files]]"),
    ],
)
def test_an_invalid_declaration_is_blocked(tmp_path: Path, bump: Bump, declared: str, said: str) -> None:
    root = demo(tmp_path / "demo", {"a.txt": "x 1.2.3\n", "src/demo.py": ""}, declared)
    (root / "bin").write_bytes(b"\xff\xfe1.2.3")
    commit_all(root)
    assert said in run_blocked_bump(bump, root, "--part", "minor")


def test_a_version_from_tags_updates_its_locations(tmp_path: Path, bump: Bump) -> None:
    pyproject = '[project]\nname = "scm"\ndynamic = ["version"]\n\n[tool.setuptools_scm]\n\n' + place(
        "CITATION.cff"
    )
    root = repository(write(tmp_path / "scm", {"pyproject.toml": pyproject, "CITATION.cff": "version: 1.0.0\n"}))
    git(root, "tag", "v1.0.0")
    ran = bump(root, "--part", "minor", "--commit", "--tag")
    assert ran.code == 0, ran.text
    assert git(root, "show", "v1.1.0:CITATION.cff") == "version: 1.1.0"
