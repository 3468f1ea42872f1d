"""Version files: where backends look for them, and those declared in `[[tool.relnox.version-files]]`.

`test_shapes` holds bumps of each backend's own file against the whole tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from projects import HATCHLING, commit_all, git, repository, write
from running import run_blocked_bump

from relnox.core.settings.config import Config
from relnox.source.discovery import discover_packages

if TYPE_CHECKING:
    from pathlib import Path

    from running import Bump

ALPHA = ("--part", "minor", "--pre", "alpha", "--commit")
MINOR = ("--part", "minor", "--commit")

# --- where backends look ---------------------------------------------------------------------------------------

ATTR = '[tool.setuptools.dynamic]\nversion = { attr = "demo.v" }\n'
HERE, OLD = 'v = "1.2.3"\n', 'v = "1.2.0"\n'


@pytest.mark.parametrize(
    ("backend", "table", "file", "others"),
    [
        ("setuptools.build_meta", '[tool.setuptools]\npackage-dir = { "" = "lib" }\n', "lib/demo/__init__.py", ()),
        (
            "setuptools.build_meta",
            '[tool.setuptools]\npackages = ["demo"]\npackage-dir = { demo = "lib/code" }\n',
            "lib/code/__init__.py",
            (),
        ),
        ("setuptools.build_meta", '[tool.setuptools.packages.find]\nwhere = ["./lib/"]\n', "lib/demo.py", ()),
        ("setuptools.build_meta", "", "src/demo/__init__.py", ("demo.py",)),
        (
            "setuptools.build_meta",
            '[tool.setuptools]\npackages = ["demo"]\n',
            "demo/__init__.py",
            ("src/demo/__init__.py",),
        ),
        ("flit_core.buildapi", '[tool.flit.module]\nname = "other"\n', "other.py", ()),
        ("pdm.backend", '[tool.pdm.version]\nsource = "file"\npath = "src/about.py"\n', "src/about.py", ()),
    ],
)
def test_a_version_is_found_where_the_backend_reads_it(
    backend: str, table: str, file: str, others: tuple[str, ...], tmp_path: Path
) -> None:
    name = "v" if backend.startswith("setuptools") else "__version__"
    pyproject = '[project]\nname = "demo-app"\ndynamic = ["version"]\n'
    pyproject += f'[build-system]\nbuild-backend = "{backend}"\n{table}{ATTR if name == "v" else ""}'
    write(tmp_path, {"pyproject.toml": pyproject, file: HERE.replace("v", name), **dict.fromkeys(others, OLD)})
    (package,) = discover_packages(tmp_path, Config()).packages
    assert (package.source.file, package.source.key, str(package.version)) == (file, (name,), "1.2.3")


HATCH = 'path = "src/demo/about.txt"\npattern = "is (?P<version>.*)"\n'


@pytest.mark.parametrize(
    ("pyproject", "hatch", "version"),
    [
        ("", f"[version]\n{HATCH}", "1.2.3"),
        ("", "version = { path = 'src/demo/__init__.py' }\n[version.x]\n", None),
        (f"[tool.hatch.version]\n{HATCH}", "[envs.default]\n", "1.2.3"),
        ("[tool.hatch.version]\npath = 'missing.py'\n", f"[version]\n{HATCH}", "1.2.3"),  # hatch.toml precedes
    ],
)
def test_the_settings_of_hatch_may_be_in_hatch_toml(
    tmp_path: Path, bump: Bump, pyproject: str, hatch: str, version: str | None
) -> None:
    head = f'[project]\nname = "demo"\ndynamic = ["version"]\n{HATCHLING}{pyproject}'
    files = {"pyproject.toml": head, "hatch.toml": hatch, "src/demo/about.txt": "it is 1.2.3\n"}
    root = repository(write(tmp_path / "demo", files))
    if version is None:
        assert "hatch.toml is not valid TOML" in run_blocked_bump(bump, root, "--part", "minor")
        return
    assert bump(root, *MINOR).code == 0
    assert changed(root) == {"src/demo/about.txt": ["it is 1.3.0"]}


def test_a_version_that_comes_from_code_can_be_declared_as_the_fix_says(tmp_path: Path, bump: Bump) -> None:
    pyproject = (
        f'[project]\nname = "demo"\ndynamic = ["version"]\n{HATCHLING}[tool.hatch.version]\nsource = "own"\n'
    )
    root = repository(write(tmp_path / "demo", {"pyproject.toml": pyproject, "v.txt": "1.2.3\n"}))
    said = run_blocked_bump(bump, root, "--part", "minor")
    assert "name the file that contains it in [[tool.relnox.version-files]] (file, pattern)" in said
    write(root, {"pyproject.toml": pyproject + place("v.txt", pattern="(?P<version>[0-9.]+)")})
    commit_all(root)
    assert bump(root, *MINOR).code == 0
    assert changed(root) == {"v.txt": ["1.3.0"]}


@pytest.mark.parametrize(
    ("table", "version"),
    [
        ('[tool.poetry]\nname = "demo"\nversion = "0.0.0"\n', "0.0.0"),
        ('[project]\nname = "demo"\nversion = "0.1.0.dev0"\n', "0.1.0.dev0"),
        ('[project]\nname = "demo"\ndynamic = ["version"]\n[tool.poetry]\nversion = "1.4.0"\n', "1.4.0"),
    ],
)
@pytest.mark.parametrize("enable", ["true", "false"])
def test_the_version_beside_poetry_dynamic_versioning_is_a_placeholder(
    tmp_path: Path, bump: Bump, table: str, version: str, enable: str
) -> None:
    backend = '[build-system]\nrequires = []\nbuild-backend = "poetry_dynamic_versioning.backend"\n'
    plugin = f"[tool.poetry-dynamic-versioning]\nenable = {enable}\n"
    root = repository(write(tmp_path / "demo", {"pyproject.toml": f"{backend}{table}{plugin}"}))
    git(root, "tag", "v1.4.0")
    if enable == "true":
        assert bump(root, *MINOR, "--tag").code == 0
        assert git(root, "tag").split() == ["v1.4.0", "v1.5.0"]
        assert f'version = "{version}"' in (root / "pyproject.toml").read_text()
    else:
        assert bump(root, "--to", "1.5.0", "--commit").code == 0
        assert changed(root) == {"pyproject.toml": ['version = "1.5.0"']}


@pytest.mark.parametrize(
    ("text", "bumps"),
    [
        ("1.2", {"patch": "1.2", "minor": "1.3", "major": "2.0", "--pre rc": "1.2"}),  # as Sphinx calls it: X.Y
        ("1", {"minor": "1", "major": "2"}),
        ("1.2.3", {"minor": "1.3.0", "--pre rc": "1.2.4rc0"}),
    ],
)
def test_a_declared_place_with_a_short_version_keeps_its_length(
    tmp_path: Path, bump: Bump, text: str, bumps: dict[str, str]
) -> None:
    conf = f'version = "{text}"\nrelease = "1.2.3"\n'
    names = ("version", "release")
    places = [place("docs/conf.py", pattern=f'^{name} = "(?P<version>.*)"') for name in names]
    root = demo(tmp_path / "demo", {"docs/conf.py": conf}, *places)
    start = git(root, "rev-parse", "HEAD")
    for part, expected in bumps.items():
        git(root, "reset", "--quiet", "--hard", start)
        words = part.split() if part.startswith("-") else ("--part", part)
        assert bump(root, *words, "--commit").code == 0
        assert (root / "docs/conf.py").read_text().startswith(f'version = "{expected}"\n')
        assert bump(root, "--part", "major", "--commit").code == 0  # the places still agree


def test_two_packages_may_share_one_file(tmp_path: Path, bump: Bump) -> None:
    files = {
        "VERSION": "1.0\n",
        "pyproject.toml": '[tool.relnox]\npackages = ["one", "two"]\nversions = "lockstep"\n',
    }
    for name in ("one", "two"):
        files[f"{name}/pyproject.toml"] = (
            f'[project]\nname = "{name}"\ndynamic = ["version"]\n'
            '[build-system]\nbuild-backend = "hatchling.build"\n'
            '[tool.hatch.version]\npath = "../VERSION"\npattern = "(?P<version>.+)"\n'
        )
    root = repository(write(tmp_path / "both", files))
    assert bump(root, *MINOR, "--tag").code == 0
    assert (root / "VERSION").read_text() == "1.1\n"


# --- declared files --------------------------------------------------------------------------------------------


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
    added: dict[str, list[str]] = {}
    file = ""
    for line in git(root, "show", "--format=", "-U0", "--no-renames").splitlines():
        if line.startswith("+++ "):
            file = line.removeprefix("+++ b/")
        elif line.startswith("+"):
            added.setdefault(file, []).append(line.removeprefix("+"))
    return added


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
PATTERNS = {
    "docs/a.md": (
        r"^(demo) \(version (?P<version>[\w.]+), since (?P<value>[0-9.]+)\)$",
        "demo (version 1.2.3, since 1.2.0)\ndemo (version 9)\n",
        ["demo (version 1.3.0a0, since 1.2.0)"],
    ),
    "docs/b.md": (r"(?P<value>[\w.]+) (two)", "one 1.2.3 two\n", ["one 1.3.0a0 two"]),
    "docs/conf.py": ('^version = "v(?P<version>.*)"', 'version = "v1.2.3"\n', ['version = "v1.3.0a0"']),
    "pyproject.toml": ('^current = "(?P<version>.*)"', "", ['version = "1.3.0a0"', 'current = "1.3.0a0"']),
}


def test_all_locations_are_bumped_in_one_commit_and_undone_together(tmp_path: Path, bump: Bump) -> None:
    files = {name: text for name, (text, _) in KNOWN.items()} | {
        name: text for name, (_, text, _) in PATTERNS.items()
    }
    del files["pyproject.toml"]
    declared = [place(name) for name in KNOWN] + [place(name, pattern=of[0]) for name, of in PATTERNS.items()]
    root = demo(
        tmp_path / "demo", files | {"package-lock.json": NPM_LOCK}, '[tool.x]\ncurrent = "1.2.3"', *declared
    )
    before = git(root, "rev-parse", "HEAD^{tree}")
    bump(root, *ALPHA, code=0)
    expected = {name: lines for name, (*_, lines) in {**KNOWN, **PATTERNS}.items()}
    assert changed(root) | expected == changed(root)
    lock = NPM_LOCK.replace('"version": "1.2.3"', '"version": "1.3.0-alpha.0"', 2)
    assert (root / "package-lock.json").read_text() == lock
    assert bump(root, "--undo").code == 0
    assert git(root, "rev-parse", "HEAD^{tree}") == before
    assert git(root, "status", "--porcelain") == ""


def test_the_lock_file_of_a_package_json_that_the_backend_reads_is_bumped(tmp_path: Path, bump: Bump) -> None:
    node = (
        f'[project]\nname = "demo"\ndynamic = ["version"]\n{HATCHLING}\n[tool.hatch.version]\nsource = "nodejs"\n'
    )
    lock = NPM_LOCK.replace("\n", "\r\n")
    files = {"pyproject.toml": node, "package.json": '{"version": "1.2.3"}', "npm-shrinkwrap.json": lock}
    root = repository(write(tmp_path / "demo", files))
    assert bump(root, *ALPHA).code == 0
    expected = lock.replace('"version": "1.2.3"', '"version": "1.3.0-alpha.0"', 2)
    assert (root / "npm-shrinkwrap.json").read_bytes() == expected.encode()


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
    assert bump(root, *MINOR).code == 0
    assert sorted(changed(root)) == ["package.json", "pyproject.toml"]


@pytest.mark.parametrize("lock", ["package-lock.json", "Cargo.lock"])
def test_a_lock_file_of_npm_or_cargo_that_git_ignores_is_unchanged(tmp_path: Path, bump: Bump, lock: str) -> None:
    locks = {"package-lock.json": NPM_LOCK, "Cargo.lock": '[[package]]\nname = "demo"\nversion = "1.2.3"\n'}
    files = {
        ".gitignore": f"{lock}\n",
        "Cargo.toml": KNOWN["Cargo.toml"][0],
        "package.json": '{"version": "1.2.3"}',
        "pyproject.toml": '[project]\nname = "demo"\ndynamic = ["version"]\n'
        '[build-system]\nrequires = ["maturin"]\nbuild-backend = "maturin"\n' + place("package.json"),
    }
    root = repository(write(tmp_path / "demo", files | locks))
    assert bump(root, *MINOR).code == 0
    assert sorted(changed(root)) == sorted({"Cargo.toml", "package.json", *locks} - {lock})
    assert (root / lock).read_text() == locks[lock]


def test_text_around_a_location_is_unchanged(tmp_path: Path, bump: Bump) -> None:
    root = demo(tmp_path / "demo", {}, place("notes.txt", pattern="demo (?P<version>[0-9.]+)", count=2))
    content = b"\xef\xbb\xbf\xc3\xbcml\xc3\xa4ut\r\ndemo 1.2.3 \xf0\x9f\x90\x8d\r\ndemo 1.2.3, no end"
    (root / "notes.txt").write_bytes(content)
    (root / ".gitattributes").write_bytes(b"* -text\n")
    commit_all(root)
    assert bump(root, *MINOR).code == 0
    assert (root / "notes.txt").read_bytes() == content.replace(b"1.2.3", b"1.3.0")


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
    assert bump(root, *MINOR).code == 0
    assert changed(root) == {"pyproject.toml": ['version = "1.3.0"']}


@pytest.mark.parametrize(
    ("file", "scheme", "texts"),
    [
        ("a.txt", None, ("1.3.0a1", "1.3.0a2")),
        ("a.txt", "semver", ("1.3.0-alpha.1", "1.3.0-alpha.2")),
        ("package.json", "pep440", ("1.3.0a1", "1.3.0a2")),
        ("a.txt", None, ("1.3.0-alpha.1", "1.3.0a2")),  # PEP 440 reads it, and writes it its own way
    ],
)
def test_the_version_format_can_be_declared(
    tmp_path: Path, bump: Bump, file: str, scheme: str | None, texts: tuple[str, str]
) -> None:
    more = {"scheme": scheme} if scheme else {}
    if file == "a.txt":
        more["pattern"] = '"version": "(?P<version>.*)"'
    before, after = (f'{{"version": "{text}"}}\n' for text in texts)
    root = demo(tmp_path / "demo", {file: before}, place(file, **more), version="1.3.0a1")
    assert bump(root, "--part", "pre", "--commit").code == 0
    assert (root / file).read_text() == after


# --- whose ---------------------------------------------------------------------------------------------------


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
    assert bump(root, "--package", "a", *MINOR).code == 0
    assert sorted(changed(root)) == ["packages/a/a.py", "packages/a/pyproject.toml"]
    assert bump(root, "--package", "b", *MINOR).code == 0
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
    assert bump(root, *MINOR).code == 0
    assert changed(root)["docs/x.txt"] == ["x 1.1.0"]


def test_a_version_from_tags_updates_its_locations(tmp_path: Path, bump: Bump) -> None:
    scm = '[project]\nname = "scm"\ndynamic = ["version"]\n\n[tool.setuptools_scm]\n\n' + place("CITATION.cff")
    root = repository(write(tmp_path / "scm", {"pyproject.toml": scm, "CITATION.cff": "version: 1.0.0\n"}))
    git(root, "tag", "v1.0.0")
    assert bump(root, *MINOR, "--tag").code == 0
    assert git(root, "show", "v1.1.0:CITATION.cff") == "version: 1.1.0"


PIN = r"==(?P<version>[0-9.]+)"


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (place("no.txt", pattern="(?P<version>.*)"), "no.txt of [[tool.relnox.version-files]] cannot be read"),
        (place("a.txt"), "a.txt of [[tool.relnox.version-files]] requires a pattern"),
        (place("a.txt", pattern="y (?P<version>.*)"), "the pattern matches 0 times"),
        (place("a.txt", pattern="(?P<version>z)?x"), "a.txt of [[tool.relnox.version-files]]"),
        (place("a.txt", pattern="[x.] ?(?P<version>1)?", count=3), "a.txt of [[tool.relnox.version-files]]"),
        (place("twice.txt", pattern=PIN), "the pattern matches 2 times"),
        (place("twice.txt", pattern=PIN, count=3), "the pattern matches 2 times, not 3"),
        (place("twice.txt", pattern=PIN, count=2), "it has different versions: 1.2.2 and 1.2.3"),
        (place("src", pattern="(?P<version>.*)"), "src of [[tool.relnox.version-files]] cannot be read"),
        (place("bin", pattern="(?P<version>.*)"), "bin of [[tool.relnox.version-files]]"),
        (place("src/demo.py"), "src/demo.py of [[tool.relnox.version-files]]: __version__ is assigned 0 times"),
        (place("latest.py"), "latest.py: 'latest' is not a valid version (PEP 440)"),
        (place("latest.py", package="dmeo"), "did you mean demo?"),
    ],
)
def test_an_invalid_declaration_is_blocked(tmp_path: Path, bump: Bump, declared: str, said: str) -> None:
    files = {"a.txt": "x 1.2.3\n", "src/demo.py": "", "twice.txt": "demo==1.2.3\ndemo[x]==1.2.2\n"}
    root = demo(tmp_path / "demo", files | {"latest.py": '__version__ = "latest"\n'}, declared)
    (root / "bin").write_bytes(b"\xff\xfe1.2.3")
    commit_all(root)
    assert said in run_blocked_bump(bump, root, "--part", "minor")
