"""The schema of configuration tables: validation of TOML values, and export as JSON Schema (draft 7)."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from relnox.core.records import Record
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from relnox.core.settings.rules import Rule

__all__ = ["Flag", "Kind", "ListOf", "Number", "Table", "TableOf", "Text", "Texts", "did_you_mean"]

_MAX_SHOWN = 200
"""Maximum number of characters of a value in an error."""


class Kind(Protocol):
    """A type of value in a table."""

    def check(self, value: Any, key: str) -> Any:
        """Validate and convert a value; `key` is its dotted name, for the message."""

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema."""


class Text(Record):
    """A string, or one of `choices`.

    Attributes:
        rule: A rule for the string; see `core.settings.rules`.
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
                "invalid-value",
                f'{key} = "{_shortened(value)}" is not one of {", ".join(self.choices)}',
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
    """A whole number from 0 to a maximum."""

    help: str
    maximum: int = 1_000_000_000

    def check(self, value: Any, key: str) -> int:
        """See `Kind`."""
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise _wrong(key, "a whole number", value)
        if value > self.maximum:
            raise Blocked(
                "invalid-value",
                f"{key} = {_shown(value)} is greater than {self.maximum}",
                fix=f"use a number from 0 to {self.maximum}",
            )
        return value

    def schema(self) -> dict[str, Any]:
        """See `Kind`."""
        return {"type": "integer", "minimum": 0, "maximum": self.maximum, "description": self.help}


class Texts(Record):
    """A list of strings.

    Attributes:
        first: A rule for the first string.
    """

    help: str
    choices: tuple[str, ...] = ()
    first: Rule | None = None

    def check(self, value: Any, key: str) -> tuple[str, ...]:
        """See `Kind`."""
        if not isinstance(value, list):
            raise _wrong(key, "a list of strings", value)
        return tuple(
            Text(self.help, self.choices, None if number else self.first).check(item, f"{key}[{number}]")
            for number, item in enumerate(value)
        )

    def schema(self) -> dict[str, Any]:
        """See `Kind`."""
        items = Text(self.help, self.choices).schema() | {"description": self.help}
        return {"type": "array", "items": items, "description": self.help}


class TableOf(Record):
    """A table with any keys, whose values are of one type.

    Attributes:
        rule: A rule for the keys; see `core.settings.rules`.
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
        return {name: self.kind.check(item, f"{key}.{name}") for name, item in value.items()}

    def schema(self) -> dict[str, Any]:
        """See `Kind`."""
        return {"type": "object", "additionalProperties": self.kind.schema(), "description": self.help}


class ListOf(Record):
    """A list of values of one type, such as an array of tables (`[[…]]`)."""

    help: str
    kind: Kind

    def check(self, value: Any, key: str) -> tuple[Any, ...]:
        """See `Kind`."""
        if not isinstance(value, list):
            raise _wrong(key, "a list", value)
        return tuple(self.kind.check(item, f"{key}[{number}]") for number, item in enumerate(value))

    def schema(self) -> dict[str, Any]:
        """See `Kind`."""
        return {"type": "array", "items": self.kind.schema(), "description": self.help}


class Table(Record):
    """A table with known keys.

    Attributes:
        elsewhere: Names that cannot be set in a file, with the reason.
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
                    "command-line-only",
                    f"{key}.{name} cannot be set in a file: {self.elsewhere[name]}",
                    fix=f"remove {name}",
                )
            if name not in self.keys:
                raise Blocked("unknown-setting", f"{key} has no key {name!r}", fix=did_you_mean(name, self.keys))
        for name in self.required:
            if name not in value:
                raise Blocked(
                    "missing-setting", f"{key} requires the key {name!r}", fix=f"add {name} = … to [{key}]"
                )
        return {name: self.keys[name].check(item, f"{key}.{name}") for name, item in value.items()}

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


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return a fix with the most similar known name, or with all of them."""
    choices = sorted(names)
    import difflib  # imported lazily: it is slow to import

    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"choose one of {', '.join(choices)}"


def _check_rule(rule: Rule | None, text: str, what: str) -> None:
    if "\0" in text:
        raise Blocked(
            "invalid-value", f"{what} is not valid: it contains a NUL character", fix="remove the NUL character"
        )
    if rule is not None and (problem := rule(text)) is not None:
        raise Blocked("invalid-value", f"{what} is not valid: {problem.why}", fix=problem.fix)


def _wrong(key: str, expected: str, value: Any) -> Blocked:
    return Blocked("invalid-value", f"{key} = {_shown(value)} is not {expected}", fix=f"set {key} to {expected}")


def _shown(value: Any) -> str:
    """Return a value as text, shortened if it is long."""
    try:
        return _shortened(repr(value))
    except (ValueError, RecursionError):  # a number of many thousand digits, or a list of such numbers
        return f"a {type(value).__name__} (too large to show)"


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
