"""Kinds of values: the validation and conversion of settings and options."""

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
"""Characters of a value in an error."""
_MAX_DIGITS = 100
"""Digits of a number that are parsed: Python converts only some thousands, and every maximum is far below."""
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})


class Kind(Record, ABC):
    """The type of a setting: validates and converts its values."""

    expected = ""
    """A valid value, in messages."""
    plural = "strings"
    """Several values, in messages."""

    @abstractmethod
    def check(self, value: Any, key: str) -> Any:
        """Validate and convert a value of TOML.

        Args:
            value: The value.
            key: Its dotted name, for the message.

        Raises:
            Blocked: It is not valid.
        """

    def parse(self, text: str, where: str) -> Any:
        """Validate and convert a string from the command line or an environment variable.

        Args:
            text: The text.
            where: The flag or the variable, for the message.

        Raises:
            Blocked: It is not valid.
        """
        return self.check(text, where)

    def invalid(self, value: Any, key: str) -> Blocked:
        """Return the error for a value of another type."""
        return Blocked(
            "value-invalid",
            f"{key} = {shown(value)} is not {self.expected}",
            fix=f"set {key} to {self.expected}",
        )


class Flag(Kind):
    """True or false."""

    expected = "true or false"

    def check(self, value: Any, key: str) -> bool:
        """See `Kind`."""
        if not isinstance(value, bool):
            raise self.invalid(value, key)
        return value

    def parse(self, text: str, where: str) -> bool:
        """See `Kind`; 1, yes and on are true as well, and the empty text is false."""
        if text.lower() not in _TRUE | _FALSE:
            raise self.invalid(text, where)
        return text.lower() in _TRUE


class Number(Kind):
    """A whole number from 0 to a maximum."""

    expected = "a whole number"

    maximum: int = 1_000_000_000

    def check(self, value: Any, key: str) -> int:
        """See `Kind`."""
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.invalid(value, key)
        if value > self.maximum:
            raise Blocked(
                "value-invalid",
                f"{key} = {shown(value)} is greater than {self.maximum}",
                fix=f"use a number from 0 to {self.maximum}",
            )
        return value

    def parse(self, text: str, where: str) -> int:
        """See `Kind`."""
        if not text.isdecimal():
            raise self.invalid(text, where)
        return self.check(int(text[:_MAX_DIGITS]), where)


class Text(Kind):
    """A string.

    Attributes:
        choices: Its valid values; empty for any.
        rule: A rule for it; see `rules`.
        convert: Makes the value from a valid string.
    """

    expected = "a string"

    choices: tuple[str, ...] = ()
    rule: Rule | None = None
    convert: Callable[[str], str] = str

    def check(self, value: Any, key: str) -> str:
        """See `Kind`."""
        if not isinstance(value, str):
            raise self.invalid(value, key)
        return self.check_text(value, f"{key} = {shown(value)}")

    def check_text(self, text: str, what: str) -> str:
        """Validate and convert a string; `what` names it in messages."""
        if "\0" in text:
            raise Blocked(
                "value-invalid",
                f"{what} is not valid: it contains a NUL character",
                fix="remove the NUL character",
            )
        if self.choices and text not in self.choices:
            raise Blocked(
                "value-invalid",
                f"{what} is not one of {', '.join(self.choices)}",
                fix=did_you_mean(text, self.choices),
            )
        if self.rule is not None and (invalid := self.rule(text)) is not None:
            raise Blocked("value-invalid", f"{what} is not valid: {invalid.why}", fix=invalid.fix)
        return self.convert(text)


class ListOf(Kind):
    """A list of values of one kind.

    Attributes:
        item: Their kind.
        first: A rule for the first value, which is a string.
    """

    item: Kind
    first: Rule | None = None

    @property
    def expected(self) -> str:  # type: ignore[override]  # it depends on the items
        """A valid value, in messages."""
        return f"a list of {self.item.plural}"

    def check(self, value: Any, key: str) -> tuple[Any, ...]:
        """See `Kind`."""
        if not isinstance(value, list):
            raise self.invalid(value, key)
        if value and self.first is not None:
            Text(rule=self.first).check(value[0], f"{key}[0]")
        return tuple(self.item.check(item, f"{key}[{number}]") for number, item in enumerate(value))

    def parse(self, text: str, where: str) -> tuple[Any, ...]:
        """See `Kind`; values are separated by commas or blanks."""
        return tuple(self.item.parse(word, where) for word in text.replace(",", " ").split())


class TableOf(Kind):
    """A table with any keys, whose values are of one kind.

    Attributes:
        item: The kind of the values.
        keys: The kind of the keys.
    """

    expected = "a table"

    item: Kind
    keys: Text = Text()

    def check(self, value: Any, key: str) -> dict[str, Any]:
        """See `Kind`."""
        if not isinstance(value, dict):
            raise self.invalid(value, key)
        names: dict[str, str] = {}
        for name in value:
            converted = self.keys.check_text(name, f"the key {shown(name)} of {key}")
            if (other := names.setdefault(converted, name)) != name:
                raise Blocked(
                    "setting-twice",
                    f"{key} names {other} twice, as {name} too",
                    fix=f"remove {name} from {key}",
                )
        return {converted: self.item.check(value[name], f"{key}.{name}") for converted, name in names.items()}


def shown(value: Any) -> str:
    """Return a value as text, shortened if it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of many thousand digits, or a list of such numbers
        return f"a {type(value).__name__} (too large to show)"
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
