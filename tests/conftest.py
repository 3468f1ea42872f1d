"""What every test stands on: no outside world unless it asks for it, none of the developer's own settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from running import RunResult, checked

from relnox.cli import main
from relnox.system import secrets
from relnox.system.run_scope import current_scope

if TYPE_CHECKING:
    from running import Bump

FOREIGN = (
    "RELNOX_",
    "TWINE_",
    "GH_",
    "GITHUB_",
    "GITLAB_",
    "GIT_",
    "NOX_",
    "INVOKE_",
    "PYPI_",
    "TEST_PYPI_",
    "CI",
    "NO_COLOR",
)
NOWHERE = "http://127.0.0.1:9"

# Where a change is judged the examples are the same each time; a developer's runs look for new ones.
settings.register_profile("judged", derandomize=True, deadline=None)
settings.register_profile("searching", deadline=None)
settings.load_profile("judged" if os.environ.get("CI") else "searching")


@pytest.fixture(autouse=True)
def surroundings(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Take the developer's settings away; without the marker `network` every way out leads to a closed port."""
    # Secrets of tests before this one are neither masked nor announced in it.
    current_scope().proxies.clear()
    secrets.set_secret_listener(None)
    secrets._secrets.clear()
    for name in os.environ:
        if name.startswith(FOREIGN) and name != "GIT_SSL_CAINFO":
            monkeypatch.delenv(name)
    home = tmp_path_factory.getbasetemp() / "home"
    home.mkdir(exist_ok=True)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(_git_config(home)))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("TWINE_CONFIG_FILE", str(_empty(home / "pypirc")))
    # Build environments are the tests' own; what installers download serves all of them.
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    monkeypatch.setenv("UV_CACHE_DIR", os.environ.get("UV_CACHE_DIR", str(caches / "uv")))
    monkeypatch.setenv("PIP_CACHE_DIR", os.environ.get("PIP_CACHE_DIR", str(caches / "pip")))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    if request.node.get_closest_marker("network") is None:
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, NOWHERE)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.setenv(name, "127.0.0.1,localhost,::1")


@pytest.fixture
def bump(capsys: pytest.CaptureFixture[str]) -> Bump:
    def call(root: Path, *options: str, code: int | None = None) -> RunResult:
        capsys.readouterr()
        ended = main(["bump", "--project", str(root), "--reporter", "plain", *options])
        return checked(RunResult(ended, *capsys.readouterr()), code)

    return call


def _git_config(home: Path) -> Path:
    path = home / "gitconfig"
    if not path.exists():
        user = "[user]\n\tname = Maintainer\n\temail = maintainer@example.invalid\n"
        path.write_text(f"{user}[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n", encoding="utf-8")
    return path


def _empty(path: Path) -> Path:
    path.touch()
    return path


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show what the sweep of the hostile index measured: the highest values, and how long a signal took."""
    reports = [report for each in terminalreporter.stats.values() for report in each if hasattr(report, "when")]
    measured = [dict(report.user_properties) for report in reports if report.when == "call"]
    peaks = [values["peak"] for values in measured if "peak" in values]
    after = sorted(values["signal seconds"] for values in measured if "signal seconds" in values)
    if peaks:
        longest = max(values["seconds"] for values in measured if "seconds" in values)
        terminalreporter.write_line(f"hostile index: {max(peaks) >> 10} MB at most, {longest:.0f} s at most")
    if after:
        middle, late = after[len(after) // 2], after[len(after) * 9 // 10]
        terminalreporter.write_line(
            f"ended after a signal: median {middle:.2f} s, 90 % within {late:.2f} s, all within {after[-1]:.2f} s"
        )
