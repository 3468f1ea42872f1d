"""Input that cannot work, from settings, files, arguments and variables: refused, and nothing is changed."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from projects import python
from running import run_in_process

from relnox.cli import main
from relnox.core.settings import rules

pytestmark = pytest.mark.heavy

on_posix = pytest.mark.skipif(os.name != "posix", reason="files and arguments as POSIX has them")


# settings


NAMES = [
    *("v1", "a/b", "a.b", "a@b", "@a", "ünïcode", "a{b", "a}b", "a'b", 'a"b', "a$b", "a;b", "\u202e", "x" * 240),
    *(
        "",
        " ",
        "a b",
        "a..b",
        ".a",
        "a/.b",
        "a.lock",
        "a.lock/b",
        "a/b.lock",
        "/a",
        "a/",
        "a//b",
        "a.",
        "@",
        "a@{b",
    ),
    *("a~b", "a^b", "a:b", "a?b", "a*b", "a[b", "a\\b", "a\x7fb", "a\x01b", "a\tb", "-a"),
]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_refs_are_validated_like_git(name: str, demo: Path) -> None:
    asked = subprocess.run(["git", "tag", "--", name], cwd=demo, capture_output=True, check=False)
    assert (rules.ref_name_violation(name) is None) is (asked.returncode == 0)


def test_a_name_that_is_too_long_for_a_file_system_is_rejected() -> None:
    assert rules.ref_name_violation("x" * 300) is not None
    assert rules.ref_name_violation("/".join(["x" * 100] * 20)) is not None


# files


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe[\x00p\x00",
        b"[project]\nname = '\xff'\n",
        b"x = " + b"[" * 10_000,
        b"x = " + b"{a = " * 3_000,
        b"x = " + b"9" * 10_000,
        b"[" + b"a." * 2_000 + b"b]\n",
        b"\x00",
    ],
)
@pytest.mark.parametrize("task", ["status", "init"])
def test_an_invalid_settings_file_is_rejected(demo: Path, content: bytes, task: str) -> None:
    (demo / "pyproject.toml").write_bytes(content)
    ran = run_in_process(demo, task, "--dry-run", code=1)
    assert "pyproject.toml" in ran.err
    assert len(ran.err) < 1_000


@on_posix
@pytest.mark.parametrize("kind", ["directory", "fifo", "loop", "nowhere"])
def test_a_settings_path_that_is_not_a_file_is_rejected(demo: Path, kind: str) -> None:
    path = demo / "pyproject.toml"
    path.unlink()
    match kind:
        case "directory":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "loop":
            path.symlink_to(path.name)
        case _:
            path.symlink_to("nowhere.toml")
    for task in ("status", "init"):
        ran = run_in_process(demo, task, "--dry-run", code=1)
        assert "pyproject.toml is not a regular file" in ran.err


@pytest.mark.parametrize("value", ["1", '"x"', "[]", "true", "1979-05-27"])
@pytest.mark.parametrize("key", ["tool", "tool.relnox", "tool.uv", "tool.poetry", "tool.hatch.version"])
def test_values_in_place_of_tables_cause_no_traceback(demo: Path, key: str, value: str) -> None:
    path = demo / "pyproject.toml"
    stated = path.read_text(encoding="utf-8").split("[tool", maxsplit=1)[0]
    path.write_text(f"{key} = {value}\n{stated}", encoding="utf-8")
    codes = [
        run_in_process(demo, *words, "--dry-run").code
        for words in (["status"], ["init"], ["bump", "--part", "minor"])
    ]
    assert set(codes) <= {0, 1}


def test_init_does_not_extend_an_inline_table(demo: Path) -> None:
    path = demo / "pyproject.toml"
    stated = path.read_text(encoding="utf-8").split("[tool", maxsplit=1)[0]
    path.write_text(f"tool = {{ other = {{ a = 1 }} }}\n{stated}", encoding="utf-8")
    ran = run_in_process(demo, "init", "--dry-run", code=1)
    assert "[tool.relnox]" in ran.err


# arguments, variables, reports


LONG = "a" * 5_000


@on_posix
@pytest.mark.parametrize(
    "words",
    [
        ("status", "--project", "pyproject.toml"),
        ("status", "--project", "\udcff"),
        ("status", "--package", "\udcff"),
        ("status", "--package", LONG),
        ("status", "--dry-run", "--plan", "."),
        ("status", "--dry-run", "--plan", "/dev/full"),
        ("status", "--report", "."),
        ("status", "--report", "nowhere/report.json"),
        ("bump", "--to", "9" * 5_000),
        ("bump", "--to", "\udcff"),
        ("bump", "--part", "\udcff"),
        ("verify-install", "--from", "\udcff"),
        ("verify-install", "--wait", "9" * 5_000),
        ("verify-install", "--wait", "٣٣٣٣٣٣٣٣٣٣٣٣٣٣٣٣٣٣"),
        ("collect", "--from", "\udcff"),
        ("build-all", "--python", "../../x"),
        ("build-all", "--python", "/"),
        ("build-all", "--python", "--help"),
        ("publish", "--index", "\udcff"),
        ("\udcff", "--help"),
        ("status", "\udcff"),
    ],
)
def test_invalid_arguments_are_rejected(
    demo: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(demo)
    ran = run_in_process(demo, *words)
    assert ran.code in (1, 2), ran.text
    assert re.search("^error: ", ran.err, re.MULTILINE)


@on_posix
@pytest.mark.parametrize("name", ["RELNOX_REPORTER", "RELNOX_REPORT", "RELNOX_VERBOSE", "RELNOX_PART", "NO_COLOR"])
@pytest.mark.parametrize("value", ["\udcff", "", "\x1b[2J", LONG])
def test_invalid_variables_cause_no_traceback(
    demo: Path, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(demo)
    monkeypatch.setenv(name, value)
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        assert main(["status"]) in (0, 1)


def test_a_token_that_is_not_utf8_is_masked(demo: Path) -> None:
    done = python(demo, "-m", "relnox", "publish", "--dry-run", RELNOX_PYPI_TOKEN="pypi-\udcff\udcfe")
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_failed_report_does_not_change_the_exit_code(demo: Path) -> None:
    done = python(demo, "-m", "relnox", "bump", "--part", "minor", "--commit", "--report", "/dev/full")
    assert "the report cannot be written to /dev/full: No space left on device" in done.stderr
    assert (done.returncode, "1.3.0" in (demo / "pyproject.toml").read_text(encoding="utf-8")) == (0, True)


def test_a_report_is_valid_json_whatever_its_text(demo: Path) -> None:
    report = demo.parent / "report.json"
    run_in_process(demo, "status", "--package", "\x1b[2J\u202e\udcff", "--report", str(report))
    assert (
        json.loads(report.read_bytes())["problems"][0]["message"]
        == "no package \x1b[2J\u202e\udcff in this workspace"
    )
