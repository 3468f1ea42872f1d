"""What a configuration table may hold: checked with "did you mean", and told as a JSON schema.

A kind of value knows two things: how to check what TOML gave, and how JSON Schema (draft 7) says the same.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from relnox.core.records import Record
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from relnox.core.rules import Rule

__all__ = ["Each", "Flag", "Kind", "Number", "Several", "Table", "Text", "Texts", "did_you_mean"]

_LONGEST = 200
"""Characters of a value that an error shows."""


class Kind(Protocol):
    """A kind of value that may stand in a table."""

    def check(self, value: Any, key: str) -> Any:
        """The value as relnox uses it; `key` is its dotted name, for the message."""

    def schema(self) -> dict[str, Any]:
        """The same as JSON Schema."""


class Text(Record):
    """A string, or one of `choices`.

    Attributes:
        rule: Whether the string can work where it is used; see `core.rules`.
    """

    help: str
    choices: tuple[str, ...] = ()
    rule: Rule | None = None

    def check(self, value: Any, key: str) -> str:
        """See `Kind`."""
        if not isinstance(value, str):
            raise _wrong(key, "a string", value)
        if self.choices and value not in self.choices:
            raise Blocked(
                "todo",
                f'{key} = "{_shortened(value)}" is none of {", ".join(self.choices)}',
                fix=did_you_mean(value, self.choices),
            )
        _check_rule(self.rule, value, f"{key} = {_shown(value)}")
        return value

    def schema(self) -> dict[str, Any]:
        """See `Kind`."""
        choices = {"enum": list(self.choices)} if self.choices else {}
        return {"type": "string", "description": self.help} | choices


class Flag(Record):
    """True or false."""

    help: str

    def check(self, value: Any, key: str) -> bool:
        """See `Kind`."""
        if not isinstance(value, bool):
            raise _wrong(key, "true or false", value)
        return value

    def schema(self) -> dict[str, Any]:
        """See `Kind`."""
        return {"type": "boolean", "description": self.help}


class Number(Record):
    """A whole number that is not negative, and not larger than clocks and counters are."""

    help: str
    most: int = 1_000_000_000

    def check(self, value: Any, key: str) -> int:
        """See `Kind`."""
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise _wrong(key, "a whole number", value)
        if value > self.most:
            raise Blocked(
                "todo",
                f"{key} = {_shown(value)} is more than {self.most}",
                fix=f"use a number from 0 to {self.most}",
            )
        return value

    def schema(self) -> dict[str, Any]:
        """See `Kind`."""
        return {"type": "integer", "minimum": 0, "maximum": self.most, "description": self.help}


class Texts(Record):
    """A list of strings.

    Attributes:
        first: As the rule of a `Text`, for the first string.
    """

    help: str
    choices: tuple[str, ...] = ()
    first: Rule | None = None

    def check(self, value: Any, key: str) -> tuple[str, ...]:
        """See `Kind`."""
        if not isinstance(value, list):
            raise _wrong(key, "a list of strings", value)
        return tuple(
            Text(self.help, self.choices, None if number else self.first).check(each, f"{key}[{number}]")
            for number, each in enumerate(value)
        )

    def schema(self) -> dict[str, Any]:
        """See `Kind`."""
        items = Text(self.help, self.choices).schema() | {"description": self.help}
        return {"type": "array", "items": items, "description": self.help}


class Each(Record):
    """A table whose keys are names that the user chooses; every value is of one kind.

    Attributes:
        rule: What the names must be like; see `core.rules`.
    """

    help: str
    kind: Kind
    rule: Rule | None = None

    def check(self, value: Any, key: str) -> dict[str, Any]:
        """See `Kind`."""
        if not isinstance(value, dict):
            raise _wrong(key, "a table", value)
        for name in value:
            _check_rule(self.rule, name, f"the key {_shown(name)} of {key}")
        return {name: self.kind.check(each, f"{key}.{name}") for name, each in value.items()}

    def schema(self) -> dict[str, Any]:
        """See `Kind`."""
        return {"type": "object", "additionalProperties": self.kind.schema(), "description": self.help}


class Several(Record):
    """A list of values of one kind, as `[[…]]` writes a list of tables."""

    help: str
    kind: Kind

    def check(self, value: Any, key: str) -> tuple[Any, ...]:
        """See `Kind`."""
        if not isinstance(value, list):
            raise _wrong(key, "a list", value)
        return tuple(self.kind.check(each, f"{key}[{number}]") for number, each in enumerate(value))

    def schema(self) -> dict[str, Any]:
        """See `Kind`."""
        return {"type": "array", "items": self.kind.schema(), "description": self.help}


class Table(Record):
    """A table with known keys; an unknown one is an error that names the nearest.

    Attributes:
        elsewhere: Keys that are known but may not stand in a file, with the reason.
    """

    help: str
    keys: Mapping[str, Kind]
    required: tuple[str, ...] = ()
    elsewhere: Mapping[str, str] = MappingProxyType({})

    def check(self, value: Any, key: str) -> dict[str, Any]:
        """See `Kind`."""
        if not isinstance(value, dict):
            raise _wrong(key, "a table", value)
        for name in value:
            if name in self.elsewhere:
                raise Blocked(
                    "todo", f"{key}.{name} cannot be set in a file: {self.elsewhere[name]}", fix=f"remove {name}"
                )
            if name not in self.keys:
                raise Blocked("todo", f"{key} has no key {name!r}", fix=did_you_mean(name, self.keys))
        for name in self.required:
            if name not in value:
                raise Blocked("todo", f"{key} lacks the key {name!r}", fix=f"add {name} = … to [{key}]")
        return {name: self.keys[name].check(each, f"{key}.{name}") for name, each in value.items()}

    def schema(self) -> dict[str, Any]:
        """See `Kind`."""
        required = {"required": list(self.required)} if self.required else {}
        properties = {name: kind.schema() for name, kind in self.keys.items()}
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": properties,
            "description": self.help,
        } | required


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A fix: the nearest known name, or all of them."""
    every = sorted(known)
    import difflib  # only where it is needed: it is not quick to open

    close = difflib.get_close_matches(name, every, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(every)}"


def _check_rule(rule: Rule | None, text: str, what: str) -> None:
    if "\0" in text:
        raise Blocked("todo", f"{what} cannot work: it holds a NUL character", fix="remove the NUL character")
    if rule is not None and (problem := rule(text)) is not None:
        raise Blocked("todo", f"{what} cannot work: {problem.why}", fix=problem.fix)


def _wrong(key: str, expected: str, value: Any) -> Blocked:
    return Blocked("todo", f"{key} = {_shown(value)} is not {expected}", fix=f"write {expected} there")


def _shown(value: Any) -> str:
    """A value as it was written, or what there is to see of one that is too large."""
    try:
        return _shortened(repr(value))
    except (ValueError, RecursionError):  # a number of many thousand digits, or what holds one
        return f"a {type(value).__name__} that is too large to show"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
