"""`build-all --reproducible`: what comes out the same elsewhere passes, all else is named file by file."""

from __future__ import annotations

import gzip
import io
import json
import os
import socket
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from backends import in_tree
from projects import commit_all, git, repository, write
from running import run
from warm import build_all, package, settled
from warm import workspace as workspace_of

from relnox.building.archive_comparison import FIXES, find_differences

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.heavy

Entry: TypeAlias = tuple[str, bytes, dict[str, Any]]

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
        (root / name).mkdir(parents=True)
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


# --- two archives ------------------------------------------------------------------------------------------


def wheel(path: Path, *entries: Entry, comment: bytes = b"") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content, more in entries:
            info = zipfile.ZipInfo(name, more.get("time", (2020, 2, 2, 0, 0, 0)))
            info.external_attr = more.get("mode", 0o100644) << 16
            archive.writestr(info, content)
        archive.comment = comment
    return path


def sdist(path: Path, *entries: Entry, packed_at: int = 0, level: int = 9) -> Path:
    with (
        gzip.GzipFile(path, "w", mtime=packed_at, compresslevel=level) as out,
        tarfile.open(fileobj=out, mode="w") as archive,
    ):
        for name, content, more in entries:
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = len(content), 1_600_000_000, 0o644
            for key, value in more.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return path


A: Entry = ("a-1/a.py", b"a = 1\n", {})
B: Entry = ("a-1/b.py", b"b = 1\n", {})


def changed(entry: Entry, **more: Any) -> Entry:
    return (*entry[:2], more)


Case: TypeAlias = tuple[tuple[Entry, ...], dict[str, Any], list[tuple[str, str]]]

OF_A_WHEEL: dict[str, Case] = {
    "equal": ((A, B), {}, []),
    "permissions": (
        (A, changed(B, mode=0o100755)),
        {},
        [("permissions", "a-1/b.py: permissions 100644 and 100755")],
    ),
    "time": (
        (A, changed(B, time=(2026, 11, 3, 4, 5, 6))),
        {},
        [("time", "a-1/b.py: time 2020-02-02 00:00:00 and 2026-11-03 04:05:06")],
    ),
    "content": ((A, (B[0], b"b = 2\n", {})), {}, [("content", "a-1/b.py: content")]),
    "several": (
        (changed(A, mode=0o100600), (B[0], b"b = 2\n", {})),
        {},
        [("permissions", "a-1/a.py: permissions 100644 and 100600"), ("content", "a-1/b.py: content")],
    ),
    "missing": ((A,), {}, [("presence", "a-1/b.py is only in one of the two archives")]),
    "added": ((A, B, ("a-1/c.py", b"", {})), {}, [("presence", "a-1/c.py is only in one of the two archives")]),
    "order": ((B, A), {}, [("order", "the order of the files differs")]),
    "compression": (
        (A, B),
        {"comment": b"made by hand"},
        [("compression", "the same files are compressed differently")],
    ),
}

OF_AN_SDIST: dict[str, Case] = {
    "equal": ((A, B), {}, []),
    "permissions": ((A, changed(B, mode=0o600)), {}, [("permissions", "a-1/b.py: permissions 644 and 600")]),
    "time": (
        (A, changed(B, mtime=1_600_000_001)),
        {},
        [("time", "a-1/b.py: time 2020-09-13 12:26:40 and 2020-09-13 12:26:41")],
    ),
    "time of packing": (
        (A, B),
        {"packed_at": 1_600_000_000},
        [("time", "its gzip header: time 1970-01-01 00:00:00 and 2020-09-13 12:26:40")],
    ),
    "owner by number": ((A, changed(B, uid=1000)), {}, [("owner", "a-1/b.py: owner 0:0 : and 1000:0 :")]),
    "owner by name": ((A, changed(B, gname="staff")), {}, [("owner", "a-1/b.py: owner 0:0 : and 0:0 :staff")]),
    "content": ((A, (B[0], b"b = 2\n", {})), {}, [("content", "a-1/b.py: content")]),
    "kind": (
        (A, (B[0], b"", {"type": tarfile.SYMTYPE, "linkname": "a.py"})),
        {},
        [("content", "a-1/b.py: content")],
    ),
    "missing": ((A,), {}, [("presence", "a-1/b.py is only in one of the two archives")]),
    "order": ((B, A), {}, [("order", "the order of the files differs")]),
    "compression": ((A, B), {"level": 1}, [("compression", "the same files are compressed differently")]),
}


@pytest.mark.parametrize("case", OF_A_WHEEL)
def test_differences_of_two_wheels_are_located(case: str, tmp_path: Path) -> None:
    entries, more, expected = OF_A_WHEEL[case]
    one, other = wheel(tmp_path / "1.whl", A, B), wheel(tmp_path / "2.whl", *entries, **more)
    assert list(find_differences(one, other)) == expected


@pytest.mark.parametrize("case", OF_AN_SDIST)
def test_differences_of_two_sdists_are_located(case: str, tmp_path: Path) -> None:
    entries, more, expected = OF_AN_SDIST[case]
    (tmp_path / "other").mkdir()
    one, other = (directory / "a-1.tar.gz" for directory in (tmp_path, tmp_path / "other"))
    assert list(find_differences(sdist(one, A, B), sdist(other, *entries, **more))) == expected


def test_link_targets_and_file_types_are_compared(tmp_path: Path) -> None:
    kinds: list[dict[str, Any]] = [
        {"type": tarfile.SYMTYPE, "linkname": "a.py"},
        {"type": tarfile.SYMTYPE, "linkname": "z.py"},
        {"type": tarfile.DIRTYPE},
        {},
    ]
    made = [sdist(tmp_path / f"{number}.tar.gz", A, (B[0], b"", kind)) for number, kind in enumerate(kinds)]
    for one in made:
        for other in made:
            said = [what for what, where in find_differences(one, other) if "b.py" in where]
            assert said == ([] if one == other else ["content"])


def test_every_kind_of_difference_has_a_fix() -> None:
    cases = [*OF_A_WHEEL.values(), *OF_AN_SDIST.values()]
    assert {what for _, _, expected in cases for what, _ in expected} == FIXES.keys()


@pytest.mark.parametrize("name", ["a-1-py3-none-any.whl", "a-1.tar.gz"])
def test_an_archive_that_cannot_be_read_is_a_difference_and_no_traceback(name: str, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole" / name, tmp_path / "broken" / name
    for path in (whole, broken):
        path.parent.mkdir()
    (wheel if name.endswith(".whl") else sdist)(whole, A, B)
    broken.write_bytes(whole.read_bytes()[:60])
    ((what, where),) = find_differences(whole, broken)
    assert what == "content"
    assert "cannot be read" in where


# --- every backend -----------------------------------------------------------------------------------------


@pytest.mark.network
def test_backends_that_do_not_normalize_archives_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: Path
) -> None:
    root = tmp_path / "home"
    good = {f"of-{each}".replace("_", "-"): each for each in ("hatchling", "flit-core", "poetry-core", "uv_build")}
    bad = {f"of-{each}": each for each in ("setuptools", "pdm-backend")}
    packages = {name: package(name, requirement) for name, requirement in (good | bad).items()}
    # What it packs bears the clock's time: builds of one second would be the same.
    packages["of-pdm-backend"]["pdm_build.py"] = (
        "import time\n\ndef pdm_build_initialize(context):\n    time.sleep(1.1)\n"
    )
    workspace_of(root, packages)
    write(root, {".gitignore": "dist/\n"})
    monkeypatch.setenv("GIT_COMMITTER_DATE", LONG_AGO)
    repository(root)
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    ran = build_all(root, "--reproducible", "--continue-on-error")
    assert ran.code == 2, ran.text
    for name in good:
        assert f"ok      build {name} again" in ran.err
        assert "2 archives identical in both builds" in output_of(ran.err, name)
    for name in bad:
        assert f"FAILED  build {name} again" in ran.err
        assert f"{name} is not reproducible [build-not-reproducible]:" in output_of(ran.err, name)
        assert ".whl: " not in output_of(ran.err, name)
    setuptools, pdm = (output_of(ran.err, name) for name in bad)
    assert "of_setuptools-1.2/setup.cfg: permissions 644 and 600" in setuptools
    assert "of_setuptools-1.2/LICENSE: time 2020-02-02 00:00:00 and " in setuptools
    assert " more\n" in setuptools
    for what in ("permissions", "time"):
        assert setuptools.count(FIXES[what]) == 1
    assert "of_pdm_backend-1.2.tar.gz: its gzip header: time " in pdm
    assert FIXES["time"] in pdm
    assert FIXES["compression"] not in ran.err


@pytest.mark.network
def test_a_tree_and_a_directory_outside_git_are_built_again_from_a_copy(tmp_path: Path, kept: Path) -> None:
    for name, words in {"outside": [], "inside": ["--from-tree"]}.items():
        root = workspace_of(tmp_path / name, {"able": package("able", "hatchling")})
        write(root, {".gitignore": "dist/\n"})
        if words:
            repository(root)
        write(root, {"able/src/able/new.py": "new = 1\n"})  # not committed
        ran = build_all(root, "--reproducible", *words)
        assert ran.code == 0, ran.text
        assert "2 archives identical in both builds" in ran.err
        with zipfile.ZipFile(root / "dist/able-1.2-py3-none-any.whl") as made:
            assert "able/new.py" in made.namelist()


# --- what builds do ----------------------------------------------------------------------------------------


def test_differences_are_reported_by_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "0")  # it is not handed on
    root = repository(workspace(tmp_path / "home", UNSTEADY))
    ran = run(root, "relnox", "build-all", "--reproducible", "--continue-on-error")
    assert ran.code == 2, ran.text
    for name in UNSTEADY:
        said = output_of(ran.err, name)
        assert f"{name} is not reproducible [build-not-reproducible]:" in said
        assert f"{name}-1.0-py3-none-any.whl: {name}.py: content" in said
        assert f"{name}-1.0-py3-none-any.whl: {name}-1.0.dist-info/RECORD: content" in said
        assert said.count(": content") == 2  # nothing else
        assert ".tar.gz" not in said
        assert FIXES["content"] in said


def test_reproducible_builds_pass(tmp_path: Path) -> None:
    root = repository(workspace(tmp_path / "home", STEADY))
    ran = run(root, "relnox", "build-all", "--reproducible")
    assert ran.code == 0, ran.text
    assert ran.err.count("2 archives identical in both builds") == len(STEADY)
    again = run(root, "relnox", "build-all", "--reproducible")  # of archives that were kept
    assert again.code == 0, again.text
    assert again.err.count("unchanged: archives of commit") == len(STEADY)
    assert again.err.count("2 archives identical in both builds") == len(STEADY)


def test_a_manifest_lists_as_missing_what_is_not_reproducible(tmp_path: Path) -> None:
    # Continued on error or not: an incomplete or doubtful set is never taken for a good one.
    root = repository(workspace(tmp_path / "home", {"clock": UNSTEADY["clock"], "plain": ""}))
    assert run(root, "relnox", "build-all", "--reproducible").code == 2
    assert not (root / "dist/manifest.json").exists()
    assert run(root, "relnox", "build-all", "--reproducible", "--continue-on-error").code == 2
    manifest = json.loads((root / "dist/manifest.json").read_text())
    assert manifest["missing"] == ["clock"]
    assert {file["package"] for file in manifest["artifacts"]} == {"plain"}


def test_the_second_checkout_has_other_permissions_and_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A backend that packs them as they are.
    root = tmp_path / "home"
    root.mkdir()
    steady(root)
    backend = root / "backend/house.py"
    take = "member.mode, member.mtime = os.stat(name).st_mode & 0o777, int(os.stat(name).st_mtime)"
    size = "member.size = len(content)\n"
    text = backend.read_text()
    assert size in text
    backend.write_text(text.replace(size, size + f"            if os.path.exists(name): {take}\n", 1))
    monkeypatch.setenv("GIT_COMMITTER_DATE", LONG_AGO)
    repository(root)
    ran = run(root, "relnox", "build-all", "--reproducible")
    assert ran.code == 2, ran.text
    assert "home-1.0.tar.gz: home-1.0/home.py: permissions 644 and 600" in ran.err
    assert "home-1.0.tar.gz: home-1.0/home.py: time 2020-02-02 00:00:00 and " in ran.err
    assert FIXES["permissions"] in ran.err
    assert FIXES["time"] in ran.err
    assert git(root, "worktree", "list").count("\n") == 0


def test_the_second_checkout_is_clean_for_git_too(tmp_path: Path) -> None:
    # A version with `.dirty` in it would make another file name.
    root = tmp_path / "home"
    root.mkdir()
    look = "subprocess.run(['git', 'diff-index', '--name-only', 'HEAD'], capture_output=True, text=True).stdout"
    steady(root)
    backend = root / "backend/house.py"
    add = '        add("PKG-INFO", METADATA.encode())\n'
    text = backend.read_text().replace(add, add + f'        import subprocess; add("dirty", {look}.encode())\n')
    backend.write_text(text)
    repository(root)
    ran = run(root, "relnox", "build-all", "--reproducible")
    assert ran.code == 0, ran.text
    with tarfile.open(root / "dist/home-1.0.tar.gz") as made:
        assert made.getmember("home-1.0/dirty").size == 0


def test_a_submodule_is_in_the_second_checkout_as_well(tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    repository(write(below, {"part.py": "part = 1\n"}))
    root = tmp_path / "home"
    root.mkdir()
    repository(steady(root))
    git(root, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(below), "vendored")
    commit_all(root, "Take it in")
    ran = run(root, "relnox", "build-all", "--reproducible")
    assert ran.code == 0, ran.text
    with tarfile.open(root / "dist/home-1.0.tar.gz") as made:
        assert "home-1.0/vendored/part.py" in made.getnames()
    assert git(root, "worktree", "list").count("\n") == git(root / "vendored", "worktree", "list").count("\n") == 0


def test_files_that_cannot_be_copied_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A pipe; a socket, as git's file system monitor has one; and the copy itself, where TMPDIR is in the tree.
    root = steady(tmp_path)
    scratch = tmp_path / "scratch" / "dist"  # of a name that the backend leaves out
    scratch.mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(scratch))
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("ipc")
        ran = run(root, "relnox", "build-all", "--reproducible")
    assert ran.code == 0, ran.text
    assert "2 archives identical in both builds" in ran.err
    assert list(scratch.iterdir()) == []


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with settled(monkeypatch, tmp_path_factory.getbasetemp() / "kept") as directory:
        yield directory
