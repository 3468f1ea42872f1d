"""`status --index`: what an index lists is in the table, and one that does not answer is soon given up."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from textwrap import dedent
from typing import TYPE_CHECKING

import acts
import pytest
from package_index import ANY, PackageIndex, Rule
from projects import git, repository, write
from releases import Package, publish, release
from running import RunResult

from relnox.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    from releases import SimulatedClock

pytestmark = pytest.mark.heavy

PACKAGES = [Package(f"part-{number}", sdist=False) for number in range(5)]


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "a-token")


def ask(root: Path, simple: str) -> RunResult:
    write(
        root,
        {
            "pyproject.toml": '[tool.relnox]\npackages = ["packages/*"]\n'
            f'[tool.relnox.indexes.own]\nupload = "{simple}"\nsimple = "{simple}"\n'
        },
    )
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(["status", "--project", str(root), "--index", "own", "--reporter", "plain"])
    return RunResult(code, out.getvalue(), err.getvalue())


def test_versions_on_an_index_are_in_the_table(tmp_path: Path, clock: SimulatedClock) -> None:
    with PackageIndex() as index:
        release(tmp_path, PACKAGES)
        assert publish(tmp_path, index, "--package", "part-1").code == 0
        ran = ask(tmp_path, index.simple_url)
    assert ran.code == 0, ran.text
    rows = {line.split()[0]: line for line in ran.out.splitlines() if line}
    assert rows["part-1"].endswith("1.0 (this version)")
    assert rows["part-2"].endswith("none")


def test_a_version_from_tags_is_compared_as_well(tmp_path: Path, clock: SimulatedClock) -> None:
    with PackageIndex() as index:
        release(tmp_path, PACKAGES)
        assert publish(tmp_path, index, "--package", "part-1").code == 0
        pyproject = """\
            [build-system]
            requires = ["hatchling", "hatch-vcs"]
            build-backend = "hatchling.build"
            [project]
            name = "part-1"
            dynamic = ["version"]
            [tool.hatch.version]
            source = "vcs"
            raw-options = { root = "../..", tag_regex = "^part-1-v(?P<version>.+)$" }
            """
        write(tmp_path, {"packages/part-1/pyproject.toml": dedent(pyproject)})
        repository(tmp_path)
        git(tmp_path, "tag", "part-1-v1.0")
        ran = ask(tmp_path, index.simple_url)
    assert ran.code == 0, ran.text
    row = next(line for line in ran.out.splitlines() if line.startswith("part-1 "))
    assert row.endswith("1.0 (this version)"), ran.text


def test_transient_errors_of_an_index_are_retried(tmp_path: Path, clock: SimulatedClock) -> None:
    release(tmp_path, PACKAGES)
    away = Rule(acts.unavailable(), on=ANY, until=4)
    with PackageIndex([away], clock=clock.time) as index:
        ran = ask(tmp_path, index.simple_url)
    assert ran.code == 0, ran.text
    assert ran.out.count("none") == len(PACKAGES)


def test_an_index_that_is_down_fails_after_seconds(tmp_path: Path, clock: SimulatedClock) -> None:
    release(tmp_path, PACKAGES)
    with PackageIndex([Rule(acts.E500, on=ANY)], clock=clock.time) as index:
        ran = ask(tmp_path, index.simple_url)
    assert ran.code == 5, ran.text
    assert "cannot read the files of part-0 on own: 127.0.0.1:" in ran.err
    assert "returned 500 Internal Server Error; gave up after 10 s" in ran.err
    assert "or remove --index own" in ran.err
    assert clock.monotonic() < 11
