"""The files and commands of docs/importing.md, and the example of a company's defaults, as they are documented."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from projects import git, python, repository, single, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from subprocess import CompletedProcess

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "company-defaults"
BLOCK = re.compile(
    r"^## (?P<heading>[^\n]*)$|^```(?P<kind>python|console)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


class Listing(NamedTuple):
    """A file of the page, and the commands below it."""

    heading: str
    file: str
    text: str
    commands: str


def listings() -> Iterator[Listing]:
    """The files of the page, each with its commands."""
    heading, text = "", ""
    for match in BLOCK.finditer((ROOT / "docs" / "importing.md").read_text(encoding="utf-8")):
        if match["heading"]:
            heading = match["heading"]
        elif match["kind"] == "python":
            text = match["text"]
        else:
            file = text.partition("\n")[0].removeprefix("# ")
            yield Listing(heading, file, text, match["text"])


def run(root: Path, line: str, code: int | None = None) -> CompletedProcess[str]:
    words = shlex.split(line, comments=True)
    return python(root, "-m", *words, code=code)


@pytest.mark.parametrize("listing", tuple(listings()), ids=lambda listing: listing.heading)
def test_the_page_shows_what_works(listing: Listing, tmp_path: Path) -> None:
    root = single(tmp_path / "demo")
    write(root, {listing.file: listing.text})
    repository(root)
    git(root, "tag", "v1.2.3")
    commands = re.split(r"^\$ ", listing.commands, flags=re.MULTILINE)[1:]
    assert commands
    for command in commands:
        line, *shown = command.splitlines()
        done = run(root, line)
        output = done.stdout + done.stderr
        assert done.returncode == ("exits with 1" in line), output
        assert "Traceback" not in output
        for words in shown:
            assert words in output
    assert git(root, "status", "--porcelain") == ""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example's repository, with the company's package importable."""
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLE / "acme-release" / "src"))
    root = tmp_path / "project"
    shutil.copytree(EXAMPLE / "project", root, ignore=shutil.ignore_patterns("__pycache__", ".nox"))
    return repository(root)


def test_a_company_registers_sessions_with_defaults(project: Path) -> None:
    assert (project / "noxfile.py").read_text(encoding="utf-8").endswith("acme_release.register()\n")

    listing = run(project, "nox -l")

    names = re.findall(r"^- (\S+)", listing.stdout, re.MULTILINE)
    assert names == ["status", "bump", "build-all", "publish", "verify-install", "preview"], listing.stderr


@pytest.mark.parametrize(
    ("words", "version"), [("-s bump -- --dry-run", "0.4.0"), ("-s bump -- patch --dry-run", "0.3.1")]
)
def test_the_command_line_wins_over_the_companys_defaults(project: Path, words: str, version: str) -> None:
    done = run(project, f"nox {words}", code=0)

    assert done.stdout.splitlines()[1].split()[2] == version
    assert f"tag v{version}" in done.stdout


def test_the_project_wins_over_the_companys_defaults(project: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"

    run(project, f"nox -s build-all -- --dry-run --plan {plan}", code=0)
    (build,) = (step for step in json.loads(plan.read_bytes())["steps"] if step["kind"] == "Build")
    assert (build["strict"], build["output"]) == (False, "artifacts")


def test_a_session_of_the_company_runs_a_task(project: Path) -> None:
    done = run(project, "nox -s preview", code=0)

    assert "3 steps" in done.stderr
    assert git(project, "status", "--porcelain") == ""
