"""Untrusted code looks for upload credentials in its environment variables.

A backend, a build command, a test command, an imported module, a smoke test, a changelog tool and a git hook
each log theirs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from backends import in_tree
from projects import NOXFILE, commit_all, repository, write
from trusting import REQUEST_TOKEN, trusting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trusting import Trusting

pytestmark = pytest.mark.heavy

CANARY = "pypi-canary0815canary0815canary"
OTHER = "another0815another0815another"
SPY = """\
import os


def spy(kind):
    with open(LOG, "a") as out:
        out.write(f"{kind} has variables {dict(os.environ)}\\n")
"""
COMMAND = """\
import sys
sys.path.insert(0, "backend")
import house
house.build_sdist(sys.argv[1])
house.build_wheel(sys.argv[1])
"""
SETTINGS = """\
[tool.relnox]
packages = ["home", "made"]
versions = "lockstep"
changelog = "towncrier"

[tool.relnox.build]
commands = {{ made = [{python!r}, "make.py", "{{output}}"] }}

[tool.relnox.test]
command = ["python", {spy!r}, "test"]

[tool.relnox.verify]
smoke = {{ home = ["home.look()"] }}
"""
HOOK = """
[[tool.relnox.hooks.{event}]]
run = ["python", {spy!r}, "{event}"]
"""
HOOKS = {
    "build-all": {"before-build"},
    "publish": {"before-publish", "after-publish"},
    "bump": {"edit-bump"},
}
"""The events of the hooks of each task."""
ROUTES = {
    **dict.fromkeys(("PYPI_TOKEN", "TEST_PYPI_TOKEN", "RELNOX_HOUSE_TOKEN", "TWINE_PASSWORD"), CANARY),
    **dict.fromkeys(("UV_PUBLISH_TOKEN", "HATCH_INDEX_AUTH", "POETRY_PYPI_TOKEN_HOUSE"), CANARY),
    **dict.fromkeys(("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "PYPI_ID_TOKEN", "FLIT_PASSWORD"), CANARY),
    **dict.fromkeys(("GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "MY_API_KEY"), OTHER),
    "A_COPY": f"x{CANARY}",
    "PIP_EXTRA_INDEX_URL": f"https://user:{OTHER}@host.example.invalid/simple/",
}
FRONT_ENDS = {
    "relnox": ("-m", "relnox"),
    "nox": ("-m", "nox", "-s"),
    "invoke": ("-m", "invoke"),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two packages whose code, backends and tools look around, and write what they see into `seen`."""
    root = tmp_path / "project"
    library = f"LOG = {str(tmp_path / 'seen')!r}\n{SPY}"
    write(tmp_path, {"spy.py": f"{library}\nif __name__ == '__main__':\n    import sys\n    spy(sys.argv[1])\n"})
    look = f"import runpy; runpy.run_path({str(tmp_path / 'spy.py')!r})['spy']"
    for name in ("home", "made"):
        (root / name).mkdir(parents=True)
        hook = f"{look}({'command' if name == 'made' else 'backend'!r})"
        code = f"def look():\n    {look}('smoke')\n\n\nif __name__ != '__main__':\n    {look}('import')\n"
        in_tree(root / name, name, hook=hook, code=code)
    settings = SETTINGS.format(python=sys.executable, spy=str(tmp_path / "spy.py"))
    for event in sorted(set().union(*HOOKS.values())):
        settings += HOOK.format(event=event, spy=str(tmp_path / "spy.py"))
    write(
        root,
        {
            "pyproject.toml": settings,
            "made/make.py": COMMAND,
            "noxfile.py": NOXFILE,
            "tasks.py": "from relnox.tasks import *  # noqa: F403\n",
            "CHANGELOG.md": "# Changelog\n",
            ".gitignore": "dist/\n__pycache__/\n.nox/\n",
        },
    )
    repository(root)
    program(root / ".git" / "hooks" / "pre-commit", f"{look}('hook')")
    tool = f"{look}('tool'); open('CHANGELOG.md', 'a').write('More\\n')"
    program(tmp_path / "programs" / "towncrier", tool)
    return root


def program(path: Path, code: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!{sys.executable}\n{code}\n", encoding="utf-8")
    path.chmod(0o755)


def run(root: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    places = os.pathsep.join([str(root.parent / "programs"), os.environ["PATH"]])
    return subprocess.run(
        [sys.executable, *words],
        cwd=root,
        env={**os.environ, "PATH": places, "MARK": "not-a-secret", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def log_of(root: Path) -> str:
    return (root.parent / "seen").read_text(encoding="utf-8", errors="replace")


def check_no_secret(seen: str, kinds: set[str], *secrets: str) -> None:
    """Check that each kind of untrusted code ran, and found no secret."""
    lines = seen.splitlines()
    for kind in sorted(kinds):
        assert any(line.startswith(f"{kind} has variables") and "not-a-secret" in line for line in lines), kind
    for line in lines:
        for secret in secrets:
            assert secret not in line, line


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_no_kind_of_untrusted_code_finds_a_credential(front_end: str, root: Path) -> None:
    dashes = ["--"] if front_end == "nox" else []
    for task, options in (
        ("build-all", ["--test"]),
        ("verify-install", ["--from", "dist"]),
        ("bump", ["--part", "minor", "--commit"]),
    ):
        done = run(root, *FRONT_ENDS[front_end], task, *dashes, *options, **ROUTES)
        assert done.returncode == 0, done.stdout + done.stderr
        assert CANARY not in done.stdout + done.stderr
    log = log_of(root)
    hooks = HOOKS["build-all"] | HOOKS["bump"]
    check_no_secret(log, {"backend", "command", "test", "import", "smoke", "tool", "hook", *hooks}, CANARY)
    for line in log.splitlines():
        # git keeps the credentials that it logs in with, which its hooks get too.
        if not line.startswith("hook has variables"):
            of_hook = line.partition(" ")[0] in hooks  # hooks of the project may install, too
            assert OTHER not in (line.replace(ROUTES["PIP_EXTRA_INDEX_URL"], "") if of_hook else line), line


@pytest.fixture
def index() -> Iterator[Trusting]:
    with trusting(CANARY) as index:
        index.token = CANARY
        yield index


@pytest.mark.parametrize("route", ["TWINE_PASSWORD", "identity"])
def test_a_published_package_finds_no_credential_when_it_is_verified(
    route: str, root: Path, index: Trusting
) -> None:
    with (root / "pyproject.toml").open("a") as settings:
        settings.write(index.settings())
    commit_all(root, "An index")
    variables = {"TWINE_PASSWORD": CANARY, "TWINE_REPOSITORY": "house"}
    if route == "identity":
        variables = {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": REQUEST_TOKEN,
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{index.origin}/identity?v=2",
        }
    built = run(root, "-m", "relnox", "build-all")
    assert built.returncode == 0, built.stderr
    (root.parent / "seen").unlink()

    done = run(root, "-m", "relnox", "publish-test", "--index", "house", "--attestations", "off", **variables)

    assert done.returncode == 0, done.stdout + done.stderr
    assert {password for _, password in index.logins} == {CANARY}
    check_no_secret(log_of(root), {"import", "smoke"}, CANARY, REQUEST_TOKEN)


def test_a_build_that_sees_upload_variables_says_so_or_is_refused(root: Path) -> None:
    built = run(root, "-m", "relnox", "build-all", PYPI_TOKEN=CANARY, GITHUB_TOKEN=OTHER)
    assert built.returncode == 0, built.stderr
    assert "warning: PYPI_TOKEN: set while this task runs code of the project" in built.stderr
    file = root / "pyproject.toml"
    refusing = '[tool.relnox]\non-visible-credentials = "refuse"\n'
    file.write_text(file.read_text(encoding="utf-8").replace("[tool.relnox]\n", refusing), encoding="utf-8")
    commit_all(root, "Refuse")
    for task in (("build-all",), ("bump", "--part", "minor")):
        refused = run(root, "-m", "relnox", *task, PYPI_TOKEN=CANARY)
        assert refused.returncode == 1, refused.stderr
        assert "[credentials-exposed]" in refused.stderr
    assert run(root, "-m", "relnox", "build-all", GITHUB_TOKEN=OTHER).returncode == 0
