"""The kinds of settings and options: classes that validate and convert their values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from relnox.core.records import Record
from relnox.core.text import did_you_mean
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Callable

    from relnox.core.settings.rules import Rule

_MAX_SHOWN = 200
"""The maximum number of characters of a value shown in an error."""
_MAX_DIGITS = 100
"""The maximum number of parsed digits: Python refuses a few thousand, and all allowed numbers are far shorter."""
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})


class Kind(Record, ABC):
    """The kind of a setting, which validates and converts its values."""

    expected = ""
    """What a valid value is, for messages, such as `a string`."""
    plural = "strings"
    """What several values are called in messages, such as `strings`."""

    @abstractmethod
    def check(self, value: Any, key: str) -> Any:
        """Validate and convert a value from a TOML file; `key` is the dotted key of the setting, for messages.

        Raises:
            Blocked: The value is invalid.
        """

    def parse(self, text: str, where: str) -> Any:
        """Validate and convert a string from a flag or an environment variable, `where`; see `check`."""
        return self.check(text, where)

    def invalid(self, value: Any, key: str) -> Blocked:
        """Return the error for a value of the wrong type."""
        message = f"{key} = {shorten_value(value)} is not {self.expected}"
        return Blocked("value-invalid", message, fix=f"set {key} to {self.expected}")


class Flag(Kind):
    """A boolean."""

    expected = "true or false"

    def check(self, value: Any, key: str) -> bool:
        """Validate and convert a value; see `Kind.check`."""
        if not isinstance(value, bool):
            raise self.invalid(value, key)
        return value

    def parse(self, text: str, where: str) -> bool:
        """Convert a string such as `true` or `no`; 1, yes and on are true, and an empty string is false."""
        if text.lower() not in _TRUE | _FALSE:
            raise self.invalid(text, where)
        return text.lower() in _TRUE


class Number(Kind):
    """A whole number from 0 to a maximum."""

    expected = "a whole number"

    maximum: int = 1_000_000_000

    def check(self, value: Any, key: str) -> int:
        """Validate and convert a value; see `Kind.check`."""
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.invalid(value, key)
        if value > self.maximum:
            message = f"{key} = {shorten_value(value)} is greater than {self.maximum}"
            raise Blocked("value-invalid", message, fix=f"use a number from 0 to {self.maximum}")
        return value

    def parse(self, text: str, where: str) -> int:
        """Validate and convert a string; see `Kind.parse`."""
        if not (text.isascii() and text.isdecimal()):
            raise self.invalid(text, where)
        return self.check(int(text[:_MAX_DIGITS]), where)


class Text(Kind):
    """A string.

    Attributes:
        choices: The valid strings; empty if any string is valid.
        rule: Checks the string; see `rules`.
        convert: Converts a valid string to the value of the setting.
    """

    expected = "a string"

    choices: tuple[str, ...] = ()
    rule: Rule | None = None
    convert: Callable[[str], str] = str

    def check(self, value: Any, key: str) -> str:
        """Validate and convert a value; see `Kind.check`."""
        if not isinstance(value, str):
            raise self.invalid(value, key)
        return self.check_text(value, f"{key} = {shorten_value(value)}")

    def check_text(self, text: str, what: str) -> str:
        """Validate and convert a string, to which messages refer as `what`."""
        if "\0" in text:
            reason = "it contains a NUL character"
            raise Blocked("value-invalid", f"{what} is not valid: {reason}", fix="remove the NUL character")
        if self.choices and text not in self.choices:
            message = f"{what} is not one of {', '.join(self.choices)}"
            raise Blocked("value-invalid", message, fix=did_you_mean(text, self.choices))
        if self.rule is not None and (invalid := self.rule(text)) is not None:
            raise Blocked("value-invalid", f"{what} is not valid: {invalid.why}", fix=invalid.fix)
        return self.convert(text)


class PathText(Text):
    """A path: on the command line it is relative to the working directory, otherwise to the project's root."""


class ListOf(Kind):
    """A list of values of the same kind.

    Attributes:
        first: An additional rule for the first value, which must be a string.
        may_be_empty: Whether the list may have no values.
    """

    item: Kind
    first: Rule | None = None
    may_be_empty: bool = True

    @property
    def expected(self) -> str:  # type: ignore[override]  # it depends on the items
        """What a valid value is, for messages."""
        return f"a list of {self.item.plural}"

    def check(self, value: Any, key: str) -> tuple[Any, ...]:
        """Validate and convert a value; see `Kind.check`."""
        if not isinstance(value, list):
            raise self.invalid(value, key)
        if not value and not self.may_be_empty:
            raise Blocked("value-invalid", f"{key} is not valid: it is empty", fix=f"set {key}, or remove it")
        if value and self.first is not None:
            Text(rule=self.first).check(value[0], f"{key}[0]")
        return tuple(self.item.check(item, f"{key}[{number}]") for number, item in enumerate(value))

    def parse(self, text: str, where: str) -> tuple[Any, ...]:
        """Validate and convert a string with values that are separated by commas or white space."""
        return tuple(self.item.parse(word, where) for word in text.replace(",", " ").split())


class TableOf(Kind):
    """A table with arbitrary keys, whose values are of the same kind."""

    expected = "a table"

    item: Kind
    keys: Text = Text()

    def check(self, value: Any, key: str) -> dict[str, Any]:
        """Validate and convert a value; see `Kind.check`."""
        if not isinstance(value, dict):
            raise self.invalid(value, key)
        names: dict[str, str] = {}
        for name in value:
            converted = self.keys.check_text(name, f"the key {shorten_value(name)} of {key}")
            if (other := names.setdefault(converted, name)) != name:
                raise Blocked(
                    "setting-invalid",
                    f"{key} names {other} twice, the second time as {name}",
                    fix=f"remove {name} from {key}",
                )
        return {converted: self.item.check(value[name], f"{key}.{name}") for converted, name in names.items()}


def shorten_value(value: Any) -> str:
    """Return a value as text for a message, shortened if it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of many thousand digits, or a list of such numbers
        return f"a {type(value).__name__} (too large to show)"
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
