"""Shapes of real repositories: the packages that are found, their versions, their order, and what a bump changes.

A bump is held against the whole tree: every file that it should not touch is the same, byte for byte, and in those
that it should touch nothing but the fragments that are named here.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import pytest
import shapes
from backends import in_tree
from projects import commit_all, git, repository, write
from running import run

from relnox.commands.shared.opening import open_project
from relnox.indexes.embedded import EmbeddedIndex

if TYPE_CHECKING:
    from pathlib import Path

    from running import RunResult

pytestmark = pytest.mark.heavy

RELEASE = ("--commit", "--tag")


class Shown(NamedTuple):
    """What `status` shows: rows by package, and the notes above them."""

    rows: dict[str, dict[str, str]]
    notes: list[str]

    @property
    def versions(self) -> dict[str, str]:
        return {name: row["version"] for name, row in self.rows.items()}


class Tree(NamedTuple):
    """A checkout at one moment: contents of its files, its tags, its head."""

    files: dict[str, bytes]
    tags: set[str]
    head: str


def show(root: Path, *options: str) -> Shown:
    """Run `status` and read its plan."""
    file = root.parent / "status.json"
    ran = run(root, "relnox", "status", "--plan", str(file), *options)
    assert ran.code == 0, ran.text
    plan = json.loads(file.read_text(encoding="utf-8"))
    (table,) = plan["tables"]
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
    return Shown({row["package"]: row for row in rows}, plan["notes"])


def tree(root: Path) -> Tree:
    """The checkout as it is."""
    files = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(root).parts
    }
    return Tree(files, set(git(root, "tag").split()), git(root, "rev-parse", "HEAD"))


def assert_moved(root: Path, before: Tree, changes: dict[str, list[tuple[str, str]]], *tags: str) -> None:
    """Only these fragments changed, each of which stood once in its file; these tags are new; all is committed."""
    after = tree(root)
    changed = {name for name in before.files | after.files if before.files.get(name) != after.files.get(name)}
    assert sorted(changed) == sorted(changes)
    for name, fragments in changes.items():
        expected = before.files[name].decode()
        for old, new in fragments:
            assert expected.count(old) == 1, (name, old)
            expected = expected.replace(old, new)
        assert after.files[name].decode() == expected, name
    assert sorted(after.tags - before.tags) == sorted(tags)
    assert before.tags <= after.tags
    assert git(root, "status", "--porcelain") == ""
    assert git(root, "rev-parse", "HEAD~1" if changes else "HEAD") == before.head
    for tag in tags:
        assert git(root, "rev-parse", f"{tag}^{{}}") == after.head


def bump(root: Path, *options: str) -> RunResult:
    """Run a bump that must succeed."""
    ran = run(root, "relnox", "bump", *options)
    assert ran.code == 0, ran.text
    return ran


def refused(root: Path, *options: str, code: int = 1) -> str:
    """Run a bump that must be blocked and change nothing; return its messages."""
    before = tree(root)
    ran = run(root, "relnox", "bump", *options)
    assert ran.code == code, ran.text
    assert tree(root) == before
    return ran.err


def moved(root: Path, *options: str) -> dict[str, str]:
    """New versions by package, from the plan's table, whose last column gives a reason for each."""
    file = root.parent / "bump.json"
    bump(root, "--dry-run", "--plan", str(file), *options)
    (table,) = json.loads(file.read_text(encoding="utf-8"))["tables"]
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
    replace_text(root, name, old, new)
    commit_all(root)


def replace_text(root: Path, name: str, old: str, new: str) -> None:
    """Change one fragment of a file."""
    text = (root / name).read_bytes().decode()
    assert text.count(old) == 1
    (root / name).write_bytes(text.replace(old, new).encode())


# --- 1: two tracks in lockstep -------------------------------------------------------------------------


def test_01_packages_of_both_groups_without_template_and_excluded(tmp_path: Path) -> None:
    root = shapes.shape_01(tmp_path / "observer")
    inst = "instrumentation/observer-inst"
    assert directories(root) == {
        "observer-api": "observer-api",
        "observer-inst": inst,
        "observer-inst-wsgi": f"{inst}-wsgi",
        "observer-sdk": "observer-sdk",
        "observer-semconv": "observer-semconv",
    }
    shown = show(root)
    assert shown.notes == []
    assert shown.versions == {
        "observer-api": "1.45.0.dev0",
        "observer-inst": "0.66b0.dev0",
        "observer-inst-wsgi": "0.66b0.dev0",
        "observer-sdk": "1.45.0.dev0",
        "observer-semconv": "0.66b0.dev0",
    }
    first = ["observer-api"], ["observer-semconv"]
    assert waves(root) == [*first, ["observer-inst", "observer-sdk"], ["observer-inst-wsgi"]]


def test_01_a_listed_template_is_blocked_with_its_file(tmp_path: Path) -> None:
    root = shapes.shape_01(tmp_path / "observer")
    replace(root, "pyproject.toml", "[tool.relnox]\n", '[tool.relnox]\npackages = ["_template", "observer-*"]\n')
    ran = run(root, "relnox", "status")
    assert ran.code == 1, ran.text
    assert "_template/pyproject.toml: '<REPLACE ME>' is not a valid package name" in ran.err


def test_01_the_stable_group_is_bumped_with_its_pins_and_those_of_the_other_repository(tmp_path: Path) -> None:
    root = shapes.shape_01(tmp_path / "observer")
    before = tree(root)
    bump(root, "--package", "observer-sdk", "--part", "release", *RELEASE)
    version = [('__version__ = "1.45.0.dev"', '__version__ = "1.45.0"')]
    api = ('"observer-api == 1.45.0.dev"', '"observer-api == 1.45.0"')
    assert_moved(
        root,
        before,
        {
            "observer-api/src/observer/api/version.py": version,
            "observer-sdk/src/observer/sdk/version.py": version,
            "observer-sdk/pyproject.toml": [
                api,
                ('"observer-propagator-b3 == 1.45.0.dev"', '"observer-propagator-b3 == 1.45.0"'),
            ],
            "observer-semconv/pyproject.toml": [api],
        },
        "observer-api-v1.45.0",
        "observer-sdk-v1.45.0",
    )


def test_01_the_beta_group_is_bumped_with_spaces_and_markers_kept(tmp_path: Path) -> None:
    root = shapes.shape_01(tmp_path / "observer")
    before = tree(root)
    bump(root, "--package", "observer-inst", "--pre", "beta", *RELEASE)
    version = [('__version__ = "0.66b0.dev"', '__version__ = "0.66b0"')]
    semconv = ('"observer-semconv == 0.66b0.dev"', '"observer-semconv == 0.66b0"')
    inst = "instrumentation/observer-inst"
    assert_moved(
        root,
        before,
        {
            "observer-semconv/src/observer/semconv/version.py": version,
            f"{inst}/src/observer/inst/version.py": version,
            f"{inst}-wsgi/src/observer/inst_wsgi/version.py": version,
            "observer-sdk/pyproject.toml": [semconv],
            f"{inst}/pyproject.toml": [semconv],
            f"{inst}-wsgi/pyproject.toml": [
                ('"observer-inst == 0.66b0.dev"', '"observer-inst == 0.66b0"'),
                (
                    "\"observer-semconv == 0.66b0.dev ; python_version >= '3.9'\"",
                    "\"observer-semconv == 0.66b0 ; python_version >= '3.9'\"",
                ),
                ('"observer-exporter-prom == 0.66b0.dev"', '"observer-exporter-prom == 0.66b0"'),
            ],
        },
        "observer-inst-v0.66b0",
        "observer-inst-wsgi-v0.66b0",
        "observer-semconv-v0.66b0",
    )


# --- 2: tiers and date stamps --------------------------------------------------------------------------


def test_02_members_and_the_meta_package_at_the_root(tmp_path: Path) -> None:
    root = shapes.shape_02(tmp_path / "steward")
    assert directories(root) == {
        "steward": ".",
        "steward-azure": "packages/azure",
        "steward-core": "packages/core",
        "steward-devui": "packages/devui",
        "steward-redis": "packages/redis",
    }
    shown = show(root)
    assert shown.notes == []
    assert shown.versions == {
        "steward": "1.11.0",
        "steward-azure": "1.0.0b260730",
        "steward-core": "1.11.0",
        "steward-devui": "1.0.0a260601",
        "steward-redis": "1.0.0b260730",
    }
    assert shown.rows["steward-azure"]["last tag"] == "steward-azure-v1.0.0b260730"


def test_02_an_extra_that_lists_every_sibling_is_no_cycle(tmp_path: Path) -> None:
    root = shapes.shape_02(tmp_path / "steward")
    assert waves(root)[0] == ["steward-core"]
    backends = {package.backend for package in open_project(root).workspace.packages}
    assert backends == {"flit_core.buildapi", "hatchling.build", "pdm.backend", "setuptools.build_meta"}


def test_02_a_meta_package_comes_after_the_requirements_of_its_extra(tmp_path: Path) -> None:
    # Before steward-azure is on the index, `steward-core[all]` cannot be installed.
    root = shapes.shape_02(tmp_path / "steward")
    order = [package.name for package in open_project(root).workspace.release_order()]
    assert order[-1] == "steward"


def test_02_the_base_and_the_root_are_bumped_together_with_the_lock_file(tmp_path: Path) -> None:
    root = shapes.shape_02(tmp_path / "steward")
    before = tree(root)
    bump(root, "--package", "steward-core", "--part", "minor", *RELEASE)
    assert_moved(
        root,
        before,
        {
            "pyproject.toml": [
                ('version = "1.11.0"\n', 'version = "1.12.0"\n'),
                ('"steward-core[all]==1.11.0"', '"steward-core[all]==1.12.0"'),
            ],
            "packages/core/pyproject.toml": [('version = "1.11.0"\n', 'version = "1.12.0"\n')],
            "uv.lock": [
                (f'name = "{name}"\nversion = "1.11.0"\n', f'name = "{name}"\nversion = "1.12.0"\n')
                for name in ("steward", "steward-core")
            ],
        },
        "steward-v1.12.0",
        "steward-core-v1.12.0",
    )
    assert_locked(root)


def assert_locked(root: Path) -> None:
    """uv finds nothing to change in the lock file, as one that is new would be the same."""
    uv = shutil.which("uv", path=f"{sys.exec_prefix}/bin")
    assert uv is not None
    words = [uv, "lock", "--check", "--offline", "--no-config", "--python", sys.executable]
    checked = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_02_a_stale_pin_in_an_extra_bumps_its_package(tmp_path: Path) -> None:
    root = shapes.shape_02(tmp_path / "steward")
    assert_locked(root)
    before = tree(root)
    options = ("--package", "steward-redis", "--pre", "beta")
    expected = {"steward": "1.11.1", "steward-core": "1.11.1", "steward-redis": "1.0.0b260731"}
    assert moved(root, *options) == expected
    bump(root, *options, *RELEASE)
    assert_moved(
        root,
        before,
        {
            "pyproject.toml": [
                ('version = "1.11.0"\n', 'version = "1.11.1"\n'),
                ('"steward-core[all]==1.11.0"', '"steward-core[all]==1.11.1"'),
            ],
            "packages/core/pyproject.toml": [
                ('version = "1.11.0"\n', 'version = "1.11.1"\n'),
                ('"steward-redis==1.0.0b250101"', '"steward-redis==1.0.0b260731"'),
            ],
            "packages/redis/pyproject.toml": [("version = '1.0.0b260730'", "version = '1.0.0b260731'")],
            "uv.lock": [
                ('name = "steward"\nversion = "1.11.0"\n', 'name = "steward"\nversion = "1.11.1"\n'),
                ('name = "steward-core"\nversion = "1.11.0"\n', 'name = "steward-core"\nversion = "1.11.1"\n'),
                (
                    'name = "steward-redis"\nversion = "1.0.0b260730"\n',
                    'name = "steward-redis"\nversion = "1.0.0b260731"\n',
                ),
            ],
        },
        *(f"{name}-v{version}" for name, version in expected.items()),
    )
    assert_locked(root)


def test_02_linked_packages_get_one_version(tmp_path: Path) -> None:
    root = shapes.shape_02(tmp_path / "steward")
    replace(root, "packages/core/pyproject.toml", 'legacy = ["steward-redis==1.0.0b250101"]\n', "")
    bump(root, "--package", "steward-redis", "--pre", "beta", "--commit")
    assert show(root).versions["steward-azure"] == "1.0.0b260730"
    both = ("--package", "steward-azure", "--package", "steward-redis")
    assert moved(root, *both, "--pre", "beta") == dict.fromkeys(("steward-azure", "steward-redis"), "1.0.0b260732")


def test_02_a_date_stamp_follows_the_calendar(tmp_path: Path) -> None:
    root = shapes.shape_02(tmp_path / "steward")
    replace(root, "pyproject.toml", "[tool.relnox]\n", '[tool.relnox]\nscheme = "calver"\n')
    days = [datetime.now(UTC)]
    bump(root, "--package", "steward-azure", "--pre", "beta", "--commit")
    days.append(datetime.now(UTC))  # midnight may have passed
    assert show(root).versions["steward-azure"] in {f"1.0.0b{day:%y%m%d}" for day in days}


# --- 3: one release, ten places, two grammars ----------------------------------------------------------


def test_03_three_packages_of_one_version(tmp_path: Path) -> None:
    root = shapes.shape_03(tmp_path / "swift")
    runtime = "py-swift/runtime/swift-runtime"
    assert directories(root) == {
        "swift-frames": "py-swift",
        "swift-runtime-32": f"{runtime}-32",
        "swift-runtime-64": f"{runtime}-64",
    }
    shown = show(root)
    assert shown.notes == []
    assert set(shown.versions.values()) == {"1.35.0b1"}
    assert {row["last tag"] for row in shown.rows.values()} == {"py-1.35.0-beta.1"}
    assert waves(root) == [["swift-runtime-32", "swift-runtime-64"], ["swift-frames"]]


def test_03_a_listed_template_is_blocked(tmp_path: Path) -> None:
    root = shapes.shape_03(tmp_path / "swift")
    replace(root, "pyproject.toml", 'exclude = ["py-swift/runtime/template"]\n', "")
    ran = run(root, "relnox", "status")
    assert ran.code == 1, ran.text
    assert (
        "py-swift/runtime/template/pyproject.toml: 'swift-runtime-{{%SIZE%}}' is not a valid package name"
        in ran.err
    )


def test_03_ten_locations_change_each_in_its_grammar(tmp_path: Path) -> None:
    root = shapes.shape_03(tmp_path / "swift")
    before = tree(root)
    bump(root, "--pre", "beta", *RELEASE)
    project = [('\nversion = "1.35.0b1"\n', '\nversion = "1.35.0b2"\n')]
    crate = [('\nversion = "1.35.0-beta.1"\n', '\nversion = "1.35.0-beta.2"\n')]
    changes = {f"py-swift/runtime/{name}/pyproject.toml": project for name in RUNTIMES}
    changes |= {f"py-swift/runtime/{name}/Cargo.toml": crate for name in RUNTIMES}
    changes["py-swift/pyproject.toml"] = [
        *project,
        ('"swift-runtime-32 == 1.35.0b1"', '"swift-runtime-32 == 1.35.0b2"'),
        ('"swift-runtime-64 == 1.35.0b1"', '"swift-runtime-64 == 1.35.0b2"'),
        ('"swift_runtime_64==1.35.0-beta.1 ; ', '"swift_runtime_64==1.35.0b2 ; '),
    ]
    changes["py-swift/src/swift/_runtime.py"] = [
        ('\nEXPECTED_RUNTIME = "1.35.0-beta.1"', '\nEXPECTED_RUNTIME = "1.35.0-beta.2"')
    ]
    changes["Cargo.lock"] = [
        (f'"{name}"\nversion = "1.35.0-beta.1"', f'"{name}"\nversion = "1.35.0-beta.2"') for name in RUNTIMES[:2]
    ]
    assert_moved(root, before, changes, "py-1.35.0b2")


RUNTIMES = ("swift-runtime-32", "swift-runtime-64", "template")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("py-swift/runtime/swift-runtime-64/Cargo.toml", '\nversion = "1.35.0-beta.1"', '\nversion = "1.34.7"'),
        ("py-swift/runtime/template/Cargo.toml", '\nversion = "1.35.0-beta.1"', '\nversion = "1.34.7"'),
        (
            "py-swift/src/swift/_runtime.py",
            '\nEXPECTED_RUNTIME = "1.35.0-beta.1"',
            '\nEXPECTED_RUNTIME = "1.34.7"',
        ),
    ],
)
def test_03_a_location_that_differs_is_blocked_with_its_value(
    tmp_path: Path, file: str, old: str, new: str
) -> None:
    root = shapes.shape_03(tmp_path / "swift")
    replace(root, file, old, new)
    said = refused(root, "--pre", "beta", *RELEASE)
    assert file in said
    assert "1.34.7" in said
    assert "1.35.0" in said


def test_03_a_location_that_is_not_found_once_is_blocked(tmp_path: Path) -> None:
    root = shapes.shape_03(tmp_path / "swift")
    replace(root, "py-swift/src/swift/_runtime.py", "# EXPECTED_RUNTIME", "EXPECTED_RUNTIME")
    assert "py-swift/src/swift/_runtime.py" in refused(root, "--pre", "beta", *RELEASE)


# --- 4: dependencies only in a build hook --------------------------------------------------------------


def test_04_versions_come_from_the_last_tag(tmp_path: Path) -> None:
    root = shapes.shape_04(tmp_path / "quill")
    assert directories(root) == {
        "quill": ".",
        "quill-evals": "quill_evals",
        "quill-graph": "quill_graph",
        "quill-samples": "samples",
        "quill-slim": "quill_slim",
    }
    shown = show(root)
    assert shown.notes == []
    assert set(shown.rows) == {"quill", "quill-evals", "quill-graph", "quill-samples (private)", "quill-slim"}
    assert set(shown.versions.values()) == {"1.4.0"}
    assert not any(open_project(root).workspace.dependency_edges("runtime", "extra", "build").values())


def test_04_a_bump_is_a_tag_and_nothing_else(tmp_path: Path) -> None:
    root = shapes.shape_04(tmp_path / "quill")
    before = tree(root)
    bump(root, "--part", "minor", "--tag")
    assert_moved(root, before, {}, "v1.5.0")
    assert set(show(root).versions.values()) == {"1.5.0"}


def test_04_built_metadata_shows_the_order_that_pyproject_does_not(tmp_path: Path) -> None:
    root = write(
        tmp_path / "quill", {"pyproject.toml": '[tool.relnox]\npackages = ["*"]\nversions = "lockstep"\n'}
    )
    for name, requires in {"a-meta": ("z-slim==1.0",), "z-slim": ()}.items():
        (root / name).mkdir()
        in_tree(root / name, name, requires=requires)
    text = (root / "a-meta/pyproject.toml").read_text(encoding="utf-8")
    text = text.replace('dependencies = ["z-slim==1.0"]', 'dynamic = ["dependencies"]')
    repository(write(root, {"a-meta/pyproject.toml": text, ".gitignore": "dist/\n"}))
    assert waves(root) == [["a-meta", "z-slim"]]
    ran = run(root, "relnox", "build-all")
    assert ran.code == 0, ran.text
    manifest = json.loads((root / "dist/manifest.json").read_text(encoding="utf-8"))
    assert manifest["needs"] == {"a-meta": ["z-slim"], "z-slim": []}
    assert [file["package"] for file in manifest["artifacts"]] == ["z-slim", "z-slim", "a-meta", "a-meta"]


# --- 5: a hundred independent versions from tags -------------------------------------------------------


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return shape 5; tests may read and tag it, but not edit it."""
    return shapes.shape_05(tmp_path_factory.mktemp("hundred") / "stack")


def test_05_every_package_has_the_version_of_its_last_reachable_tag(hundred: Path) -> None:
    assert directories(hundred) == {f"{name}-stack": f"integrations/{name}" for name in shapes.INTEGRATIONS}
    assert len(waves(hundred)) == 1
    shown = show(hundred)
    newer = "tag integrations/chroma-v2.0.0 is newer than the current version of chroma-stack"
    assert shown.notes == [f"{newer} (not an ancestor of HEAD)"]
    assert shown.versions == {f"{name}-stack": f"1.0.{number}" for number, name in enumerate(shapes.INTEGRATIONS)}


@pytest.mark.parametrize(
    ("package", "part", "tag"),
    [
        ("chroma-stack", "minor", "integrations/chroma-v1.1.0"),
        ("amazon", "patch", "integrations/amazon-v1.0.3"),
        ("amazon-bedrock-stack", "major", "integrations/amazon-bedrock-v2.0.0"),
    ],
)
def test_05_a_tag_has_the_form_of_the_packages_own_pattern(
    hundred: Path, package: str, part: str, tag: str
) -> None:
    before = tree(hundred)
    bump(hundred, "--package", package, "--part", part, "--tag")
    assert_moved(hundred, before, {}, tag)
    git(hundred, "tag", "--delete", tag)


# --- 6: namespace packages -----------------------------------------------------------------------------


PLAIN_TAG = (
    "next tag of loom would be loom==1.0.6 (its tags are like 1.0.6)\n  fix: relnox init --update, which "
    'adds this to pyproject.toml:\n[tool.relnox.tag-formats]\nloom = "{version}"'
)


def test_06_libraries_without_the_examples_and_no_cycle_from_groups(tmp_path: Path) -> None:
    root = shapes.shape_06(tmp_path / "loom")
    assert directories(root) == {
        "loom": "libs/loom",
        "loom-checkpoint": "libs/checkpoint",
        "loom-checkpoint-postgres": "libs/checkpoint-postgres",
        "loom-checkpoint-sqlite": "libs/checkpoint-sqlite",
        "loom-cli": "libs/cli",
        "loom-prebuilt": "libs/prebuilt",
        "loom-sdk": "libs/sdk",
    }
    checkpoints = ["loom-checkpoint-postgres", "loom-checkpoint-sqlite"]
    assert waves(root) == [
        ["loom-checkpoint", "loom-cli", "loom-sdk"],
        [*checkpoints, "loom-prebuilt"],
        ["loom"],
    ]
    shown = show(root)
    assert shown.notes == [PLAIN_TAG]
    assert {name: row["last tag"] for name, row in shown.rows.items()} == {
        "loom": "-",
        "loom-checkpoint": "checkpoint==3.0.1",
        "loom-checkpoint-postgres": "checkpointpostgres==3.1.2",
        "loom-checkpoint-sqlite": "checkpointsqlite==3.0.1",
        "loom-cli": "-",
        "loom-prebuilt": "prebuilt==1.0.6",
        "loom-sdk": "-",
    }


def test_06_without_a_list_the_examples_are_not_found_either(tmp_path: Path) -> None:
    root = shapes.shape_06(tmp_path / "loom")
    replace(root, "pyproject.toml", 'packages = ["libs/*"]\n', "")
    assert len(directories(root)) == 7
    assert show(root).notes == [PLAIN_TAG]


MAJOR = ("--package", "loom-checkpoint", "--part", "major")
CHECKPOINT = {
    "libs/checkpoint/pyproject.toml": [('version = "3.0.1"', 'version = "4.0.0"')],
    "libs/loom/pyproject.toml": [('"loom-checkpoint==3.0.1"', '"loom-checkpoint==4.0.0"')],
}
POSTGRES = ('"loom-checkpoint>=2.1.2,<4.0.0"', '"loom-checkpoint>=4.0.0,<5.0.0"')
PREBUILT = ("'Loom_Checkpoint >= 2.1.0, < 4.0.0'", "'Loom_Checkpoint >= 4.0.0, < 5.0.0'")


def test_06_dependents_are_bumped_until_no_published_range_changes(tmp_path: Path) -> None:
    root = shapes.shape_06(tmp_path / "loom")
    assert moved(root, *MAJOR) == {
        "loom-checkpoint": "4.0.0",
        "loom-checkpoint-postgres": "3.1.3",
        "loom-cli": "0.4.12",
        "loom-prebuilt": "1.0.7",
    }
    before = tree(root)
    bump(root, *MAJOR, *RELEASE)
    changes = CHECKPOINT | {
        "libs/checkpoint-postgres/pyproject.toml": [('version = "3.1.2"', 'version = "3.1.3"'), POSTGRES],
        "libs/prebuilt/pyproject.toml": [('version = "1.0.6"', 'version = "1.0.7"'), PREBUILT],
        "libs/cli/pyproject.toml": [
            ('version = "0.4.11"', 'version = "0.4.12"'),
            ('"loom-checkpoint-postgres==3.1.2 ; ', '"loom-checkpoint-postgres==3.1.3 ; '),
        ],
        "libs/cli/loom_cli/__init__.py": [('__version__ = "0.4.11"', '__version__ = "0.4.12"')],
        "libs/sdk/pyproject.toml": [('"loom-cli==0.4.11"', '"loom-cli==0.4.12"')],
    }
    tags = ("checkpoint==4.0.0", "checkpointpostgres==3.1.3", "prebuilt==1.0.7", "cli==0.4.12")
    assert_moved(root, before, changes, *tags)


def test_06_dependents_can_be_left_unbumped(tmp_path: Path) -> None:
    root = shapes.shape_06(tmp_path / "loom")
    replace(root, "pyproject.toml", "[tool.relnox]\n", '[tool.relnox]\ndependents = "none"\n')
    before = tree(root)
    bump(root, *MAJOR, *RELEASE)
    changes = CHECKPOINT | {
        "libs/checkpoint-postgres/pyproject.toml": [POSTGRES],
        "libs/prebuilt/pyproject.toml": [PREBUILT],
    }
    assert_moved(root, before, changes, "checkpoint==4.0.0")


@pytest.mark.parametrize(
    ("level", "expected"),
    [("minor", ("3.2.0", "0.5.0", "1.1.0", "1.1.0")), ("major", ("4.0.0", "1.0.0", "2.0.0", "2.0.0"))],
)
def test_06_the_level_of_dependents_is_a_setting(
    tmp_path: Path, level: str, expected: tuple[str, str, str, str]
) -> None:
    # prebuilt leaves the range that loom has for it, so that loom moves as well.
    root = shapes.shape_06(tmp_path / "loom")
    replace(root, "pyproject.toml", "[tool.relnox]\n", f'[tool.relnox]\ndependents = "{level}"\n')
    postgres, cli, prebuilt, loom = expected
    assert moved(root, *MAJOR) == {
        "loom": loom,
        "loom-checkpoint": "4.0.0",
        "loom-checkpoint-postgres": postgres,
        "loom-cli": cli,
        "loom-prebuilt": prebuilt,
    }


# --- 7: drift ------------------------------------------------------------------------------------------


def test_07_the_workspace_knows_its_members_only_until_all_are_listed(tmp_path: Path) -> None:
    root = shapes.shape_07(tmp_path / "drift")
    assert directories(root) == {"drift-core": "libs/core", "drift-http": "libs/http"}
    assert show(root).versions == {"drift-core": "2.3.0", "drift-http": "2.3.0"}
    replace(root, "pyproject.toml", "[tool.relnox]\n", '[tool.relnox]\npackages = ["libs/*"]\n')
    assert list(directories(root)) == ["drift-aws", "drift-core", "drift-gcp", "drift-http"]
    assert waves(root) == [["drift-core", "drift-gcp"], ["drift-aws", "drift-http"]]


def test_07_different_versions_are_all_listed(tmp_path: Path) -> None:
    said = refused(shapes.shape_07(tmp_path / "drift"), "--part", "patch", *RELEASE)
    for place, version in {
        "libs/core/pyproject.toml": "2.3.0",
        "libs/core/src/drift_core/__init__.py": "2.3.1",
        "pyproject.toml": "2.2.9",
    }.items():
        assert place in said
        assert version in said


def test_07_an_existing_tag_of_another_ecosystem_is_a_conflict(tmp_path: Path) -> None:
    root = shapes.shape_07(tmp_path / "drift")
    assert "tag v2.4.0 already exists" in refused(root, "--to", "2.4.0", *RELEASE, code=4)


def test_07_one_version_for_all_aligns_versions_and_the_stale_pin(tmp_path: Path) -> None:
    root = shapes.shape_07(tmp_path / "drift")
    before = tree(root)
    bump(root, "--to", "2.4.1", *RELEASE)
    assert_moved(
        root,
        before,
        {
            "pyproject.toml": [('\ncurrent_version = "2.2.9"', '\ncurrent_version = "2.4.1"')],
            "libs/core/pyproject.toml": [('version = "2.3.0"', 'version = "2.4.1"')],
            "libs/core/src/drift_core/__init__.py": [("\n__version__ = '2.3.1'", "\n__version__ = '2.4.1'")],
            "libs/http/pyproject.toml": [
                ('version = "2.3.0"', 'version = "2.4.1"'),
                ('"drift-core>=1.0,<2"', '"drift-core>=2.4.1,<3"'),
            ],
        },
        "v2.4.1",
    )


# --- 8: maturin ----------------------------------------------------------------------------------------


def test_08_versions_come_from_pyproject_from_cargo_and_from_its_workspace(tmp_path: Path) -> None:
    root = shapes.shape_08(tmp_path / "crab")
    assert directories(root) == {
        "crab-core": "python/crab",
        "crab-plugin": "python/plugin",
        "ferro": "python/ferro",
    }
    shown = show(root)
    assert shown.notes == []
    assert shown.versions == {"crab-core": "2.41.5", "crab-plugin": "0.3.0", "ferro": "0.9.0"}
    assert {name: package.source.file for name, package in open_project(root).workspace.by_name.items()} == {
        "crab-core": "python/crab/Cargo.toml",
        "crab-plugin": "Cargo.toml",
        "ferro": "python/ferro/pyproject.toml",
    }
    assert waves(root) == [["crab-core", "ferro"], ["crab-plugin"]]


def test_08_a_version_in_two_files_changes_in_both_grammars(tmp_path: Path) -> None:
    # The plugin pins it, so that the plugin's workspace version and all crates of that version move, too: to a
    # prerelease, as what is final must not need one.
    root = shapes.shape_08(tmp_path / "crab")
    before = tree(root)
    bump(root, "--package", "ferro", "--pre", "alpha", *RELEASE)
    assert_moved(
        root,
        before,
        {
            "python/ferro/pyproject.toml": [('version = "0.9.0"\n\n', 'version = "0.9.1a0"\n\n')],
            "python/ferro/Cargo.toml": [('version = "0.9.0"\nedition', 'version = "0.9.1-alpha.0"\nedition')],
            "python/plugin/pyproject.toml": [("'ferro==0.9.0'", "'ferro==0.9.1a0'")],
            "Cargo.toml": [('\nversion = "0.3.0"  # all crates', '\nversion = "0.3.1-alpha.0"  # all crates')],
            "Cargo.lock": [
                ('"ferro"\nversion = "0.9.0"', '"ferro"\nversion = "0.9.1-alpha.0"'),
                ('"crab-plugin"\nversion = "0.3.0"', '"crab-plugin"\nversion = "0.3.1-alpha.0"'),
                ('"crab-util"\nversion = "0.3.0"', '"crab-util"\nversion = "0.3.1-alpha.0"'),
            ],
        },
        "crab-plugin-v0.3.1a0",
        "ferro-v0.9.1a0",
    )


def test_08_indented_keys_and_single_quotes_are_kept(tmp_path: Path) -> None:
    root = shapes.shape_08(tmp_path / "crab")
    before = tree(root)
    bump(root, "--package", "crab-core", "--part", "patch", *RELEASE)
    assert_moved(
        root,
        before,
        {
            "python/crab/Cargo.toml": [("\n  version = '2.41.5'", "\n  version = '2.41.6'")],
            "Cargo.lock": [('"crab-core"\nversion = "2.41.5"', '"crab-core"\nversion = "2.41.6"')],
        },
        "crab-core-v2.41.6",
    )


def test_08_two_locations_that_differ_are_blocked(tmp_path: Path) -> None:
    root = shapes.shape_08(tmp_path / "crab")
    replace(root, "python/ferro/Cargo.toml", 'version = "0.9.0"\nedition', 'version = "0.8.7"\nedition')
    said = refused(root, "--package", "ferro", "--part", "minor", *RELEASE)
    for words in ("python/ferro/pyproject.toml", "0.9.0", "python/ferro/Cargo.toml", "0.8.7"):
        assert words in said


def test_08_a_version_that_cargo_cannot_express_is_blocked(tmp_path: Path) -> None:
    root = shapes.shape_08(tmp_path / "crab")
    said = refused(root, "--package", "crab-core", "--part", "post", *RELEASE)
    assert "2.41.5.post1" in said
    assert "Cargo.toml" in said


# --- 9: path dependencies of Poetry --------------------------------------------------------------------


def test_09_path_dependencies_order_the_release(tmp_path: Path) -> None:
    root = shapes.shape_09(tmp_path / "poem")
    assert directories(root) == {"poem-app": "app", "poem-cli": "cli", "poem-kit": "kit", "poem-lib": "lib"}
    assert waves(root) == [["poem-kit", "poem-lib"], ["poem-app", "poem-cli"]]
    shown = show(root)
    assert shown.notes == []
    assert shown.versions == {"poem-app": "0.4.2", "poem-cli": "1.0.0", "poem-kit": "0.4.2", "poem-lib": "0.4.2"}


@pytest.mark.parametrize(
    ("package", "changed"),
    [
        ("lib", ('Poem_Lib = "^0.4.1"', 'Poem_Lib = "^0.5.0"')),
        ("kit", ('version = ">=0.4,<0.5"', 'version = ">=0.5.0,<0.6"')),
    ],
)
def test_09_constraints_change_and_paths_stay(tmp_path: Path, package: str, changed: tuple[str, str]) -> None:
    root = shapes.shape_09(tmp_path / "poem")
    before = tree(root)
    bump(root, "--package", f"poem-{package}", "--part", "minor", *RELEASE)
    assert_moved(
        root,
        before,
        {
            f"{package}/pyproject.toml": [('\nversion = "0.4.2"', '\nversion = "0.5.0"')],
            "cli/pyproject.toml": [('\nversion = "1.0.0"', '\nversion = "1.0.1"'), changed],
            "cli/poem_cli/__init__.py": [('"1.0.0"', '"1.0.1"')],
        },
        f"poem-{package}-v0.5.0",
        "poem-cli-v1.0.1",
    )


@pytest.mark.parametrize("url", ["file:///builds/lib", "git+https://example.invalid/lib.git@0.4.2"])
def test_09_an_archive_that_needs_an_address_is_not_published(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The public index refuses it, and for others such a path leads nowhere.
    monkeypatch.setenv("RELNOX_HOUSE_TOKEN", "any")
    root = tmp_path / "poem"
    root.mkdir()
    in_tree(root, "app", requires=(f"lib @ {url}",))
    assert f"lib @ {url}" in not_published(root)


def not_published(root: Path) -> str:
    """Build a package and publish it to a production index; return the messages when that is blocked."""
    with EmbeddedIndex(root.parent / "index") as index:
        settings = f'upload = "{index.upload_url}"\nsimple = "{index.simple_url}"\n'
        text = (root / "pyproject.toml").read_text(encoding="utf-8")
        repository(write(root, {"pyproject.toml": f"{text}\n[tool.relnox.indexes.house]\n{settings}"}))
        built = run(root, "relnox", "build-all")
        if built.code != 0:
            return built.err
        ran = run(root, "relnox", "publish", "--index", "house", "--yes")
    assert ran.code == 1, ran.text
    assert not list((root.parent / "index").rglob("*.whl"))
    return ran.err


# --- 10: versions from tags that are not there ---------------------------------------------------------


def test_10_without_a_tag_there_is_no_version_to_bump(tmp_path: Path) -> None:
    root = shapes.shape_10(tmp_path / "hollow")
    shown = show(root)
    assert list(shown.rows) == ["hollow"]
    assert "setuptools-scm" in shown.versions["hollow"]
    said = refused(root, "--part", "minor", "--tag")
    assert "tag" in said
    before = tree(root)
    bump(root, "--to", "0.1.0", "--tag")
    assert_moved(root, before, {}, "v0.1.0")
    assert show(root).versions == {"hollow": "0.1.0"}


def test_10_a_shallow_clone_does_not_know_its_version_and_says_why(tmp_path: Path) -> None:
    root = shapes.shape_10(tmp_path / "hollow")
    git(root, "tag", "v1.0.0")
    for number in range(3):
        commit_all(write(root, {"README.md": f"hollow {number}\n"}))
    git(tmp_path, "clone", "--quiet", "--depth", "1", root.as_uri(), "shallow")
    assert "shallow" in refused(tmp_path / "shallow", "--part", "minor", "--tag")
    bump(root, "--part", "minor", "--tag")
    assert "v1.1.0" in git(root, "tag")


def test_10_a_version_between_two_tags_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELNOX_HOUSE_TOKEN", "any")
    root = tmp_path / "hollow"
    root.mkdir()
    in_tree(root, "hollow", says="0.1.dev2144+gabc1234")
    replace_text(root, "pyproject.toml", 'version = "1.0"', 'dynamic = ["version"]')
    said = not_published(root)
    assert "hollow" in said
    assert "0.1.dev2144+gabc1234" in said


def test_10_a_version_between_two_tags_is_reported_before_it_is_built(tmp_path: Path) -> None:
    root = shapes.shape_10(tmp_path / "hollow")
    git(root, "tag", "v0.9.0")
    file = tmp_path / "plan.json"
    for expected in (False, True):
        if expected:
            commit_all(write(root, {"README.md": "after the tag\n"}))
        assert run(root, "relnox", "build-all", "--dry-run", "--plan", str(file)).code == 0
        plan = json.loads(file.read_text(encoding="utf-8"))
        message = [*plan["notes"], *(refusal["message"] for refusal in plan["problems"])]
        assert any("hollow" in each and "tag" in each for each in message) is expected


# --- 11: three version systems in one repository -------------------------------------------------------


def test_11_versions_of_each_system(tmp_path: Path) -> None:
    root = shapes.shape_11(tmp_path / "flow")
    found = directories(root)
    assert len(found) == 19
    assert (found["flow"], found["flow-client"], found["flow-ui"]) == (".", "client", "ui")
    assert waves(root)[0] == ["flow", "flow-client", "flow-ui"]
    shown = show(root)
    assert shown.notes == []
    versions = shown.versions
    assert (versions["flow"], versions["flow-client"], versions["flow-ui"]) == ("3.6.1", "3.6.1", "2.1.0")
    assert (versions["flow-aws"], versions["flow-aws-batch"], versions["flow-azure"]) == (
        "0.0.0",
        "9.9.9",
        "0.2.0",
    )


@pytest.mark.parametrize(
    ("package", "tag"),
    [
        ("flow", "3.7.0"),
        ("flow-client", "3.7.0"),
        ("flow-aws", "flow-aws-0.1.0"),
        ("flow-snow", "flow-snow-0.16.0"),
    ],
)
def test_11_a_bump_from_tags_creates_one_tag_of_its_namespace(tmp_path: Path, package: str, tag: str) -> None:
    root = shapes.shape_11(tmp_path / "flow")
    before = tree(root)
    bump(root, "--package", package, "--part", "minor", "--tag")
    assert_moved(root, before, {}, tag)


def test_11_the_version_of_the_package_in_package_json_changes(tmp_path: Path) -> None:
    root = shapes.shape_11(tmp_path / "flow")
    before = tree(root)
    bump(root, "--package", "flow-ui", "--pre", "rc", *RELEASE)
    changed = ('\n  "version": "2.1.0"\n', '\n  "version": "2.1.1-rc.0"\n')
    assert_moved(root, before, {"ui/package.json": [changed]}, "flow-ui-v2.1.1rc0")


# --- 12: a backend that builds itself ------------------------------------------------------------------


def test_12_build_requirements_come_first(tmp_path: Path) -> None:
    root = shapes.shape_12(tmp_path / "anvil")
    assert directories(root) == {"anvil": ".", "anvil-backend": "backend", "anvil-vcs": "plugins/vcs"}
    assert waves(root) == [["anvil-backend"], ["anvil-vcs"], ["anvil"]]
    shown = show(root)
    assert shown.notes == []
    assert shown.versions == {"anvil": "1.16.0", "anvil-backend": "1.27.0", "anvil-vcs": "0.5.0"}


def test_12_build_requirements_change_without_a_bump(tmp_path: Path) -> None:
    root = shapes.shape_12(tmp_path / "anvil")
    before = tree(root)
    bump(root, "--package", "anvil-backend", "--part", "major", *RELEASE)
    build = [('"anvil-backend>=1.27.0,<2"', '"anvil-backend>=2.0.0,<3"')]
    assert_moved(
        root,
        before,
        {
            "backend/src/anvil_backend/__about__.py": [("'1.27.0'", "'2.0.0'")],
            "pyproject.toml": build,
            "plugins/vcs/pyproject.toml": build,
        },
        "anvil-backend-v2.0.0",
    )


def test_12_siblings_are_built_with_the_backend_that_was_just_built(tmp_path: Path) -> None:
    # No index has anvil-backend 2.0.0: nothing but the tree can provide it.
    root = shapes.shape_12(tmp_path / "anvil")
    bump(root, "--package", "anvil-backend", "--part", "major", "--commit")
    ran = run(root, "relnox", "build-all")
    assert ran.code == 0, ran.text
    assert sorted(path.name for path in (root / "dist").glob("*.whl")) == [
        "anvil-1.16.0-py3-none-any.whl",
        "anvil_backend-2.0.0-py3-none-any.whl",
        "anvil_vcs-0.5.0-py3-none-any.whl",
    ]


# --- 13: a jungle of fixtures --------------------------------------------------------------------------


def test_13_ninety_seven_files_are_one_package(tmp_path: Path) -> None:
    root = shapes.shape_13(tmp_path / "thicket")
    assert len(list(root.rglob("pyproject.toml"))) == 97
    assert directories(root) == {"thicket-core": "."}
    shown = show(root)
    assert shown.notes == []
    assert shown.versions == {"thicket-core": "0.11.0"}
    before = tree(root)
    bump(root, "--part", "minor", "--tag")
    assert_moved(root, before, {}, "v0.12.0")


def test_13_without_the_package_there_is_none(tmp_path: Path) -> None:
    root = shapes.shape_13(tmp_path / "thicket")
    (root / "pyproject.toml").unlink()
    commit_all(root)
    ran = run(root, "relnox", "status")
    assert ran.code == 1, ran.text
    assert "no package" in ran.err


# --- 14: decoys ----------------------------------------------------------------------------------------


def test_14_versions_are_read_from_one_location(tmp_path: Path) -> None:
    root = shapes.shape_14(tmp_path / "decoys")
    shown = show(root)
    assert shown.notes == []
    assert shown.versions == {
        "coded": "0.4.0",
        "epoch": "1!0+dev",
        "mesonic": "1.4.0",
        "number": "2.31.1",
        "plain": "3.2.0.dev0",
        "regexp": "0.8.1",
    }
    assert {name: package.source.file for name, package in open_project(root).workspace.by_name.items()} == {
        "coded": "coded/coded/about.py",
        "epoch": "epoch/VERSION.txt",
        "mesonic": "mesonic/meson.build",
        "number": "number/number/__version__.py",
        "plain": "plain/pyproject.toml",
        "regexp": "regexp/include/regexp/version.h",
    }


def test_14_similar_code_is_unchanged(tmp_path: Path) -> None:
    root = shapes.shape_14(tmp_path / "decoys")
    before = tree(root)
    bump(root, "--all", "--part", "minor", *RELEASE)
    assert_moved(
        root,
        before,
        {
            "coded/coded/about.py": [('\nRELEASE = "0.4.0"', '\nRELEASE = "0.5.0"')],
            "epoch/VERSION.txt": [("1!0+dev", "1!0.1")],
            "mesonic/meson.build": [("version: '1.4.0',  # the one", "version: '1.5.0',  # the one")],
            "number/number/__version__.py": [('\n__version__ = "2.31.1"', '\n__version__ = "2.32.0"')],
            "plain/pyproject.toml": [('\nversion = "3.2.0.dev"  #', '\nversion = "3.2.0"  #')],
            "regexp/include/regexp/version.h": [('REGEXP_VERSION "0.8.1"', 'REGEXP_VERSION "0.9.0"')],
        },
        "coded-v0.5.0",
        "epoch-v1!0.1",
        "mesonic-v1.5.0",
        "number-v2.32.0",
        "plain-v3.2.0",
        "regexp-v0.9.0",
    )
