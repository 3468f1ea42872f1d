"""`collect` over three jobs: one that made the sdists and the pure wheel, one for Linux, one for Windows."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import packed
import pytest
from packaging.version import Version
from projects import commit_all, git, repository, write
from running import run

from relnox.core.records import replace
from relnox.core.release.manifest import MANIFEST_JSON, MANIFEST_TEXT, Distribution, Manifest
from relnox.core.release.publication import ATTESTATION_SUFFIX

if TYPE_CHECKING:
    from running import RunResult

WORKSPACE = {
    "pyproject.toml": """\
        [tool.relnox]
        packages = ["fast", "plain"]
        versions = "independent"

        [tool.relnox.wheels]
        fast = ["cp{313,314}-{manylinux_x86_64,win_amd64}"]
        """,
    "fast/pyproject.toml": """\
        [project]
        name = "fast"
        version = "1.0"
        requires-python = ">=3.13"
        dynamic = ["dependencies"]
        """,
    "plain/pyproject.toml": '[project]\nname = "plain"\nversion = "2.0"\n',
    ".gitignore": "/dist/\n/jobs/\n",
}

LINUX = [f"fast-1.0-{python}-{python}-manylinux_2_28_x86_64.whl" for python in ("cp313", "cp314")]
WINDOWS = [f"fast-1.0-{python}-{python}-win_amd64.whl" for python in ("cp313", "cp314")]
SOURCES = ["fast-1.0.tar.gz", "plain-2.0.tar.gz", "plain-2.0-py3-none-any.whl"]
EVERYTHING = sorted([*LINUX, *WINDOWS, *SOURCES])


@cache
def content_of(name: str) -> bytes:
    """The content of a file: only the wheel of fast says that it needs plain."""
    package, version = name.removesuffix(".tar.gz").split("-")[:2]
    requires = "Requires-Dist: plain>=2\nRequires-Dist: other; extra == 'more'\n" if package == "fast" else ""
    text = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n{requires}"
    with tempfile.TemporaryDirectory() as directory:
        if name.endswith(".whl"):
            native = {} if name.endswith("-any.whl") else {f"_{package}.so": b"\x7fELF"}
            path = packed.wheel(Path(directory), {f"{package}.py": "", **native}, name=name, metadata=text)
        else:
            path = packed.sdist(Path(directory), name=name, top=f"{package}-{version}", metadata=text)
        return path.read_bytes()


def distribution(name: str, content: bytes) -> Distribution:
    package, version = name.removesuffix(".tar.gz").split("-")[:2]
    return Distribution(
        package=package,
        version=Version(version),
        filename=name,
        kind="wheel" if name.endswith(".whl") else "sdist",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        blake2b_256=hashlib.blake2b(content, digest_size=32).hexdigest(),
    )


def job(root: Path, job_name: str, files: list[str], **manifest: Any) -> None:
    """Write the output of one job: its files, and the manifest that build-all would write."""
    directory = root / "jobs" / job_name
    directory.mkdir(parents=True, exist_ok=True)
    contents = {name: content_of(name) for name in files}
    for name, content in contents.items():
        (directory / name).write_bytes(content)
    written = Manifest(
        distributions=tuple(distribution(name, content) for name, content in contents.items()),
        commit=git(root, "rev-parse", "HEAD"),
        dirty=False,
        time=f"2026-11-21T04:00:0{len(files)}+00:00",
        needs=tuple((package, ()) for package in dict.fromkeys(name.split("-")[0] for name in files)),
    )
    (directory / MANIFEST_JSON).write_text(replace(written, **manifest).to_json(), encoding="utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with a compiled package and a pure one, and the output of three jobs."""
    root = repository(write(tmp_path / "home", WORKSPACE))
    job(root, "sources", SOURCES)
    job(root, "linux", LINUX)
    job(root, "windows", WINDOWS)
    return root


def collect(root: Path, *words: str, code: int = 0) -> RunResult:
    return run(root, "relnox", "collect", "--from", "jobs", *words, code=code)


def attest(root: Path, path: str) -> bytes:
    """Write an attestation of a job's file, which only publishing verifies."""
    content = f"an attestation of {path}".encode()
    (root / "jobs" / f"{path}{ATTESTATION_SUFFIX}").write_bytes(content)
    return content


def collected(root: Path, directory: str = "dist", *, signed: tuple[str, ...] = ()) -> Manifest:
    """Read the manifest and compare the files beside it."""
    path = root / directory / MANIFEST_JSON
    manifest = Manifest.from_json(path.read_text(encoding="utf-8"), where=str(path))
    names = [
        *(file.filename for file in manifest.distributions),
        *(f"{name}{ATTESTATION_SUFFIX}" for name in signed),
    ]
    assert sorted(file.name for file in path.parent.iterdir()) == sorted([*names, MANIFEST_JSON, MANIFEST_TEXT])
    for file in manifest.distributions:
        assert distribution(file.filename, (path.parent / file.filename).read_bytes()) == file
    assert (root / directory / MANIFEST_TEXT).read_text(encoding="utf-8") == manifest.to_text()
    return manifest


def blocked(root: Path, *words: str, code: int = 1) -> str:
    """Run collect, expect a problem and no output directory; return what was printed."""
    ran = collect(root, *words, code=code)
    assert not (root / "dist").exists()
    return ran.err


def test_three_jobs_become_one_manifest(root: Path) -> None:
    collect(root)
    manifest = collected(root)
    assert sorted(file.filename for file in manifest.distributions) == EVERYTHING
    assert (manifest.commit, manifest.dirty) == (git(root, "rev-parse", "HEAD"), False)
    assert manifest.time == "2026-11-21T04:00:03+00:00"  # the end of the last job
    # No job built both packages; only fast's wheels say that fast needs plain.
    assert manifest.packages == ("plain", "fast")
    assert dict(manifest.needs) == {"plain": (), "fast": ("plain",)}


def test_a_second_run_skips_everything(root: Path) -> None:
    collect(root)
    before = {path.name: path.stat().st_mtime_ns for path in (root / "dist").iterdir()}

    collect(root, "--report", "jobs/report.json")

    report = json.loads((root / "jobs/report.json").read_bytes())
    assert {step["status"] for step in report["steps"]} == {"skipped"}
    assert {path.name: path.stat().st_mtime_ns for path in (root / "dist").iterdir()} == before


def test_directories_may_be_named_one_by_one_in_any_order(root: Path) -> None:
    collect(root)
    named = [word for name in ("windows", "sources", "linux/") for word in ("--from", f"jobs/{name}")]

    run(root, "relnox", "collect", *named, "--from", "jobs", "--output", "other", code=0)
    assert collected(root, "other") == collected(root)


def test_the_same_file_from_two_jobs_is_one(root: Path) -> None:
    job(root, "linux", [*LINUX, "fast-1.0.tar.gz"])

    collect(root)
    assert sorted(file.filename for file in collected(root).distributions) == EVERYTHING


# attestations


def test_attestations_are_copied_with_their_files(root: Path) -> None:
    job(root, "linux", [*LINUX, SOURCES[0]])  # the sdist again, which this job did not sign
    attested = {name: attest(root, f"sources/{name}") for name in SOURCES}
    attested[WINDOWS[0]] = attest(root, f"windows/{WINDOWS[0]}")

    ran = collect(root)

    assert "jobs/sources: 3 files, 3 attestations" in ran.err
    collected(root, signed=tuple(attested))
    for name, content in attested.items():
        assert (root / "dist" / f"{name}{ATTESTATION_SUFFIX}").read_bytes() == content


def test_a_second_run_copies_only_the_changed_attestation(root: Path) -> None:
    content = attest(root, f"linux/{LINUX[0]}")
    collect(root)
    before = {path.name: path.stat().st_mtime_ns for path in (root / "dist").iterdir()}
    assert "dist has 5 files and 1 attestation with" in collect(root).text
    path = root / "dist" / f"{LINUX[0]}{ATTESTATION_SUFFIX}"
    path.write_bytes(b"half of it")

    collect(root)

    assert path.read_bytes() == content
    after = {path.name: path.stat().st_mtime_ns for path in (root / "dist").iterdir()}
    assert [name for name in after if after[name] != before[name]] == [path.name]


# problems


def test_jobs_without_files_are_a_problem(root: Path) -> None:
    shutil.rmtree(root / "jobs")
    job(root, "empty", [])
    assert "there are no files to collect" in blocked(root, "--partial")


SDIST = "jobs/sources/fast-1.0.tar.gz"
EXTRA = "fast-1.0-cp312-cp312-win_amd64.whl"
PROBLEMS: dict[str, tuple[str, str, str]] = {
    "missing beside its manifest": (
        f"rm {SDIST}",
        "--partial",
        f"{SDIST} is missing, although the manifest lists it",
    ),
    "cut off": (f": > {SDIST}", "", f"{SDIST} differs from the file that was built"),
    "other bytes": (f"echo other >> {SDIST}", "", f"{SDIST} differs from the file that was built"),
    "an attestation of an unlisted file": (
        f"touch jobs/linux/fast-0.9.tar.gz{ATTESTATION_SUFFIX}",
        "",
        f"jobs/linux/fast-0.9.tar.gz{ATTESTATION_SUFFIX} is not listed in the manifest",
    ),
    "a wheel of a package without a matrix, and no manifest": (
        f"mkdir jobs/more; cp jobs/sources/{SOURCES[2]} jobs/more",
        "",
        "jobs/more has wheels of plain and no manifest.json",
    ),
    "no wheel": (
        "mkdir jobs/more; touch jobs/more/fast.whl",
        "",
        "jobs/more/fast.whl is not a valid file name of a wheel",
    ),
}


@pytest.mark.parametrize(("script", "words", "message"), PROBLEMS.values(), ids=PROBLEMS)
def test_files_that_are_not_those_of_a_manifest_are_a_problem(
    root: Path, script: str, words: str, message: str
) -> None:
    subprocess.run(script, shell=True, cwd=root, check=True)
    assert message in blocked(root, *words.split(), code=4 if "differs" in message else 1)


@pytest.mark.parametrize(
    ("files", "messages"),
    [
        (
            [EXTRA],
            (
                f"fast has files that [tool.relnox.wheels] does not list: {EXTRA}",
                "or add identifiers of these wheels to fast in [",
            ),
        ),
        (
            ["plain-2.0-cp313-cp313-win_amd64.whl"],
            (
                "plain has files that [tool.relnox.wheels] does not list: plain-2.0-cp313-cp313-win_amd64.whl",
                '[tool.relnox.wheels] plain = ["cp312-manylinux_x86_64"]',
            ),
        ),
        (["other-1.0.tar.gz"], ("jobs/more has files of other, which is not a package of this checkout",)),
    ],
)
def test_what_one_more_job_built_is_a_problem(root: Path, files: list[str], messages: tuple[str, ...]) -> None:
    job(root, "more", files)
    said = blocked(root, "--partial")
    assert [message for message in messages if message not in said] == []


def test_the_files_of_a_missing_job_are_named(root: Path) -> None:
    (root / "jobs/sources/manifest.json").unlink()

    err = blocked(root)

    assert "the files of fast lack sdist" in err
    assert "the files of plain lack sdist, py3-none-any" in err
    assert "--partial" in err


def test_two_files_of_one_name_are_a_conflict(root: Path) -> None:
    job(root, "linux", LINUX)
    job(root, "linux-again", LINUX[:1])
    other = b"another sdist"
    (root / "jobs/linux-again" / LINUX[0]).write_bytes(other)
    path = root / "jobs/linux-again/manifest.json"
    manifest = Manifest.from_json(path.read_text(encoding="utf-8"), where="there")
    path.write_text(replace(manifest, distributions=(distribution(LINUX[0], other),)).to_json(), encoding="utf-8")
    first, second = (hashlib.sha256(content).hexdigest() for content in (content_of(LINUX[0]), other))

    err = blocked(root, "--package", "fast", "--partial", code=4)

    assert f"two jobs built different files named {LINUX[0]}" in err
    assert f"jobs/linux  sha256 {first}" in err
    assert f"jobs/linux-again  sha256 {second}" in err


def test_different_commits_are_a_problem(root: Path) -> None:
    commit_all(write(root, {"README.md": "# home\n"}), "Later")
    job(root, "windows", WINDOWS)

    err = blocked(root)

    assert "the jobs built different commits" in err
    assert all(git(root, "rev-parse", commit) in err for commit in ("HEAD", "HEAD~1"))


def test_the_commit_of_another_checkout_is_a_problem(root: Path) -> None:
    built = git(root, "rev-parse", "HEAD")
    now = commit_all(write(root, {"README.md": "# home\n"}), "Later")

    err = blocked(root)

    assert f"the jobs built {built}, but this checkout is at {now}" in err
    assert f"git switch --detach {built}" in err


def test_uncommitted_changes_are_a_problem_without_allow_dirty(root: Path) -> None:
    job(root, "sources", SOURCES, dirty=True)
    assert "the files in jobs/sources were built with uncommitted changes" in blocked(root, "--allow-dirty")

    job(root, "linux", LINUX, dirty=True)
    job(root, "windows", WINDOWS, dirty=True)
    assert "--allow-dirty" in blocked(root)
    collect(root, "--allow-dirty")
    assert collected(root).dirty


def test_a_version_other_than_the_checkout_has_is_a_problem(root: Path) -> None:
    job(root, "sources", ["fast-1.0.tar.gz", "plain-2.1.tar.gz", "plain-2.1-py3-none-any.whl"])
    for name in SOURCES[1:]:
        (root / "jobs/sources" / name).unlink()

    err = blocked(root)

    assert "plain must be 2.0, but the jobs built [release-version-differs]:" in err
    assert "jobs/sources/plain-2.1-py3-none-any.whl" in err


def test_wheels_of_other_tools_need_no_manifest(root: Path) -> None:
    for name in ("linux", "windows"):
        (root / "jobs" / name / "manifest.json").unlink()
    attest(root, f"linux/{LINUX[0]}")

    collect(root)
    manifest = collected(root, signed=(LINUX[0],))
    assert sorted(file.filename for file in manifest.distributions) == EVERYTHING
    assert manifest.commit == git(root, "rev-parse", "HEAD")


def test_wheels_of_other_tools_have_the_modules_of_the_sdist(root: Path) -> None:
    sources = root / "jobs/sources"
    metadata = "Metadata-Version: 2.1\nName: fast\nVersion: 1.0\n"
    files = {"src/fast.py": "new = 1\n", "tests/fast.py": "test = 1\n"}
    path = packed.sdist(sources, files, name=SOURCES[0], top="fast-1.0", metadata=metadata)
    manifest = Manifest.from_json((sources / "manifest.json").read_text(encoding="utf-8"), where="there")
    listed = (distribution(path.name, path.read_bytes()), *manifest.distributions[1:])
    (sources / "manifest.json").write_text(replace(manifest, distributions=listed).to_json(), encoding="utf-8")
    (root / "jobs/linux/manifest.json").unlink()

    err = blocked(root)

    assert f"jobs/linux/{LINUX[0]} was built from other sources than {SOURCES[0]}: fast.py differ" in err
    assert "jobs/windows" not in err  # the manifest says which commit they are of
    collect(root, "--allow-mismatch")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "--from is required (no directory of a build job was given)"),
        (("--from", "nowhere"), "nowhere is not a directory"),
        (
            ("--from", "fast"),
            "fast is not a directory of build jobs (no manifest.json or wheels in it or below)",
        ),
    ],
)
def test_an_unusable_directory_is_a_problem(root: Path, words: tuple[str, ...], message: str) -> None:
    ran = run(root, "relnox", "collect", *words, code=1)

    assert message in ran.err


# partial collections


def test_partial_collects_what_exists_and_prints_what_is_missing(root: Path) -> None:
    shutil.rmtree(root / "jobs/windows")

    ran = collect(root, "--partial")

    assert "--partial ignores: the files of fast lack cp313-win_amd64, cp314-win_amd64" in ran.err
    assert sorted(file.filename for file in collected(root).distributions) == sorted([*LINUX, *SOURCES])
    assert collected(root).missing == ("fast",)


def test_what_one_job_lacks_and_another_has_is_not_missing(root: Path) -> None:
    job(root, "sources", SOURCES, missing=("other",))
    job(root, "windows", WINDOWS, missing=("plain",), time="2026-11-22T04:00:00+00:00")

    collect(root)
    assert collected(root).missing == ()


def test_one_package_can_be_collected(root: Path) -> None:
    shutil.rmtree(root / "jobs/windows")

    collect(root, "--package", "plain")
    assert collected(root).packages == ("plain",)


def test_a_private_package_need_not_be_there(root: Path) -> None:
    write(
        root,
        {
            "plain/pyproject.toml": '[project]\nname = "plain"\nversion = "2.0"\n'
            'classifiers = ["Private :: Do Not Upload"]\n'
        },
    )
    commit_all(root, "Keep plain private")
    job(root, "linux", LINUX)
    job(root, "windows", WINDOWS)
    (root / "jobs/sources/plain-2.0.tar.gz").unlink()
    (root / "jobs/sources/plain-2.0-py3-none-any.whl").unlink()
    job(root, "sources", SOURCES[:1])

    collect(root)
    assert collected(root).packages == ("fast",)


# existing files


def test_stale_archives_are_kept_and_named(root: Path) -> None:
    (root / "dist").mkdir()
    (root / "dist/plain-1.9.tar.gz").write_bytes(b"old")
    (root / "dist/plain-2.0.tar.gz").write_bytes(b"a local build of the same name")

    ran = collect(root)

    assert "left out: dist has archives that are not part of this release: plain-1.9.tar.gz" in ran.err
    (root / "dist/plain-1.9.tar.gz").unlink()
    collected(root)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_run_that_was_killed_is_finished_by_the_next(root: Path) -> None:
    # It is killed when the first file is copied and has no name of its own yet.
    hang = "import os, stat, time; fsync = os.fsync\ndef slow(number):\n    fsync(number)\n"
    hang += (
        "    if stat.S_ISREG(os.fstat(number).st_mode):\n        print('copying', flush=True); time.sleep(60)\n"
    )
    hang += "os.fsync = slow\nfrom relnox.cli import main; main(['collect', '--from', 'jobs'])\n"
    with subprocess.Popen([sys.executable, "-c", hang], cwd=root, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert any("copying" in line for line in running.stdout)
        running.send_signal(signal.SIGKILL)
    (left,) = (root / "dist").iterdir()
    assert left.name.startswith(".relnox-")

    collect(root)
    assert sorted(file.filename for file in collected(root).distributions) == EVERYTHING
