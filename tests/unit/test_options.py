"""Options: declared once, merged sparsely, and each value knows where it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relnox.commands import COMMANDS, TASKS
from relnox.core.settings.options import CommonOptions, option, resolve_option_values
from relnox.core.settings.schema import Table, fields_of
from relnox.errors import Blocked

if TYPE_CHECKING:
    from relnox.core.settings.schema import Value


class Options(CommonOptions):
    """One option of each kind."""

    colour: str = option("red", "A colour.", choices=("red", "green", "blue"), metavar="COLOUR", anywhere=True)
    directory: str | None = option(None, "A directory.", metavar="DIR", anywhere=True)
    count: int = option(3, "How many.", anywhere=True)
    loud: bool = option(False, "Whether to shout.", anywhere=True)
    quick: bool = option(True, "Whether to hurry.", anywhere=True)
    name: tuple[str, ...] = option((), "Names.", anywhere=True)
    consent: bool = option(False, "Whether it is meant.")
    from_: str | None = option(None, "Where from.")


TABLE = Table(Options)


def resolved(**given: Any) -> Options:
    sources: dict[str, Any] = {"command_line": {}, "environment": {}, "file": {}} | given
    return resolve_option_values(Options, **sources)


def test_the_nearest_place_sets_each_value() -> None:
    options = resolved(
        file={"colour": "green", "count": 5, "loud": True, "quick": False},
        environment={"RELNOX_COUNT": "7", "RELNOX_LOUD": "off", "RELNOX_NAME": "a, b c", "HOME": "elsewhere"},
        command_line={"loud": True, "consent": True},
    )

    assert options == Options(colour="green", count=7, loud=True, quick=False, name=("a", "b", "c"), consent=True)


@given(
    command_line=st.none() | st.booleans(),
    environment=st.none() | st.booleans(),
    file=st.none() | st.booleans(),
)
def test_the_nearest_source_that_says_something_wins(
    *, command_line: bool | None, environment: bool | None, file: bool | None
) -> None:
    options = resolved(
        command_line={} if command_line is None else {"quick": command_line},
        environment={} if environment is None else {"RELNOX_QUICK": str(environment)},
        file={} if file is None else {"quick": file},
    )

    values = (value for value in (command_line, environment, file) if value is not None)
    assert options.quick is next(values, True)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("TRUE", True), ("yes", True), ("On", True), ("0", False), ("no", False), ("", False)],
)
def test_a_variable_may_be_a_switch(text: str, value: object) -> None:
    assert resolved(environment={"RELNOX_LOUD": text}).loud is value


@pytest.mark.parametrize(
    ("variable", "value", "message", "fix"),
    [
        ("RELNOX_LOUD", "maybe", "RELNOX_LOUD = 'maybe' is not true or false", "set RELNOX_LOUD to true or false"),
        ("RELNOX_COUNT", "-1", "RELNOX_COUNT = '-1' is not a whole number", "set RELNOX_COUNT to a whole number"),
        (
            "RELNOX_COLOUR",
            "gren",
            "RELNOX_COLOUR = 'gren' is not one of red, green, blue",
            "did you mean green?",
        ),
        (
            "RELNOX_CONSENT",
            "1",
            "RELNOX_CONSENT is set, but --consent can be set on the command line only",
            "unset RELNOX_CONSENT",
        ),
        # That it would agree with the default does not make it valid.
        (
            "RELNOX_CONSENT",
            "0",
            "RELNOX_CONSENT is set, but --consent can be set on the command line only",
            "unset RELNOX_CONSENT",
        ),
    ],
)
def test_a_wrong_variable_is_refused(variable: str, value: str, message: str, fix: str) -> None:
    with pytest.raises(Blocked) as refused:
        resolved(environment={variable: value})
    assert (refused.value.message, refused.value.fix) == (message, fix)


def test_a_files_table_has_what_a_file_may_set() -> None:
    assert set(TABLE.json_schema()["properties"]) == {
        "colour",
        "directory",
        "count",
        "loud",
        "quick",
        "name",
        "reporter",
        "verbose",
        "quiet",
    }


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("colour", "gren", "tool.relnox.paint.colour = 'gren' is not one of red, green, blue"),
        ("count", True, "tool.relnox.paint.count = True is not a whole number"),
        ("loud", 1, "tool.relnox.paint.loud = 1 is not true or false"),
        ("name", "a", "tool.relnox.paint.name = 'a' is not a list of strings"),
        (
            "consent",
            True,
            "tool.relnox.paint.consent is set, but --consent can be set on the command line only",
        ),
        ("colours", "red", "tool.relnox.paint has no key 'colours'"),
    ],
)
def test_a_files_table_checks_by_the_same_declaration(key: str, value: object, message: str) -> None:
    with pytest.raises(Blocked) as refused:
        TABLE.check({key: value}, "tool.relnox.paint")
    assert refused.value.message == message


@pytest.mark.parametrize("task", TASKS)
def test_what_chooses_or_consents_is_the_command_lines(task: str) -> None:
    reserved = {
        "index",
        "package",
        "yes",
        "allow_branch",
        "to",
        "part",
        "pre",
        "allow_lower",
        "all",
        "clear",
        "abort",
    }
    reserved |= {"dry_run", "plan", "project"}

    settable = {each.name for each in fields_of(TASKS[task].options) if each.sources != ("command line",)}
    assert settable.isdisjoint(reserved)


@pytest.mark.parametrize("task", [*TASKS, "init"])
def test_every_declaration_is_sound(task: str) -> None:
    declared = fields_of(COMMANDS[task].options)

    assert len({each.name for each in declared}) == len(declared)
    spelled = [flag for each in declared for flag in (each.flag, each.negative_flag) if flag]
    assert len(set(spelled)) == len(spelled)
    for each in declared:
        value: Value = each.default
        assert (
            value is None
            or each.kind.check(list(value) if isinstance(value, tuple) else value, each.name) == value
        )
        assert not each.choices or value in (None, ()) or value in each.choices
        assert each.help.endswith(".")


def test_no_variable_can_be_taken_for_a_credential() -> None:
    variables = {each.environment_variable for task in TASKS for each in fields_of(TASKS[task].options)}

    # RELNOX_<INDEX>_TOKEN and its like are names of secrets.
    assert not {name for name in variables if name.endswith(("_TOKEN", "_PASSWORD", "_USERNAME"))}
