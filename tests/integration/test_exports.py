"""Exactly the current commit is built in checkouts of every kind, and no trace is left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from backends import in_tree
from projects import commit_all, git, repository, write
from running import run
from warm import BACKENDS, package, settled, workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECRETS = (".env", ".pypirc", "id_rsa")
CANARY = b"canary-4711"

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(os.name != "posix", reason="signals, links and file modes of POSIX"),
]


@pytest.fixture(autouse=True)
def scratch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The directory in which runs create temporary directories; submodules may be local."""
    directory = tmp_path / "scratch"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr(tempfile, "tempdir", None)
    set_git_config(monkeypatch, "protocol.file.allow", "always")
    with settled(monkeypatch):
        yield directory


def set_git_config(monkeypatch: pytest.MonkeyPatch, key: str, value: str) -> None:
    """Set an option of git as if the user had set it for all repositories."""
    number = int(os.environ.get("GIT_CONFIG_COUNT", "0"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(number + 1))
    monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", key)
    monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)


def repository_state(root: Path) -> tuple[str, ...]:
    """The state of a repository that a build must not change."""
    common = root / git(root, "rev-parse", "--git-common-dir")
    return (
        git(root, "worktree", "list", "--porcelain"),
        git(root, "for-each-ref"),
        (root / git(root, "rev-parse", "--git-path", "HEAD")).read_text(encoding="utf-8"),
        git(root, "status", "--porcelain", "--untracked-files=all"),
        (common / "config").read_text(encoding="utf-8"),
    )


def home(root: Path, hook: str = "pass") -> Path:
    """Create a repository with a package that ships every Python file in its directory."""
    return repository(in_tree(root, hook=hook))


def members(archive: Path) -> dict[str, bytes]:
    """Read the files of an archive, by name below its top directory."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return {name: wheel.read(name) for name in wheel.namelist()}
    with tarfile.open(archive) as sdist:
        return {
            each.name.partition("/")[2]: content.read()
            for each in sdist
            if (content := sdist.extractfile(each)) is not None
        }


def sdist_members(root: Path) -> dict[str, bytes]:
    """Read the files of the only sdist of a project."""
    (sdist,) = (root / "dist").glob("*.tar.gz")
    return members(sdist)


# --- uncommitted files ----------------------------------------------------------------------------------------


@pytest.mark.network
def test_uncommitted_files_are_not_shipped_with_any_backend(tmp_path: Path) -> None:
    # From the tree, hatchling ships untracked files: see the next test.
    packages = {f"by-{name.replace('_', '-')}": package(f"by-{name.replace('_', '-')}", name) for name in BACKENDS}
    root = workspace(tmp_path / "home", packages)
    write(root, {".gitignore": "dist/\n*.ignored\n"})
    repository(root)
    for name in packages:
        module = name.replace("-", "_")
        for place in (root / name, root / name / "src" / module, root / name / "src" / module / "data"):
            for secret in (*SECRETS, "x.ignored", "stray.py"):
                (place / secret).write_bytes(CANARY)
        (root / name / "src" / module / "data" / "table.txt").write_bytes(CANARY)
    run(root, "relnox", "build-all", code=0)
    archives = [path for path in (root / "dist").iterdir() if path.suffix in (".whl", ".gz")]
    assert len(archives) == 2 * len(BACKENDS)
    for archive in archives:
        inside = members(archive)
        names = {Path(name).name for name in inside}
        assert names.isdisjoint({*SECRETS, "x.ignored", "stray.py"}), archive
        assert not any(CANARY in content for content in inside.values()), archive


@pytest.mark.network
def test_uncommitted_files_are_shipped_from_the_tree(tmp_path: Path) -> None:
    root = workspace(tmp_path / "home", {"one": package("one", "hatchling")})
    repository(root)
    for secret in SECRETS:
        (root / "one" / secret).write_bytes(CANARY)
    assert run(root, "relnox", "build-all").code == 0
    assert not any(CANARY in content for content in sdist_members(root).values())
    ran = run(root, "relnox", "build-all", "--from-tree", code=2)
    assert "one-1.2/.pypirc contains" in ran.err
    assert "one-1.2/id_rsa contains" in ran.err
    for secret in (".pypirc", "id_rsa"):
        (root / "one" / secret).unlink()
    assert run(root, "relnox", "build-all", "--from-tree").code == 0
    assert sdist_members(root)[".env"] == CANARY


def test_outside_git_and_before_the_first_commit_the_tree_is_built(tmp_path: Path) -> None:
    root = in_tree(tmp_path / "home")
    for _ in range(2):
        ran = run(root, "relnox", "build-all", code=0)
        assert "export" not in ran.err
        assert "home.py" in sdist_members(root)
        git(root, "init", "--quiet")


# --- kinds of checkouts ------------------------------------------------------------------------------------


def of_a_bare_clone(root: Path, beside: Path, patch: pytest.MonkeyPatch) -> Path:
    git(beside, "clone", "--quiet", "--bare", str(root), "bare.git")
    git(beside / "bare.git", "worktree", "add", "--quiet", str(beside / "tree"), "main")
    set_git_config(patch, "safe.bareRepository", "explicit")
    return beside / "tree"


def shallow(root: Path, beside: Path, patch: pytest.MonkeyPatch) -> Path:
    write(root, {"more.py": ""})
    commit_all(root)
    git(beside, "clone", "--quiet", "--depth", "1", root.as_uri(), "shallow")
    return beside / "shallow"


def partial(root: Path, beside: Path, patch: pytest.MonkeyPatch) -> Path:
    """A clone that lacks the content of files outside of its sparse checkout."""
    git(root, "config", "uploadpack.allowFilter", "true")
    git(beside, "clone", "--quiet", "--filter=blob:none", "--sparse", root.as_uri(), "partial")
    git(beside / "partial", "sparse-checkout", "set", "--cone", "backend")
    assert not (beside / "partial/deep").exists()
    return beside / "partial"


def with_hooks(root: Path, beside: Path, patch: pytest.MonkeyPatch) -> Path:
    """A linked worktree with settings of its own, hooks that fail, and a detached head."""
    directory = beside / "hooks"
    directory.mkdir()
    for name in ("post-checkout", "post-index-change", "reference-transaction"):
        (directory / name).write_text("#!/bin/sh\nexit 1\n")
        (directory / name).chmod(0o755)
    git(root, "worktree", "add", "--quiet", "--detach", str(beside / "linked"))
    git(root, "config", "extensions.worktreeConfig", "true")
    git(beside / "linked", "config", "--worktree", "core.hooksPath", str(directory))
    git(root, "config", "core.hooksPath", str(directory))
    return beside / "linked"


def below_the_top(root: Path, beside: Path, patch: pytest.MonkeyPatch) -> Path:
    top = write(beside / "top", {"README.md": ""})
    shutil.copytree(root, top / "a directory", ignore=shutil.ignore_patterns(".git"))
    repository(top)
    return top / "a directory"


@pytest.mark.parametrize("kind", [of_a_bare_clone, shallow, partial, with_hooks, below_the_top])
def test_a_build_leaves_no_trace_in_a_checkout(
    kind: Callable[[Path, Path, pytest.MonkeyPatch], Path],
    tmp_path: Path,
    scratch: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = home(tmp_path / "home")
    write(first, {"deep/inside.py": "# deep\n"})
    commit_all(first)
    root = kind(first, tmp_path, monkeypatch)
    (root / "stray.py").touch()
    before = repository_state(root)
    run(root, "relnox", "build-all", code=0)
    assert sdist_members(root)["deep/inside.py"] == b"# deep\n"
    assert "stray.py" not in sdist_members(root)
    assert repository_state(root) == before
    assert list(scratch.iterdir()) == []


# --- contents of a checkout ---------------------------------------------------------------------------------


def nested(directory: Path) -> Path:
    """A package with a submodule that has a submodule."""
    inner = repository(write(directory / "inner", {"deep.py": ""}))
    middle = repository(write(directory / "middle", {"middle.py": ""}))
    git(middle, "submodule", "--quiet", "add", str(inner), "inner")
    commit_all(middle)
    root = home(directory / "home")
    git(root, "submodule", "--quiet", "add", str(middle), "vendor")
    commit_all(root)
    return root


def test_submodules_are_checked_out_at_their_recorded_commits(tmp_path: Path, scratch: Path) -> None:
    root = nested(tmp_path)
    git(root, "submodule", "--quiet", "update", "--init", "--recursive")
    write(root, {"vendor/stray.py": "", "vendor/inner/stray.py": ""})
    git(root / "vendor", "checkout", "--quiet", "HEAD^")  # not the recorded commit
    repositories = (root, root / "vendor", root / "vendor/inner")
    before = [repository_state(each) for each in repositories]
    ran = run(root, "relnox", "build-all", "--verbose", code=0)
    assert "does not track" not in ran.err
    assert {"vendor/middle.py", "vendor/inner/deep.py"} <= sdist_members(root).keys()
    assert not [name for name in sdist_members(root) if name.endswith("stray.py")]
    assert [repository_state(each) for each in repositories] == before
    assert list(scratch.iterdir()) == []


def test_a_submodule_in_a_package_has_to_be_initialized(tmp_path: Path) -> None:
    nested(tmp_path)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(tmp_path / "home"), "clone")
    ran = run(clone, "relnox", "build-all", "--dry-run", code=1)
    assert "submodule vendor would be empty in the archives (not initialized)" in ran.text
    assert "fix: git submodule update --init --recursive" in ran.text
    git(clone, "submodule", "--quiet", "update", "--init")
    ran = run(clone, "relnox", "build-all", code=1)
    assert "vendor/inner would be empty in the archives" in ran.err
    git(clone, "submodule", "--quiet", "update", "--init", "--recursive")
    assert run(clone, "relnox", "build-all").code == 0
    assert {"vendor/middle.py", "vendor/inner/deep.py"} <= sdist_members(clone).keys()


def test_submodules_that_git_does_not_initialize_stay_empty(tmp_path: Path) -> None:
    nested(tmp_path)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(tmp_path / "home"), "clone")
    git(clone, "config", "submodule.vendor.update", "none")
    ran = run(clone, "relnox", "build-all", code=0)
    assert "note: not initialized, and empty in the build: submodules vendor" in ran.err
    assert not [name for name in sdist_members(clone) if name.startswith("vendor/")]


def test_submodules_outside_of_the_built_packages_may_be_empty(tmp_path: Path) -> None:
    other = repository(write(tmp_path / "other", {"other.py": ""}))
    root = tmp_path / "home"
    in_tree(root / "lib")
    repository(write(root, {"pyproject.toml": '[tool.relnox]\npackages = ["lib"]\n'}))
    git(root, "submodule", "--quiet", "add", str(other), "library")
    commit_all(root)
    git(root, "submodule", "--quiet", "deinit", "library")
    ran = run(root, "relnox", "build-all", code=0)
    assert "note: not initialized, and empty in the build: submodules library" in ran.err


def test_a_nested_repository_that_is_no_submodule_is_an_error_in_a_clone(tmp_path: Path) -> None:
    root = home(tmp_path / "home")
    repository(write(root / "vendor", {"other.py": ""}))
    git(root, "-c", "advice.addEmbeddedRepo=false", "add", "vendor")
    git(root, "commit", "--quiet", "--message", "Add a repository")
    git(tmp_path, "clone", "--quiet", str(root), "clone")
    ran = run(tmp_path / "clone", "relnox", "build-all", code=1)
    assert "submodule vendor would be empty in the archives (.gitmodules does not list it)" in ran.err


def test_replaced_objects_are_not_built(tmp_path: Path) -> None:
    root = home(tmp_path / "home")
    head = git(root, "rev-parse", "HEAD")
    write(root, {"home.py": "name = 'replaced'\n"})
    replacement = commit_all(root)
    git(root, "reset", "--quiet", "--hard", head)
    git(root, "replace", head, replacement)
    run(root, "relnox", "build-all", code=0)
    assert sdist_members(root)["home.py"] == b"name = 'home'\n"


def test_a_missing_commit_of_a_submodule_is_an_error(tmp_path: Path, scratch: Path) -> None:
    root = nested(tmp_path)
    pinned = "1" * 40
    git(root, "update-index", "--cacheinfo", f"160000,{pinned},vendor")
    git(root, "commit", "--quiet", "--message", "Record a missing commit")
    before = repository_state(root)
    ran = run(root, "relnox", "build-all", code=2)
    assert f"checking out {pinned[:10]} of {root / 'vendor'}" in ran.err
    assert "fix: update the submodules: git submodule update" in ran.err
    assert repository_state(root) == before
    assert list(scratch.iterdir()) == []


def test_attributes_work_as_in_a_checkout_and_not_as_in_git_archive(tmp_path: Path) -> None:
    root = home(tmp_path / "home")
    for name, program in (("clean", "s/open/shut/"), ("smudge", "s/shut/open/")):
        git(root, "config", f"filter.door.{name}", f"sed {program}")
    attributes = "door.py filter=door\ndos.py text eol=crlf\nleft.py export-ignore\nsub.py export-subst\n"
    files = {"door.py": "# open\n", "dos.py": "a = 1\n", "left.py": "", "sub.py": "# $Format:%H$\n"}
    write(root, {".gitattributes": attributes, **files})
    commit_all(root)
    assert git(root, "show", "HEAD:door.py") == "# shut"
    assert run(root, "relnox", "build-all").code == 0
    inside = sdist_members(root)
    assert inside["door.py"] == b"# open\n"
    assert inside["dos.py"] == b"a = 1\r\n"
    assert inside["sub.py"] == b"# $Format:%H$\n"
    assert "left.py" in inside


def test_only_attributes_of_the_commit_convert_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = home(tmp_path / "home")
    attributes = "*.py text\ndos.py eol=crlf\n"
    write(root, {".gitattributes": attributes, "dos.py": "a = 1\n", "unix.py": "b = 2\n", "raw.py": "c = 3\n"})
    commit_all(root)
    write(tmp_path, {"attributes": "*.toml text eol=crlf\n"})
    settings = f"[core]\nautocrlf = true\neol = crlf\nattributesFile = {tmp_path / 'attributes'}\n"
    write(tmp_path, {"gitconfig": settings})
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    write(root, {".git/info/attributes": "raw.py text eol=crlf\n"})
    run(root, "relnox", "build-all", code=0)
    inside = sdist_members(root)
    assert inside["dos.py"] == b"a = 1\r\n"
    assert inside["unix.py"] == b"b = 2\n"
    assert inside["raw.py"] == b"c = 3\n"
    assert b"\r" not in inside["pyproject.toml"]


def test_odd_names_links_and_read_only_files(tmp_path: Path) -> None:
    hook = "assert pathlib.Path('linked.py').read_text() == '# there\\n'"
    root = home(tmp_path / "a home", hook=hook)
    odd = ["with a space.py", "nämlich.py", "-dash.py"]
    write(root, dict.fromkeys(odd, "") | {"there.py": "# there\n", "fixed.py": "# fixed\n", "new\nline.txt": ""})
    (root / "linked.py").symlink_to("there.py")
    (root / "fixed.py").chmod(0o444)
    commit_all(root)
    before = repository_state(root)
    run(root, "relnox", "build-all", code=0)
    assert {*odd, "fixed.py", "linked.py"} <= sdist_members(root).keys()
    assert repository_state(root) == before


@pytest.mark.network
def test_versions_from_tags_are_correct_and_not_dirty(tmp_path: Path) -> None:
    needs = {
        "hatch-vcs": ("hatchling", "hatchling.build"),
        "setuptools-scm": ("setuptools", "setuptools.build_meta"),
    }
    settings = {
        "hatch-vcs": '[tool.hatch.version]\nsource = "vcs"\nraw-options.root = ".."\n',
        "setuptools-scm": '[tool.setuptools_scm]\nroot = ".."\n',
    }
    files = {"pyproject.toml": '[tool.relnox]\npackages = ["hatch-vcs", "setuptools-scm"]\n'}
    for by, (requirement, backend) in needs.items():
        files[f"{by}/pyproject.toml"] = (
            f'[build-system]\nrequires = ["{requirement}", "{by}"]\nbuild-backend = "{backend}"\n\n'
            f'[project]\nname = "of-{by}"\ndynamic = ["version"]\n\n{settings[by]}'
        )
        files[f"{by}/src/of_{by.replace('-', '_')}/__init__.py"] = ""
    root = repository(write(tmp_path / "home", {**files, ".gitignore": "dist/\n"}))
    git(root, "tag", "v3.1.4")
    write(root, {"untracked.txt": "", "hatch-vcs/src/of_hatch_vcs/__init__.py": "# changed\n"})
    run(root, "relnox", "build-all", code=0)
    wheels = sorted(path.name for path in (root / "dist").glob("*.whl"))
    assert [name.split("-")[:2] for name in wheels] == [["of_hatch_vcs", "3.1.4"], ["of_setuptools_scm", "3.1.4"]]


# --- interrupted and failed runs ------------------------------------------------------------------------


def test_a_failed_checkout_leaves_no_trace(tmp_path: Path, scratch: Path) -> None:
    root = home(tmp_path / "home")
    write(root, {".gitattributes": "home.py filter=gone\n"})
    commit_all(root)
    for key, value in (("required", "true"), ("smudge", "false"), ("clean", "cat")):
        git(root, "config", f"filter.gone.{key}", value)
    before = repository_state(root)
    ran = run(root, "relnox", "build-all", code=2)
    assert "checking out" in ran.err
    assert "git cannot be run" not in ran.err
    assert repository_state(root) == before
    assert list(scratch.iterdir()) == []


def test_a_killed_build_leaves_no_trace_in_the_repository(tmp_path: Path) -> None:
    hook = "import os, signal; os.kill(int(os.environ['PROCESS_TO_KILL']), signal.SIGKILL)"
    root = home(tmp_path / "home", hook=hook)
    before = repository_state(root)
    command = f"PROCESS_TO_KILL=$$ exec {sys.executable} -m relnox build-all"
    ran = subprocess.run(["sh", "-c", command], cwd=root, capture_output=True, timeout=60, check=False)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    assert repository_state(root) == before
