"""Secrets, and masking them in output."""

from __future__ import annotations

import base64
import copy
import io
import json
import pickle
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.pretty import pretty_repr

from relnox import reporters
from relnox.core import documents
from relnox.core.planning.events import OutputLine, StepFinished
from relnox.core.planning.events import Status as Ended
from relnox.errors import Failed
from relnox.reporters import github
from relnox.reporters.terminal import TerminalReporter
from relnox.reporters.text import PlainReporter
from relnox.steps.git import Push
from relnox.system import process, secrets
from relnox.system.run_scope import RunScope, enter_scope
from relnox.system.secrets import Secret, mask_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from relnox.reporters.text import PlainReporter as Reporter

CANARY = "canary-0815"
PUSH = Push(remote_name="origin", branch="main", tags=("v2",))


@pytest.fixture(autouse=True)
def no_secrets() -> Iterator[None]:
    secrets.set_secret_listener(None)
    secrets._secrets.clear()  # of tests before this one
    yield
    secrets.set_secret_listener(None)


def test_a_secret_cannot_be_shown_or_stored() -> None:
    secret = Secret(CANARY)
    shown = f"{secret} {secret!r} {[secret]} {pretty_repr(secret)} {'%s' % secret} {dir(secret)}"  # noqa: UP031
    with Console(file=io.StringIO()) as console:
        from rich import inspect

        inspect(secret, console=console, private=True, dunder=True)
        shown += str(console.file.getvalue())  # type: ignore[attr-defined] # it is the StringIO
    assert CANARY not in shown
    stores: tuple[Callable[[Any], object], ...] = (
        *(pickle.dumps, copy.copy, copy.deepcopy, json.dumps, documents.to_json_types, vars, iter, len),
    )
    for store in stores:
        with pytest.raises(TypeError):
            store(secret)
    for name in ("__getstate__", "__reduce__"):
        with pytest.raises(TypeError):
            getattr(secret, name)()
    with pytest.raises(TypeError):
        format(secret, ">20")
    assert secret.reveal() == CANARY
    # How long a comparison takes, and whether it holds, tells of the text.
    other, texts = Secret(CANARY), list[object]([CANARY])
    assert secret != other
    assert hash(secret) != hash(other)
    assert secret not in texts


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp", "Zs"]), min_size=8, max_size=80),
    st.text(max_size=5),
    st.text(max_size=5),
)
def test_existing_secrets_are_masked(text: str, before: str, after: str) -> None:
    secret = Secret(text)
    for spelled in (text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        assert mask_secrets(f"<{spelled}>") == "<****>"
    whole = base64.b64encode(f"{before}:{text}:{after}".encode()).decode()
    inner = base64.b64encode(text.encode()).decode()
    assert "****" in mask_secrets(whole)
    assert mask_secrets(inner) != inner
    del secret
    assert mask_secrets(f"<{text}>") == f"<{text}>"  # it no longer exists


def test_a_secret_of_several_lines_is_masked_line_by_line() -> None:
    key = Secret("-----BEGIN KEY-----\nMIIEvgIBADANBg\r\n\n  kqhkiG9w0BAQ\n-----END KEY-----\n")
    output = mask_secrets("a MIIEvgIBADANBg b\nkqhkiG9w0BAQ -----BEGIN KEY-----")
    assert output == "a **** b\n**** ****"
    short = Secret("abc")  # which is part of ordinary words
    assert mask_secrets("abcabc") == "abcabc"
    del key, short


def test_an_error_and_those_before_it_say_no_secret() -> None:
    secret = Secret(CANARY)
    try:
        try:
            try:
                raise KeyError(CANARY)  # noqa: TRY301
            except KeyError as error:
                raise ValueError(f"<{CANARY}>") from error
        except ValueError:
            raise RuntimeError("a", CANARY, 1)  # noqa: B904 - the context is what is looked at
    except RuntimeError as error:
        secrets.mask_error(error)
        output = "".join(traceback.format_exception(error, chain=True))
    quoted = output.count("****")
    assert quoted == 3
    assert not any(CANARY in line and "raise" not in line for line in output.splitlines())
    del secret


def test_what_a_program_prints_of_a_secret_is_masked() -> None:
    secret, lines = Secret(CANARY), list[str]()
    ran = process.run(["printf", "%s\\n", f"x {CANARY} y"], on_line=lines.append)
    assert (ran.output, lines) == ("x **** y\n", ["x **** y"])
    del secret


@pytest.mark.parametrize(
    "name",
    [
        *("RELNOX_PYPI_TOKEN", "RELNOX_HOUSE_TOKEN", "PYPI_TOKEN", "TEST_PYPI_TOKEN", "TWINE_PASSWORD"),
        *("TWINE_USERNAME", "UV_PUBLISH_TOKEN", "HATCH_INDEX_AUTH", "PDM_PUBLISH_PASSWORD", "FLIT_PASSWORD"),
        *("POETRY_PYPI_TOKEN_PYPI", "MATURIN_PYPI_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "PYPI_ID_TOKEN"),
    ],
)
def test_no_program_sees_a_credential_of_an_index_whatever_it_is_given(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the whole environment of relnox, and one that was made for the program.
    monkeypatch.setenv(name, CANARY)
    monkeypatch.setenv("GH_TOKEN", "git logs in with it")
    for environment in (None, {"PATH": "/usr/bin:/bin", name: CANARY, "GH_TOKEN": "git logs in with it"}):
        printed = process.run(["env"], env=environment).output
        assert CANARY not in printed
        # What git is given is for git; a program that is given nothing sees no credential at all.
        assert ("GH_TOKEN=git logs in with it" in printed) == (environment is not None)


@pytest.mark.parametrize("kind", ["plain", "terminal", "github"])
def test_every_reporter_masks(kind: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    secret = Secret(CANARY)
    environment = {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    made: dict[str, Reporter] = {
        "plain": PlainReporter(),
        "terminal": TerminalReporter(),
        "github": github.GitHubReporter(environment),
    }
    reporter = made[kind]
    reporter.verbose = True
    error = Failed("program-failed", f"the index says {CANARY}", fix=f"try {CANARY}")
    reporter.show_event(OutputLine(PUSH, f"printed {CANARY}"), nested=False)
    reporter.show_event(StepFinished(PUSH, Ended.FAILED, error.message, 0.0, error), nested=False)
    reporter.show_error(error)
    output = "".join(capsys.readouterr())
    assert CANARY not in output
    assert output.count("****") >= 4
    del secret


def test_the_runner_learns_each_line_of_a_secret_before_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    early = Secret("there-before")
    reporter = reporters.choose_reporter("github", {"GITHUB_ACTIONS": "true"})
    late = Secret("one-line\nanother%line\n\n")
    output = capsys.readouterr().err.splitlines()
    assert output == ["::add-mask::there-before", "::add-mask::one-line", "::add-mask::another%25line"]
    del early, late, reporter


def test_runs_in_threads_tell_their_own_runner_of_secrets() -> None:
    masked: dict[str, list[str]] = {"one": [], "other": []}
    both_listen = threading.Barrier(2)

    def run(name: str) -> None:
        with enter_scope(RunScope()):
            secrets.set_secret_listener(masked[name].append)
            both_listen.wait(30)
            secret = Secret(f"{CANARY} of {name}")
            both_listen.wait(30)
            del secret

    with ThreadPoolExecutor(2) as pool:
        [*pool.map(run, masked)]
    assert masked == {name: [f"{CANARY} of {name}"] for name in masked}


def test_masks_are_sent_to_the_runner_even_between_foreign_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Between ::stop-commands:: and its word the runner obeys nothing.
    reporter = reporters.choose_reporter("github", {"GITHUB_ACTIONS": "true"})
    reporter.show_event(OutputLine(PUSH, "foreign"), nested=False)
    secret = Secret(CANARY)
    reporter.show_event(OutputLine(PUSH, "more"), nested=False)
    stop, foreign, go_on, mask, stop_again, more = capsys.readouterr().err.splitlines()
    assert go_on == f"::{stop.removeprefix('::stop-commands::')}::"
    assert mask == f"::add-mask::{CANARY}"
    assert stop_again.startswith("::stop-commands::")
    assert (foreign, more) == ("foreign", "more")
    del secret


@pytest.mark.parametrize(
    ("kind", "environment", "lines"),
    [
        ("plain", {"GITHUB_ACTIONS": "true"}, [f"::add-mask::{CANARY}"]),
        ("github", {}, []),  # tried on a laptop: to mask there would be to tell
        ("auto", {"GITLAB_CI": "true", "CI": "true"}, []),  # it has no such command
        ("plain", {}, []),
    ],
)
def test_masks_are_sent_to_the_runner_only(
    kind: str, environment: dict[str, str], lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    reporter = reporters.choose_reporter(kind, environment)
    secret = Secret(CANARY)
    assert capsys.readouterr().err.splitlines() == lines
    del secret, reporter
