"""What other processes can read of relnox and of those that started it: real processes, read through /proc."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from backends import in_tree
from projects import repository

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

CANARY = "canary0815canary0815"
PARENT = """\
import ctypes, os, subprocess, sys
from relnox.system import exposure

READ = "import sys; print(open(f'/proc/{sys.argv[1]}/environ', 'rb').read().count(b'%s'))"
PROTECTED = "import sys; open(f'/proc/{sys.argv[1]}/mem', 'rb')"

def child(code):
    return subprocess.run([sys.executable, "-c", code, str(os.getpid())], capture_output=True, text=True,
                          env={"PATH": os.environ["PATH"]})
"""
WITHOUT_TRACING = """\
import ctypes, os, sys
for capability in (19, 21, 38):  # CAP_SYS_PTRACE, _ADMIN, _PERFMON: without them root is as others are
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
HOOK = """\
#!{python}
import os

pid = os.getppid()
while b"relnox" not in open(f"/proc/{{pid}}/cmdline", "rb").read():
    pid = int(open(f"/proc/{{pid}}/stat").read().rpartition(")")[2].split()[1])
try:
    open(f"/proc/{{pid}}/mem", "rb").close()
    seen = "open"
except PermissionError:
    seen = "closed"
open({log!r}, "w").write(seen)
"""


def run(code: str, *, launcher: tuple[str, ...] = (), **variables: str) -> str:
    done = subprocess.run(
        [*launcher, sys.executable, "-c", PARENT.replace("%s", CANARY) + code],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_variables_a_process_was_started_with_are_hidden_and_still_work() -> None:
    output = run(
        """
print(child(READ).stdout.strip())
exposure._overwrite_credentials_in_proc()
exposure._overwrite_credentials_in_proc()
print(child(READ).stdout.strip())
libc = ctypes.CDLL(None)
libc.getenv.restype = ctypes.c_char_p
print(os.environ["PYPI_TOKEN"], libc.getenv(b"PYPI_TOKEN").decode(), libc.getenv(b"OTHER").decode())
print(subprocess.run(["sh", "-c", "echo $PYPI_TOKEN $INDEX"], capture_output=True, text=True).stdout)
""",
        PYPI_TOKEN=CANARY,
        INDEX=f"https://user:{CANARY}@host.example.invalid/simple/",
        OTHER="other",
    )
    assert output.split() == [
        "2",
        "0",
        CANARY,
        CANARY,
        "other",
        CANARY,
        f"https://user:{CANARY}@host.example.invalid/simple/",
    ]


def test_a_variable_that_was_changed_or_removed_since_is_hidden_too() -> None:
    output = run(
        """
os.environ["PYPI_TOKEN"] = "new"
del os.environ["TWINE_PASSWORD"]
exposure._overwrite_credentials_in_proc()
print(child(READ).stdout.strip(), os.environ["PYPI_TOKEN"], "TWINE_PASSWORD" in os.environ)
""",
        PYPI_TOKEN=CANARY,
        TWINE_PASSWORD=CANARY,
    )
    assert output.split() == ["0", "new", "False"]


def test_memory_is_closed_to_others_meanwhile_and_open_again_after() -> None:
    output = run(
        """
before = child(PROTECTED).returncode
with exposure.protected_memory():
    print("PermissionError" in child(PROTECTED).stderr, "PermissionError" in child(READ).stderr)
    open("/proc/self/fd/2", "a").close()  # what a program does to itself still works
    print(subprocess.run(["true"]).returncode)
print(child(PROTECTED).returncode == before)
""",
        launcher=(sys.executable, "-c", WITHOUT_TRACING),
        PYPI_TOKEN=CANARY,
    )
    assert output.split() == ["True", "True", "0", "True"]


def built(tmp_path: Path, *settings: str) -> Path:
    (root := tmp_path / "home").mkdir()
    in_tree(root)
    with (root / "pyproject.toml").open("a") as file:
        file.write("\n".join(["[tool.relnox]", *settings, ""]))
    return repository(root)


def relnox(root: Path, shell: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a shell's command line as a CI step does; the shell stays while its command runs."""
    return subprocess.run(
        ["bash", "-c", f"{shell}; exit $?"],
        cwd=root,
        env={**os.environ, "PYTHON": sys.executable, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


BUILD = '"$PYTHON" -m relnox build-all --reporter plain'


def test_credentials_of_the_parent_shell_are_reported_by_name(tmp_path: Path) -> None:
    root = built(tmp_path)

    done = relnox(root, BUILD, PYPI_TOKEN=CANARY, GITHUB_TOKEN="another")

    assert done.returncode == 0, done.stderr
    assert "warning: upload credentials are readable by code that this run executes:\n" in done.stderr
    assert "  PYPI_TOKEN: environment of bash (process " in done.stderr
    assert "fix: set them only for the job or step that publishes" in done.stderr
    assert "GITHUB_TOKEN" not in done.stderr
    assert CANARY not in done.stdout + done.stderr


def test_they_are_reported_as_an_annotation_to_github(tmp_path: Path) -> None:
    done = relnox(built(tmp_path), BUILD.replace("plain", "github"), PYPI_TOKEN=CANARY)

    assert "\n::warning title=relnox::upload credentials are readable" in done.stderr


def test_credentials_on_the_command_line_of_the_shell_are_reported(tmp_path: Path) -> None:
    done = relnox(built(tmp_path), f"export TWINE_PASSWORD={CANARY}; {BUILD}")

    assert "  TWINE_PASSWORD: command line of bash (process " in done.stderr
    assert "environment of" not in done.stderr  # the shell was started without it, and relnox hides its own
    assert CANARY not in done.stdout + done.stderr


def test_settings_refuse_to_run_foreign_code_beside_them(tmp_path: Path) -> None:
    root = built(tmp_path, 'on-visible-credentials = "refuse"')

    done = relnox(root, BUILD, PYPI_TOKEN=CANARY)

    assert done.returncode == 1
    assert (
        "error: upload credentials are readable by code that this run executes [credentials-exposed]:"
        in done.stderr
    )
    assert not (root / "dist").exists()
    assert relnox(root, f"{BUILD} --dry-run", PYPI_TOKEN=CANARY).returncode == 0  # it runs nothing


def test_a_variable_of_relnox_alone_is_no_matter(tmp_path: Path) -> None:
    root = built(tmp_path, 'on-visible-credentials = "refuse"')

    (tmp_path / "token").write_text(f"{CANARY}\n")

    done = relnox(root, f'read -r TOKEN < ../token; PYPI_TOKEN="$TOKEN" {BUILD}')

    assert done.returncode == 0, done.stderr
    assert "upload credentials" not in done.stderr


def test_tools_of_the_changelog_are_foreign_code(tmp_path: Path) -> None:
    root = built(tmp_path, 'on-visible-credentials = "refuse"', 'changelog = "towncrier"')

    done = relnox(root, '"$PYTHON" -m relnox bump --part minor', PYPI_TOKEN=CANARY)

    assert done.returncode == 1
    assert "upload credentials are readable by code that this run executes" in done.stderr


@pytest.mark.parametrize(("variable", "closed"), [("PYPI_TOKEN", True), ("MARK", False)])
def test_a_hook_of_git_cannot_read_the_memory_of_a_run_with_credentials(
    variable: str, closed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TWINE_CONFIG_FILE")  # a setting of an upload tool counts as a credential
    root = built(tmp_path)
    hook = root / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(HOOK.format(python=sys.executable, log=str(tmp_path / "log")), encoding="utf-8")
    hook.chmod(0o755)
    launcher = (sys.executable, "-c", WITHOUT_TRACING)

    done = subprocess.run(
        [*launcher, sys.executable, "-m", "relnox", "bump", "--part", "minor", "--commit"],
        cwd=root,
        env={**os.environ, variable: CANARY},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "log").read_text(encoding="utf-8") == ("closed" if closed else "open")
