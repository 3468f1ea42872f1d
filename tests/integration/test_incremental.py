"""A package whose inputs did not change keeps its archives; whatever could have changed them builds it again."""

from __future__ import annotations

import json
import os
import platform
import zipfile
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from backends import in_tree
from projects import commit_all, git, repository, write
from running import run
from warm import settled

from relnox.commands.shared.opening import open_project
from relnox.source.build_inputs import hash_build_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from running import RunResult

pytestmark = pytest.mark.heavy

FLIT = '[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n\n'
HATCHLING = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n\n'
SETUPTOOLS = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n\n'
UNCHANGED = "unchanged: archives of commit"


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with settled(monkeypatch, tmp_path_factory.getbasetemp() / "kept"):
        monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
        monkeypatch.setenv("GIT_CONFIG_KEY_0", "protocol.file.allow")
        monkeypatch.setenv("GIT_CONFIG_VALUE_0", "always")
        yield


def project(name: str, head: str = FLIT) -> str:
    return f'{head}[project]\nname = "{name}"\nversion = "1.0"\ndescription = "It"\n'


def pair(root: Path, more: dict[str, str] | None = None, head: str = FLIT) -> Path:
    """Two packages of a declarative backend in `packages`, committed."""
    files = {"pyproject.toml": '[tool.relnox]\npackages = ["packages/*"]\nversions = "independent"\n'}
    for name in ("one", "two"):
        files[f"packages/{name}/pyproject.toml"] = project(name, head)
        files[f"packages/{name}/{name}.py"] = '"""It."""\n'
    return repository(write(root, {**files, ".gitignore": "dist/\n", **(more or {})}))


def manifest(root: Path) -> Any:
    return json.loads((root / "dist/manifest.json").read_text(encoding="utf-8"))


def hashes(root: Path) -> dict[str, str]:
    return {each["name"]: each["hashes"]["sha256"] for each in manifest(root)["artifacts"]}


def build(root: Path, *options: str) -> RunResult:
    ran = run(root, "relnox", "build-all", *options)
    assert ran.code == 0, ran.text
    return ran


def kept_by(ran: RunResult) -> set[str]:
    """Packages that were not built because nothing changed."""
    lines = ran.err.splitlines()
    return {line.split()[2] for line, after in pairwise(lines) if UNCHANGED in after}


# --- what is skipped, and what is not -------------------------------------------------------------------------


@pytest.mark.network
def test_only_changed_packages_are_built_again(tmp_path: Path) -> None:
    root = pair(tmp_path / "home")
    build(root)
    first = hashes(root)
    write(root, {f"elsewhere/{number}.txt": str(number) for number in range(500)})
    commit_all(root)
    ran = build(root)
    assert kept_by(ran) == {"one", "two"}
    assert hashes(root) == first
    write(root, {"packages/one/one.py": '"""It is new."""\n'})
    changed = commit_all(root)
    ran = build(root)
    assert kept_by(ran) == {"two"}
    second = hashes(root)
    assert {name.split("-")[0] for name in first if first[name] != second[name]} == {"one"}
    assert manifest(root)["inputs"]["one"]["commit"] == changed
    assert manifest(root)["inputs"]["two"]["commit"] != changed
    assert kept_by(build(root, "--no-cache")) == set()
    assert kept_by(build(root)) == set()  # its inputs were not recorded
    assert kept_by(build(root)) == {"one", "two"}
    assert kept_by(build(root, "--clean")) == set()
    assert kept_by(build(root, "--from-tree")) == set()
    assert kept_by(build(root)) == set()


@pytest.mark.network
def test_no_environment_is_prepared_for_unchanged_packages(tmp_path: Path) -> None:
    root = pair(tmp_path / "home")
    skipped = "not needed: its packages are unchanged"
    assert skipped not in build(root).err
    ran = build(root)
    assert skipped in ran.err, ran.err
    write(root, {"packages/two/two.py": '"""It is new."""\n'})
    commit_all(root)
    ran = build(root)
    assert skipped not in ran.err
    assert kept_by(ran) == {"one"}


def without_inputs(document: Any) -> None:
    del document["inputs"]


def with_a_list(document: Any) -> None:
    document["inputs"] = []


def with_half(document: Any) -> None:
    del document["inputs"]["home"]["digest"]


def with_another_digest(document: Any) -> None:
    document["inputs"]["home"]["digest"] = "0" * 64


def with_null(document: Any) -> None:
    document["inputs"]["home"]["requires"] = None


@pytest.mark.parametrize("damage", [without_inputs, with_a_list, with_half, with_another_digest, with_null])
def test_an_old_or_damaged_manifest_skips_no_build(damage: Callable[[Any], None], tmp_path: Path) -> None:
    root = tmp_path / "home"
    root.mkdir()
    repository(in_tree(root))
    build(root)
    document = manifest(root)
    damage(document)
    (root / "dist/manifest.json").write_text(json.dumps(document), encoding="utf-8")
    assert kept_by(build(root)) == set()
    assert kept_by(build(root)) == {"home"}


def test_reused_archives_are_checked_again(tmp_path: Path) -> None:
    root = tmp_path / "home"
    root.mkdir()
    repository(in_tree(root))
    build(root)
    first = hashes(root)
    wheel, sdist = root / "dist/home-1.0-py3-none-any.whl", root / "dist/home-1.0.tar.gz"
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.comment = b"another hash"
    assert kept_by(build(root)) == set()
    assert hashes(root)[wheel.name] == first[wheel.name]
    sdist.unlink()
    assert kept_by(build(root)) == set()
    (root / "dist/manifest.json").unlink()
    assert kept_by(build(root)) == set()
    assert kept_by(build(root)) == {"home"}


def test_packages_with_sibling_build_requirements_are_always_built(tmp_path: Path) -> None:
    root = tmp_path / "home"
    for name in ("tool", "user"):
        (root / name).mkdir(parents=True)
        in_tree(root / name, name)
    user = root / "user/pyproject.toml"
    user.write_text(user.read_text(encoding="utf-8").replace("requires = []", 'requires = ["tool"]'))
    repository(write(root, {"pyproject.toml": '[tool.relnox]\npackages = ["tool", "user"]\n'}))
    build(root)
    assert kept_by(build(root)) == {"tool"}


def test_shards_cover_all_packages(tmp_path: Path) -> None:
    root = tmp_path / "home"
    names = ("alpha", "beta", "gamma")
    for name in names:
        (root / name).mkdir(parents=True)
        in_tree(root / name, name)
    repository(write(root, {"pyproject.toml": f"[tool.relnox]\npackages = {json.dumps(names)}\n"}))
    for number in (1, 2):
        build(root, "--shard", f"{number}/2", "--output", f"dist/{number}")
    found = [{path.name for path in (root / f"dist/{number}").glob("*.whl")} for number in (1, 2)]
    assert found[0].isdisjoint(found[1])
    assert found[0] | found[1] == {f"{name}-1.0-py3-none-any.whl" for name in names}
    again = [kept_by(build(root, "--shard", f"{number}/2", "--output", f"dist/{number}")) for number in (1, 2)]
    assert again[0] | again[1] == set(names)


def release(directory: Path, version: str) -> None:
    """A release of a tiny backend, as a wheel that an installer finds."""
    code = f"""\
import pathlib, tarfile, zipfile

NAME = "home"


def build_sdist(directory, settings=None):
    with tarfile.open(pathlib.Path(directory) / "home-1.0.tar.gz", "w:gz") as archive:
        pathlib.Path("PKG-INFO").write_text("Metadata-Version: 2.1\\nName: home\\nVersion: 1.0\\n")
        for name in ("PKG-INFO", "pyproject.toml"):
            archive.add(name, f"home-1.0/{{name}}")
    return "home-1.0.tar.gz"


def build_wheel(directory, settings=None, metadata_directory=None):
    top = "home-1.0.dist-info"
    files = {{
        "home.py": "by = {version!r}\\n",
        f"{{top}}/METADATA": "Metadata-Version: 2.1\\nName: home\\nVersion: 1.0\\n",
        f"{{top}}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }}
    import base64, hashlib
    record = ""
    with zipfile.ZipFile(pathlib.Path(directory) / "home-1.0-py3-none-any.whl", "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
            record += f"{{name}},sha256={{digest}},{{len(text)}}\\n"
        archive.writestr(zipfile.ZipInfo(f"{{top}}/RECORD"), record + f"{{top}}/RECORD,,\\n")
    return "home-1.0-py3-none-any.whl"
"""
    directory.mkdir(exist_ok=True)
    top = f"inhouse-{version}.dist-info"
    with zipfile.ZipFile(directory / f"inhouse-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("inhouse.py", code)
        wheel.writestr(f"{top}/METADATA", f"Metadata-Version: 2.1\nName: inhouse\nVersion: {version}\n")
        wheel.writestr(f"{top}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{top}/RECORD", f"inhouse.py,,\n{top}/METADATA,,\n{top}/WHEEL,,\n{top}/RECORD,,\n")


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_a_new_release_of_a_build_requirement_builds_again(
    installer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = tmp_path / "links"
    write(tmp_path, {"uv.toml": f"no-index = true\nfind-links = [{json.dumps(str(links))}]\n"})
    monkeypatch.setenv("UV_CONFIG_FILE", str(tmp_path / "uv.toml"))
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    choice = ("--installer", installer)
    head = '[build-system]\nrequires = ["inhouse"]\nbuild-backend = "inhouse"\n\n'
    root = repository(write(tmp_path / "home", {"pyproject.toml": project("home", head), ".gitignore": "dist/\n"}))
    release(links, "1.0")
    build(root, *choice)
    assert kept_by(build(root, *choice)) == {"home"}
    release(links, "1.1")
    assert kept_by(build(root, *choice)) == set()
    with zipfile.ZipFile(root / "dist/home-1.0-py3-none-any.whl") as wheel:
        assert wheel.read("home.py") == b"by = '1.1'\n"
    assert kept_by(build(root, *choice)) == {"home"}


# --- what an old manifest or an old archive must not stop ------------------------------------------------------


def built_with(root: Path, requires: object) -> Path:
    """A package that was built, and whose manifest says that this was required for it."""
    root.mkdir()
    repository(in_tree(root))
    build(root)
    was = manifest(root)
    was["inputs"]["home"]["requires"] = requires
    (root / "dist/manifest.json").write_text(json.dumps(was), encoding="utf-8")
    return root


def test_an_unreadable_archive_is_built_again(tmp_path: Path) -> None:
    root = built_with(tmp_path / "home", [[]])  # which is what it required
    (root / "dist/home-1.0-py3-none-any.whl").write_bytes(b"no wheel")
    assert kept_by(build(root)) == set()


def test_a_build_requirement_that_is_no_longer_available_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"uv.toml": "no-index = true\n"})
    monkeypatch.setenv("UV_CONFIG_FILE", str(tmp_path / "uv.toml"))
    assert kept_by(build(built_with(tmp_path / "home", [["relnox-not-there-any-more"]]))) == set()


def test_invalid_requirements_in_the_manifest_skip_no_build(tmp_path: Path) -> None:
    assert kept_by(build(built_with(tmp_path / "home", [[1, 2]]))) == set()


# --- what the digest of the inputs goes by --------------------------------------------------------------------


def inputs_of(root: Path) -> dict[str, str]:
    """The digests of a project's packages in its current commit."""
    opened = open_project(root)
    assert opened.git is not None
    assert opened.state is not None
    assert opened.state.head is not None
    entries = opened.git.tree_entries(opened.state.head)
    return hash_build_inputs(opened.root, opened.git, opened.state.head, opened.workspace.packages, entries)


def changed(root: Path, do: Callable[[], object]) -> set[str]:
    """The packages whose digests a change changes."""
    before = inputs_of(root)
    assert inputs_of(root) == before
    do()
    after = inputs_of(root)
    return {name for name in before if before[name] != after[name]}


def committed(root: Path, name: str) -> Callable[[], object]:
    return lambda: (write(root, {name: f"# {os.urandom(8).hex()}\n"}), commit_all(root))


@pytest.mark.parametrize("name", ["elsewhere.txt", "packages/elsewhere.txt", "packages/ones/x.py"])
def test_changes_outside_the_package_are_ignored(name: str, tmp_path: Path) -> None:
    root = pair(tmp_path / "home")
    assert changed(root, committed(root, name)) == set()


@pytest.mark.parametrize("name", [".gitignore", ".gitattributes", "packages/.gitignore"])
def test_ignore_files_in_parent_directories_are_inputs(name: str, tmp_path: Path) -> None:
    root = pair(tmp_path / "home")
    assert changed(root, committed(root, name)) == {"one", "two"}


@pytest.mark.parametrize(
    ("head", "more"),
    [
        (SETUPTOOLS, {"setup.py": "import setuptools; setuptools.setup()\n"}),
        (SETUPTOOLS, {"setup.cfg": "[options]\npackage_dir =\n  = ../../src\n"}),
        (HATCHLING, {"hatch_build.py": ""}),
        (HATCHLING, {"hatch.toml": "[build.hooks.custom]\n"}),
        (f"{HATCHLING}[tool.hatch.build.hooks.custom]\npath = 'x.py'\n\n", {}),
        (f"{HATCHLING}[tool.hatch.metadata.hooks.custom]\npath = 'x.py'\n\n", {}),
        (f"{HATCHLING}[tool.hatch.build.targets.wheel.force-include]\n'../../x' = 'x'\n\n", {}),
        (FLIT.replace("\n\n", "\nbackend-path = ['.']\n\n"), {}),
        (FLIT.replace("flit_core.buildapi", "unknown.backend"), {}),
    ],
)
def test_builds_that_run_code_depend_on_the_whole_commit(head: str, more: dict[str, str], tmp_path: Path) -> None:
    files = {f"packages/one/{name}": text for name, text in more.items()}
    root = pair(tmp_path / "home", {**files, "packages/one/pyproject.toml": project("one", head)})
    assert changed(root, committed(root, "elsewhere.txt")) == {"one"}


def test_a_link_in_a_package_is_followed(tmp_path: Path) -> None:
    root = pair(tmp_path / "home", {"LICENSE": "MIT\n"})
    (root / "packages/one/LICENSE").symlink_to("../../LICENSE")
    commit_all(root)
    assert changed(root, committed(root, "LICENSE")) == {"one"}


def test_files_above_a_nested_project_are_inputs(tmp_path: Path) -> None:
    root = pair(tmp_path / "top/home")
    (root / ".git").rename(root.parent / ".git")
    write(root, {"packages/one/setup.py": ""})
    commit_all(root.parent)
    assert changed(root, committed(root.parent, ".gitattributes")) == {"one", "two"}
    assert changed(root, committed(root.parent, "VERSION")) == {"one"}
    assert changed(root, committed(root, "packages/two/two.py")) == {"one", "two"}


@pytest.mark.parametrize(
    "head",
    [
        f'{HATCHLING}[tool.hatch.version]\nsource = "vcs"\n\n',
        f"{SETUPTOOLS}[tool.setuptools_scm]\n\n".replace('["setuptools"]', '["setuptools", "setuptools-scm"]'),
    ],
)
def test_versions_from_tags_follow_commits_and_tags(
    head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = project("one", head).replace('version = "1.0"', 'dynamic = ["version"]')
    root = pair(tmp_path / "home", {"packages/one/pyproject.toml": text})
    empty = ("commit", "--quiet", "--allow-empty", "--message", "Nothing")
    assert changed(root, lambda: git(root, *empty)) == {"one"}
    assert changed(root, lambda: git(root, "tag", "v2.0")) == {"one"}
    pretend = lambda: monkeypatch.setenv("SETUPTOOLS_SCM_PRETEND_VERSION", "9")  # noqa: E731 - a change like the others
    assert "one" in changed(root, pretend)


def test_submodules_are_inputs(tmp_path: Path) -> None:
    inner = repository(write(tmp_path / "inner", {"deep.py": ""}))
    root = pair(tmp_path / "home")
    git(root, "submodule", "--quiet", "add", str(inner), "packages/one/vendor")
    commit_all(root)
    git(tmp_path, "clone", "--quiet", str(root), "clone")
    clone = tmp_path / "clone"
    assert "one" in changed(clone, lambda: git(clone, "submodule", "--quiet", "update", "--init"))


def test_checkout_filters_are_inputs(tmp_path: Path) -> None:
    root = pair(tmp_path / "home")
    assert changed(root, lambda: git(root, "config", "core.symlinks", "false")) == {"one", "two"}
    assert changed(root, lambda: git(root, "config", "filter.lfs.smudge", "cat")) == {"one", "two"}


def test_line_ends_in_checkouts_are_not_inputs(tmp_path: Path) -> None:
    root = pair(tmp_path / "home")
    assert changed(root, lambda: git(root, "config", "core.autocrlf", "true")) == set()


def test_the_python_version_is_an_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = pair(tmp_path / "home")
    assert changed(root, lambda: monkeypatch.setattr(platform, "python_implementation", str)) == {"one", "two"}


def test_credentials_in_the_environment_are_not_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = pair(tmp_path / "home")
    assert changed(root, lambda: monkeypatch.setenv("POETRY_PYPI_TOKEN_PYPI", "canary")) == set()
