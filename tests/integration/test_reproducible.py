"""`build-all --reproducible`: what comes out the same elsewhere passes, other archives are named."""

from __future__ import annotations

import json
import os
import socket
import tarfile
import tempfile
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from backends import in_tree
from projects import commit_all, git, repository, write
from running import run
from warm import build_all, package
from warm import workspace as workspace_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.heavy

LONG_AGO = "2020-02-02T00:00:00Z"

STEADY = {
    "plain": "",
    "dated": "pathlib.Path('dated.py').write_text(os.environ.get('SOURCE_DATE_EPOCH', 'none'))",
}

UNSTEADY = {
    "clock": "import time; pathlib.Path('clock.py').write_text(f'made = {time.time_ns()}')",
    "path": "pathlib.Path('path.py').write_text(f'where = {os.getcwd()!r}')",
    "unsorted": "pathlib.Path('unsorted.py').write_text(f'all = {list(set(map(str, range(50))))}')",
    "zone": "import time; pathlib.Path('zone.py').write_text(time.strftime('%H', time.localtime(0)))",
    "locale": "pathlib.Path('locale.py').write_text(os.environ['LC_ALL'])",
    "umask": "old = os.umask(0); os.umask(old); pathlib.Path('umask.py').write_text(oct(old))",
}


def steady(root: Path, name: str = "home", hook: str = "", **more: Any) -> Path:
    """A package with a backend in its tree that settles everything, but for what the hook does."""
    in_tree(root, name, hook=hook or "pass", **more)
    backend = root / "backend/house.py"
    text = backend.read_text()
    plain = 'with tarfile.open(pathlib.Path(directory) / f"{STEM}.tar.gz", "w:gz") as archive:'
    assert plain in text
    settled_ = (
        'packed = pathlib.Path(directory) / f"{STEM}.tar.gz"\n'
        "    with __import__('gzip').GzipFile(packed, 'w', mtime=0) as out, "
        "tarfile.open(fileobj=out, mode='w') as archive:"
    )
    backend.write_text(text.replace(plain, settled_))
    return root


def workspace(root: Path, hooks: dict[str, str]) -> Path:
    for name, hook in hooks.items():
        steady(root / name, name, hook)
    listed = ", ".join(f'"{name}"' for name in hooks)
    write(
        root,
        {
            "pyproject.toml": f'[tool.relnox]\npackages = [{listed}]\nversions = "independent"\n',
            ".gitignore": "dist/\n__pycache__/\n",
        },
    )
    return root


def output_of(text: str, name: str) -> str:
    """Return the output of a package's second build."""
    lines = text.split(f"build {name} again in another directory, and compare", 1)[1].splitlines()
    own = [line for line in lines[1:] if not line.startswith(" ")]
    return "\n".join(lines[: lines.index(own[0])])


@pytest.mark.network
def test_archives_of_every_backend_are_the_same_in_each_build_of_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, surrounded: None
) -> None:
    root = tmp_path / "home"
    names = ("hatchling", "flit-core", "poetry-core", "uv_build", "setuptools", "pdm-backend")
    packages = {f"of-{name}".replace("_", "-"): package(f"of-{name}".replace("_", "-"), name) for name in names}
    # What it packs bears the clock's time: builds of one second would be the same.
    packages["of-pdm-backend"]["pdm_build.py"] = (
        "import time\n\ndef pdm_build_initialize(context):\n    time.sleep(1.1)\n"
    )
    workspace_of(root, packages)
    write(root, {".gitignore": "dist/\n"})
    monkeypatch.setenv("GIT_COMMITTER_DATE", LONG_AGO)
    repository(root)
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    ran = build_all(root, "--reproducible", "--continue-on-error", code=2)
    uneven = output_of(ran.err, "of-setuptools")  # keeps the permissions, which the second build varies
    assert "of-setuptools is not reproducible [build-not-reproducible]:" in uneven
    for name in packages.keys() - {"of-setuptools"}:
        assert "2 archives identical in both builds" in output_of(ran.err, name)
    assert build_all(root).code == 0
    with tarfile.open(root / "dist/of_setuptools-1.2.tar.gz") as sdist:
        assert {(member.mtime, member.uid, member.uname) for member in sdist} == {(1580601600, 0, "")}
    git(root, "clone", "--quiet", "--depth", "1", f"file://{root}", str(tmp_path / "clone"))
    assert build_all(tmp_path / "clone").code == 0
    built, again = (
        {path.name: path.read_bytes() for path in (place / "dist").iterdir() if path.suffix in (".gz", ".whl")}
        for place in (root, tmp_path / "clone")
    )
    assert built == again


@pytest.mark.network
def test_a_tree_and_a_directory_outside_git_are_built_again_from_a_copy(tmp_path: Path, surrounded: None) -> None:
    for name, words in {"outside": [], "inside": ["--from-tree"]}.items():
        root = workspace_of(tmp_path / name, {"able": package("able", "hatchling")})
        write(root, {".gitignore": "dist/\n"})
        if words:
            repository(root)
        write(root, {"able/src/able/new.py": "new = 1\n"})  # not committed
        ran = build_all(root, "--reproducible", *words, code=0)
        assert "2 archives identical in both builds" in ran.err
        with zipfile.ZipFile(root / "dist/able-1.2-py3-none-any.whl") as made:
            assert "able/new.py" in made.namelist()


def test_differing_archives_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "0")  # it is not handed on
    root = repository(workspace(tmp_path / "home", UNSTEADY))
    ran = run(root, "relnox", "build-all", "--reproducible", "--continue-on-error", code=2)
    for name in UNSTEADY:
        said = output_of(ran.err, name)
        assert f"{name} is not reproducible [build-not-reproducible]:" in said
        assert f"{name}-1.0-py3-none-any.whl differs" in said
        assert ".tar.gz" not in said
        assert "diffoscope" in said


def test_reproducible_builds_pass(tmp_path: Path) -> None:
    root = repository(workspace(tmp_path / "home", STEADY))
    ran = run(root, "relnox", "build-all", "--reproducible", code=0)
    assert ran.err.count("2 archives identical in both builds") == len(STEADY)


def test_a_manifest_lists_as_missing_what_is_not_reproducible(tmp_path: Path) -> None:
    # Continued on error or not: an incomplete or doubtful set is never taken for a good one.
    root = repository(workspace(tmp_path / "home", {"clock": UNSTEADY["clock"], "plain": ""}))
    run(root, "relnox", "build-all", "--reproducible", code=2)
    assert not (root / "dist/manifest.json").exists()
    run(root, "relnox", "build-all", "--reproducible", "--continue-on-error", code=2)
    manifest = json.loads((root / "dist/manifest.json").read_text())
    assert manifest["missing"] == ["clock"]
    assert {file["package"] for file in manifest["artifacts"]} == {"plain"}


@pytest.mark.parametrize("field", ["member.mode = os.stat(name).st_mode", "member.mtime = os.stat(name).st_mtime"])
def test_the_second_checkout_has_other_permissions_and_times(
    field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A backend that packs one of them as it is.
    root = steady(tmp_path / "home")
    backend = root / "backend/house.py"
    size = "member.size = len(content)\n"
    text = backend.read_text()
    assert size in text
    backend.write_text(text.replace(size, size + f"            if os.path.exists(name): {field}\n", 1))
    monkeypatch.setenv("GIT_COMMITTER_DATE", LONG_AGO)
    repository(root)
    ran = run(root, "relnox", "build-all", "--reproducible", code=2)
    assert "home-1.0.tar.gz differs" in ran.err
    assert git(root, "worktree", "list").count("\n") == 0


def test_the_second_checkout_is_clean_for_git_too(tmp_path: Path) -> None:
    # A version with `.dirty` in it would make another file name.
    root = tmp_path / "home"
    look = "subprocess.run(['git', 'diff-index', '--name-only', 'HEAD'], capture_output=True, text=True).stdout"
    steady(root)
    backend = root / "backend/house.py"
    add = '        add("PKG-INFO", METADATA.encode())\n'
    text = backend.read_text().replace(add, add + f'        import subprocess; add("dirty", {look}.encode())\n')
    backend.write_text(text)
    repository(root)
    run(root, "relnox", "build-all", "--reproducible", code=0)
    with tarfile.open(root / "dist/home-1.0.tar.gz") as made:
        assert made.getmember("home-1.0/dirty").size == 0


def test_a_submodule_is_in_the_second_checkout_as_well(tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    repository(write(below, {"part.py": "part = 1\n"}))
    root = repository(steady(tmp_path / "home"))
    git(root, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(below), "vendored")
    commit_all(root, "Take it in")
    run(root, "relnox", "build-all", "--reproducible", code=0)
    with tarfile.open(root / "dist/home-1.0.tar.gz") as made:
        assert "home-1.0/vendored/part.py" in made.getnames()
    assert git(root, "worktree", "list").count("\n") == git(root / "vendored", "worktree", "list").count("\n") == 0


def test_files_that_cannot_be_copied_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A pipe; a socket, as git's file system monitor has one; and the copy itself, where TMPDIR is in the tree.
    root = steady(tmp_path)
    scratch = tmp_path / "scratch" / "dist"  # of a name that the backend leaves out
    scratch.mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(tempfile, "tempdir", None)
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("ipc")
        ran = run(root, "relnox", "build-all", "--reproducible")
    assert ran.code == 0, ran.text
    assert "2 archives identical in both builds" in ran.err
    assert list(scratch.iterdir()) == []
