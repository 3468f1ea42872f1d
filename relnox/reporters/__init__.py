"""Reporters: output for terminals, logs and GitHub Actions, and reports for programs and people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relnox.core.planning.events import Outcome
from relnox.reporters.streams import STDERR
from relnox.reporters.text import CommandConverter
from relnox.reporters.text import PlainReporter as PlainReporter
from relnox.system import secrets


def choose_reporter(
    name: Any,
    environment: Mapping[str, str],
    convert: CommandConverter = str,
    *,
    quiet: bool = False,
) -> PlainReporter:
    """Return the reporter `name`, or else that of `RELNOX_REPORTER`, or else `auto`, which suits the output.

    Names are `terminal`, `plain` and `github`. `convert` changes the commands in a text to the form that the user
    has to type. With `quiet`, the plain reporter replaces that for terminals. On GitHub Actions, the runner is
    also made to mask each secret when it is first used. GitLab masks only variables that are declared as masked in
    its settings.
    """
    kind = str(name or environment.get("RELNOX_REPORTER") or "auto")
    masks = environment.get("GITHUB_ACTIONS") == "true"  # elsewhere, the command to mask a secret would print it
    if kind == "auto":
        if masks:
            kind = "github"
        elif STDERR.isatty() and environment.get("TERM") != "dumb" and not environment.get("CI"):
            kind = "terminal"
    secrets.set_secret_listener(None)
    if kind == "github" or masks:
        from relnox.reporters.github import GitHubReporter

        github = GitHubReporter(environment, convert, quiet=quiet)
        if masks:
            secrets.set_secret_listener(github.mask)
        if kind == "github":
            return github
    if kind == "terminal" and not quiet:
        from relnox.reporters.terminal import TerminalReporter  # with rich, which is slow to import

        return TerminalReporter(convert)
    return PlainReporter(convert, quiet=quiet)


def render(outcome: Outcome, path: str, convert: CommandConverter = str) -> str:
    """Return the report of a run for the file `path`: Markdown for `.md`, JUnit for `.xml`, JSON otherwise.

    `convert` changes the commands in a text to the form that the user has to type; JSON has them unchanged.
    """
    if path.lower().endswith(".md"):
        from relnox.reporters import markdown

        return markdown.render(outcome, convert)
    if path.lower().endswith(".xml"):
        from relnox.reporters import junit

        return junit.render(outcome, convert)
    from relnox.reporters import json

    return json.render(outcome)
