"""Repositories of many shapes: the packages that are found, their versions, their order, and what a bump changes.

A bump is held against the whole tree: the template of the repository with the new values says what each byte is.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import shapes
from backends import in_tree
from projects import commit_all, everything, git, repository, write
from running import open_project, run, run_in_process
from shapes import Shape

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


pytestmark = pytest.mark.heavy

RELEASE = ("--commit", "--tag")


class Shown(NamedTuple):
    """What `status` shows: rows by package, and the notes above them."""

    rows: dict[str, dict[str, str]]
    notes: list[str]

    @property
    def versions(self) -> dict[str, str]:
        return {name: row["version"] for name, row in self.rows.items()}


def planned(root: Path, task: str, *options: str) -> Any:
    """The plan of a task."""
    file = root.parent / "plan.json"
    run_in_process(root, task, "--dry-run", "--plan", str(file), *options, code=0)
    return json.loads(file.read_text(encoding="utf-8"))


def show(root: Path) -> Shown:
    """Run `status` and read its plan."""
    file = root.parent / "status.json"
    run_in_process(root, "status", "--plan", str(file), code=0)
    plan = json.loads(file.read_text(encoding="utf-8"))
    (table,) = plan["tables"]
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
    return Shown({row["package"]: row for row in rows}, plan["notes"])


def release(root: Path, shape: Shape, options: tuple[str, ...], *tags: str, **changed: str) -> None:
    """Run a bump, which writes these values into the shape and nothing else, commits it and adds the tags."""
    before, known = git(root, "rev-parse", "HEAD"), set(git(root, "tag").split())
    run_in_process(root, "bump", *options, code=0)
    files, expected = everything(root).files, shape.contents(**changed)
    for name in sorted(files.keys() | expected.keys()):
        assert files.get(name, b"").decode() == expected.get(name, b"").decode(), name
    assert git(root, "status", "--porcelain") == ""
    assert git(root, "rev-parse", "HEAD~1" if changed else "HEAD") == before
    assert sorted(set(git(root, "tag").split()) - known) == sorted(tags)
    for tag in tags:
        assert git(root, "rev-parse", f"{tag}^{{}}") == git(root, "rev-parse", "HEAD")


def new_versions(root: Path, *options: str) -> dict[str, str]:
    """New versions by package, from the plan's table, whose last column gives a reason for each."""
    (table,) = planned(root, "bump", *options)["tables"]
    assert table["columns"][:3] == ["package", "from", "to"]
    assert all(reason for _, _, _, reason in table["rows"])
    return {package: to for package, _, to, _ in table["rows"]}


def directories(root: Path) -> dict[str, str]:
    """Directories of the packages that are found, by name."""
    return {package.name: package.directory for package in open_project(root).workspace.packages}


def waves(root: Path) -> list[list[str]]:
    """Names of the packages in the order in which they can be released."""
    return [[package.name for package in wave] for wave in open_project(root).workspace.waves]


def replace(root: Path, name: str, old: str, new: str) -> None:
    """Change one fragment of a file and commit."""
    text = (root / name).read_bytes().decode()
    assert text.count(old) == 1
    (root / name).write_bytes(text.replace(old, new).encode())
    commit_all(root)


class Location(NamedTuple):
    """Where a package has its version: `<<version>>`, or `<<semver>>` in the other grammar, or its tags."""

    backend: str
    project: str
    files: Mapping[str, str] = MappingProxyType({})
    poetry: bool = False


STATIC = '[project]\nname = "NAME"\nversion = "<<version>>"  # not 1.2.3\ndependencies = [NEEDS]\n'
DYNAMIC = (
    '[project]\nname = "NAME"\ndescription = "version = 1.2.3"\ndynamic = ["version"]\ndependencies = [NEEDS]\n'
)
DECOYS = '\n[project.urls]\nversion = "https://example.invalid/1.2.3"\n\n[tool.other]\nversion = "1.2.3"\n'
CRATE = '[package]\nname = "NAME"\nversion = "<<semver>>"\n\n[dependencies]\nother = "1.2.3"\n'
MESON = """\
# version: '1.2.3'
project('NAME', 'c', meson_version: '>= 1.2.3', license: 'version: 1.2.3', version: '<<version>>')
other = dependency('other', version: '1.2.3')
"""
NODE = '{"dependencies": {"version": "1.2.3"},\n "version": "<<semver>>"}\n'
REGEX = """\
[tool.scikit-build.metadata.version]
provider = "scikit_build_core.metadata.regex"
input = "about.h"
regex = '#define VERSION "(?P<value>[^"]+)"'
"""
POETRY = """\
[tool.poetry]
name = "NAME"
authors = [
    "A <a@example.invalid>",
]
version = "<<version>>"
description = "First in 1.2.3"

[tool.poetry.dependencies]
python = "^3.9"
other = { git = "https://example.invalid/other.git", tag = "1.2.3" }
NEEDS
"""
HATCH = "[tool.hatch.version]\n"
SETUPTOOLS = "[tool.setuptools.dynamic]\n"
LOCATIONS = {
    "static": Location("hatchling.build", STATIC + DECOYS),
    "static, single quotes, CRLF": Location(
        "setuptools.build_meta",
        "[project]\r\n  name = 'NAME'\r\n  version = '<<version>>'\r\n"
        "  authors = [\r\n    { name = \"version = '1.2.3'\" },\r\n  ]\r\n  dependencies = [NEEDS]\r\n",
    ),
    "poetry": Location("poetry.core.masonry.api", POETRY, poetry=True),
    "hatch path": Location(
        "hatchling.build",
        f'{DYNAMIC}{HATCH}path = "MODULE/about.py"\n',
        {"MODULE/about.py": "'''__version__ = \"1.2.3\"'''\n\n__version__ = '<<version>>'\n__build__ = 1\n"},
    ),
    "hatch pattern": Location(
        "hatchling.build",
        f"{DYNAMIC}{HATCH}path = 'about.txt'\npattern = 'is (?P<version>\\S+)'\n",
        {"about.txt": "not 1.2.3, it is <<version>> today\n"},
    ),
    "hatch code": Location(
        "hatchling.build",
        f'{DYNAMIC}{HATCH}source = "code"\npath = "MODULE/about.py"\nexpression = "RELEASE"\n',
        {"MODULE/about.py": 'OLD_RELEASE = "1.2.3"\nRELEASE = "<<version>>"  # 1.2.3\n'},
    ),
    "hatch nodejs": Location("hatchling.build", f'{DYNAMIC}{HATCH}source = "nodejs"\n', {"package.json": NODE}),
    "setuptools attr": Location(
        "setuptools.build_meta",
        f'{DYNAMIC}{SETUPTOOLS}version = {{ attr = "MODULE.__version__.__version__" }}\n',
        {
            "MODULE/__version__.py": '__title__ = "NAME 1.2.3"\n__version__ = "<<version>>"\n',
            "MODULE/__init__.py": "from MODULE.__version__ import __version__\n",
        },
    ),
    "setuptools file": Location(
        "setuptools.build_meta",
        f'{DYNAMIC}{SETUPTOOLS}version = {{ file = "VERSION" }}\n',
        {"VERSION": "<<version>>\n"},
    ),
    "flit": Location(
        "flit_core.buildapi",
        '[project]\nname = "NAME"\ndynamic = ["version", "description"]\ndependencies = [NEEDS]\n',
        {"MODULE/__init__.py": '"""NAME 1.2.3."""\n\n__version__ = "<<version>>"\n'},
    ),
    "maturin": Location("maturin", DYNAMIC, {"Cargo.toml": CRATE}),
    "maturin, twice": Location("maturin", STATIC, {"Cargo.toml": CRATE}),
    "meson": Location("mesonpy", DYNAMIC, {"meson.build": MESON}),
    "scikit-build regex": Location(
        "scikit_build_core.build",
        DYNAMIC + REGEX,
        {"about.h": '#define ABI_VERSION "1.2.3"\n#define VERSION "<<version>>"\n#define NUMBER 10203\n'},
    ),
}
TAGGED = {
    "setuptools-scm": Location("setuptools.build_meta", f"{DYNAMIC}[tool.setuptools_scm]\n"),
    "hatch-vcs": Location("hatchling.build", f'{DYNAMIC}{HATCH}source = "vcs"\n'),
    "uv-dynamic-versioning": Location(
        "hatchling.build",
        f'{DYNAMIC}{HATCH}source = "uv-dynamic-versioning"\n[tool.uv-dynamic-versioning]\nbump = true\n',
    ),
    "versioningit": Location("hatchling.build", f'{DYNAMIC}{HATCH}source = "versioningit"\n'),
}
"""Versions from the tags: a bump edits nothing."""
REQUIRES = {
    "hatchling.build": ["hatchling", "hatch-vcs", "hatch-nodejs-version", "uv-dynamic-versioning", "versioningit"],
    "setuptools.build_meta": ["setuptools", "setuptools-scm"],
}
NEEDS = (
    ('"other>=1.2.3", "alpha-kit<<need>>"', "==1.2.3", "==1.3.0"),
    ("\"alpha_kit<<need>> ; python_version >= '3.9'\"", " == 1.2.3", " == 1.3.0"),
    ('"Alpha.Kit[fast]<<need>>"', ">=1.2.3,<1.3", ">=1.3.0,<1.4"),
    ("'alpha-kit<<need>>'", "~=1.2.3", "~=1.3.0"),
    ('"alpha-kit<<need>>", "alpha-kit-other==1.2.3"', ">=1.0,<2", ">=1.0,<2"),
    ('"alpha-kit<<need>>"', " >= 1.0, < 1.1", " >= 1.3.0, < 1.4"),
)
"""How a package needs the one that is bumped, before and after: what fits the new version stays as it is."""
POETRY_NEEDS = (
    ('alpha-kit = "<<need>>"', "^1.0", "^1.0"),
    ('Alpha_Kit = "<<need>>"  # the published one', "^0.9.1", "^1.3.0"),
    ('alpha-kit = { version = "<<need>>", optional = true }', ">=1.2,<1.3", ">=1.3.0,<1.4"),
    ('alpha-kit = { path = "../alpha-kit", develop = true }', "", ""),
)
LAYOUTS = {
    "single": "",
    "uv workspace": '[tool.uv.workspace]\nmembers = ["libs/*"]\n',
    "list": "",
}
TAG_FORMS = {
    "single": ("v{version}", "{version}", "{name}-{version}"),
    "lockstep": ("v{version}", "release/{version}"),
    "independent": ("{name}-v{version}", "{name}=={version}", "{name}/{version}"),
}
CLUTTER = {
    "tests/packages/nameless/pyproject.toml": '[project]\nversion = "1.2.3"\n',
    "tests/packages/empty/pyproject.toml": '[project]\nname = "empty"\nversion = ""\n',
    "tests/packages/no-toml/pyproject.toml": "[project\nname = broken\n",
    "tests/packages/{{cookiecutter.name}}/pyproject.toml": '[project]\nname = "{{ cookiecutter.name }}"\n',
    "examples/{% if abi3 %}abi3{% endif %}/pyproject.toml": '[project]\nname = "alpha-kit"\nversion = "1.2.3"\n',
    "js/package.json": '{ "name": "alpha-kit", "version": "1.2.3" }\n',
}
"""Files around the packages that are none."""


def package(name: str, location: Location, directory: str, needs: str) -> dict[str, str]:
    """Templates of the files of a package."""
    requires = json.dumps(REQUIRES.get(location.backend, [location.backend.partition(".")[0]]))
    build = f'\n[build-system]\nrequires = {requires}\nbuild-backend = "{location.backend}"\n'
    files = {"pyproject.toml": location.project + build, "MODULE/__init__.py": "", **location.files}
    words = {"NAME": name, "MODULE": name.replace("-", "_"), "NEEDS": needs}

    def fill(text: str) -> str:
        for word, value in words.items():
            text = text.replace(word, value)
        return text

    return {f"{directory}{fill(file)}": fill(text) for file, text in files.items()}


def generated(number: int, layout: str, locations: list[Location]) -> tuple[Shape, dict[str, str], list[str]]:
    """A repository, what its keys stand for when alpha-kit is 1.3.0, and the tags of that bump."""
    alpha, beta = locations[number], locations[(number + 1) % len(locations)]
    needs = POETRY_NEEDS if beta.poetry else NEEDS
    need, before, after = needs[number % len(needs)]
    lockstep = number % 2 == 0
    kind = "single" if layout == "single" else "lockstep" if lockstep else "independent"
    form = TAG_FORMS[kind][number % len(TAG_FORMS[kind])]
    settings = (
        f'\n[tool.relnox]\ntag-format = "{form}"\nversions = "{"lockstep" if lockstep else "independent"}"\n'
    )
    if layout == "single":
        files = package("alpha-kit", alpha, "", "")
        files["pyproject.toml"] += settings
    else:
        settings += 'dependents = "none"\n' + ('packages = ["libs/*"]\n' if layout == "list" else "")
        second = package("beta", beta, "libs/beta/", need)
        if not lockstep:
            second = {name: re.sub("<<(version|semver)>>", "1.2.3", text) for name, text in second.items()}
        files = package("alpha-kit", alpha, "libs/alpha-kit/", "") | second
        files["pyproject.toml"] = LAYOUTS[layout] + settings
    values = {"version": "1.2.3", "semver": "1.2.3", "need": before}
    tags = [form.format(name="alpha-kit", version=version) for version in ("1.2.3", "1.3.0")]
    shape = Shape(files | CLUTTER, values, (tags[0], "v9.0.0-docs", "nightly"))
    return shape, {"version": "1.3.0", "semver": "1.3.0", "need": after}, tags[1:]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("location", LOCATIONS)
def test_a_bump_writes_the_version_and_what_leaves_a_requirement_and_nothing_else(
    tmp_path: Path, location: str, layout: str
) -> None:
    shape, after, tags = generated(list(LOCATIONS).index(location), layout, list(LOCATIONS.values()))
    root = shape.write(tmp_path / "demo")
    shown = show(root)
    names = ["alpha-kit"] if layout == "single" else ["alpha-kit", "beta"]
    assert shown.versions == dict.fromkeys(names, "1.2.3")
    assert shown.rows["alpha-kit"]["last tag"] == shape.tags[0]
    independent = any('"independent"' in text for text in shape.files.values())
    selected = ("--package", "alpha-kit") if independent else ()
    release(root, shape, (*selected, "--part", "minor", *RELEASE), *tags, **after)
    assert show(root).versions["alpha-kit"] == "1.3.0"


@pytest.mark.parametrize("location", TAGGED)
def test_a_bump_of_a_version_from_tags_is_a_tag_and_nothing_else(tmp_path: Path, location: str) -> None:
    shape = Shape(
        package("alpha-kit", TAGGED[location], "", "") | CLUTTER, {}, ("v0.9.0", "v1.2.3", "docs-v7", "nightly")
    )
    root = shape.write(tmp_path / "demo")
    assert show(root).versions == {"alpha-kit": "1.2.3"}
    release(root, shape, ("--part", "minor", "--tag"), "v1.3.0")
    assert show(root).versions == {"alpha-kit": "1.3.0"}


def test_an_extra_that_lists_every_sibling_is_no_cycle(tmp_path: Path) -> None:
    root = shapes.steward().write(tmp_path / "steward")
    names = ("azure", "core", "devui", "redis")
    assert directories(root) == {"steward": ".", **{f"steward-{name}": f"packages/{name}" for name in names}}
    assert waves(root)[0] == ["steward-core"]
    shown = show(root)
    assert shown.notes == []
    assert shown.rows["steward-azure"]["last tag"] == "steward-azure-v1.0.0b260730"
    # Before steward-azure is on the index, `steward-core[all]` cannot be installed.
    assert [package.name for package in open_project(root).workspace.release_order()][-1] == "steward"


@pytest.mark.parametrize(
    ("options", "changed", "tags"),
    [
        (
            ("steward-core", "--part", "minor"),
            {"stable": "1.12.0"},
            {"steward": "1.12.0", "steward-core": "1.12.0"},
        ),
        (  # a pin that is outdated bumps its package
            ("steward-redis", "--pre", "beta"),
            {"stable": "1.11.1", "redis": "1.0.0b260731", "legacy": "1.0.0b260731"},
            {"steward": "1.11.1", "steward-core": "1.11.1", "steward-redis": "1.0.0b260731"},
        ),
    ],
)
def test_the_lock_file_has_the_new_versions(
    tmp_path: Path, options: tuple[str, ...], changed: dict[str, str], tags: dict[str, str]
) -> None:
    shape = shapes.steward()
    root = shape.write(tmp_path / "steward")
    assert_locked(root)
    assert new_versions(root, "--package", *options) == tags
    expected = [f"{name}-v{version}" for name, version in tags.items()]
    release(root, shape, ("--package", *options, *RELEASE), *expected, **changed)
    assert_locked(root)


def assert_locked(root: Path) -> None:
    """uv finds nothing to change in the lock file, as one that is new would be the same."""
    uv = shutil.which("uv", path=f"{sys.exec_prefix}/bin")
    assert uv is not None
    words = [uv, "lock", "--check", "--offline", "--no-config", "--python", sys.executable]
    checked = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_every_package_has_the_version_of_its_last_reachable_tag(tmp_path: Path) -> None:
    root = shapes.flow().write(tmp_path / "flow")
    git(root, "switch", "--quiet", "--create", "next")
    commit_all(write(root, {"NEXT.md": "next\n"}))
    git(root, "tag", "integrations/chroma-v2.0.0")
    git(root, "switch", "--quiet", "main")
    shown = show(root)
    newer = "tag integrations/chroma-v2.0.0 is newer than the current version of chroma-flow"
    assert shown.notes == [f"{newer} (not an ancestor of HEAD)"]
    assert shown.versions == {
        "flow": "3.6.1",
        "flow-client": "3.6.1",
        "flow-ui": "2.1.0",
        "flow-aws": "0.0.0",
        "flow-aws-batch": "9.9.9",
        "flow-snow": "0.15.0",
        "chroma-flow": "1.0.0",
        "chroma-cloud-flow": "1.0.2",
    }


@pytest.mark.parametrize(
    ("package", "part", "tag"),
    [
        ("flow", "minor", "3.7.0"),
        ("flow-client", "minor", "3.7.0"),
        ("flow-aws", "minor", "flow-aws-0.1.0"),
        ("flow-snow", "minor", "flow-snow-0.16.0"),
        ("chroma-flow", "minor", "integrations/chroma-v1.1.0"),
        ("chroma-cloud", "patch", "integrations/chroma-cloud-v1.0.3"),
    ],
)
def test_a_bump_creates_one_tag_of_its_namespace(tmp_path: Path, package: str, part: str, tag: str) -> None:
    shape = shapes.flow()
    root = shape.write(tmp_path / "flow")
    release(root, shape, ("--package", package, "--part", part, "--tag"), tag)


def test_built_metadata_shows_the_order_that_pyproject_does_not(tmp_path: Path) -> None:
    root = write(
        tmp_path / "quill", {"pyproject.toml": '[tool.relnox]\npackages = ["*"]\nversions = "lockstep"\n'}
    )
    for name, requires in {"a-meta": ("z-slim==1.0",), "z-slim": ()}.items():
        in_tree(root / name, name, requires=requires)
    text = (root / "a-meta/pyproject.toml").read_text(encoding="utf-8")
    text = text.replace('dependencies = ["z-slim==1.0"]', 'dynamic = ["dependencies"]')
    repository(write(root, {"a-meta/pyproject.toml": text, ".gitignore": "dist/\n"}))
    assert waves(root) == [["a-meta", "z-slim"]]
    run(root, "relnox", "build-all", code=0)
    manifest = json.loads((root / "dist/manifest.json").read_text(encoding="utf-8"))
    assert manifest["needs"] == {"a-meta": ["z-slim"], "z-slim": []}
    assert [file["package"] for file in manifest["artifacts"]] == ["z-slim", "z-slim", "a-meta", "a-meta"]


def scm(root: Path) -> Path:
    """A package of setuptools-scm whose repository has tags of other things alone."""
    return Shape(package("hollow", TAGGED["setuptools-scm"], "", ""), {}, ("latest", "docs-1.0")).write(root)


def test_a_version_between_two_tags_is_reported_before_it_is_built(tmp_path: Path) -> None:
    root = scm(tmp_path / "hollow")
    git(root, "tag", "v0.9.0")
    for expected in (False, True):
        if expected:
            commit_all(write(root, {"README.md": "after the tag\n"}))
        plan = planned(root, "build-all")
        messages = [*plan["notes"], *(problem["message"] for problem in plan["problems"])]
        assert any("hollow" in message and "tag" in message for message in messages) is expected
