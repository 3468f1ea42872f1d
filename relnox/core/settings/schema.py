"""The declaration of settings and options, as attributes of classes.

For example:

    class IndexConfig(Settings):
        '''A package index besides PyPI and TestPyPI.'''

        upload: str = required_setting("Its upload URL.")
        production: bool = setting(True, "Whether it is a production index.")

These declarations define how TOML is validated and converted, the flags of the command line, the environment
variables, the JSON schema (draft 7), docs/settings.md and docs/reference.md. Options of tasks are declared in the
same way; see `options`.

Front ends need the flags of all tasks whenever they start, so this module must not import anything slow.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, dataclass_transform

from relnox.core.records import Record, field_names, replace
from relnox.core.text import suggest_name
from relnox.errors import Blocked

if TYPE_CHECKING:
    from relnox.core.settings.rules import Rule

Source = Literal["file", "environment", "command line"]
Value = str | bool | int | tuple[str, ...] | None
"""The value of an option."""
EMPTY: Mapping[str, Any] = MappingProxyType({})
"""The default of settings that are tables."""
_MAX_SHOWN = 200
"""The maximum number of characters of a value shown in an error."""
_MAX_DIGITS = 100
"""The maximum number of digits that are parsed: Python refuses thousands of them with another error."""
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})


# --- kinds ---------------------------------------------------------------------------------------------


class SettingKind(Record, ABC):
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
        """Validate and convert a string from the command line or an environment variable.

        `where`, for messages, is the flag or variable with it.

        Raises:
            Blocked: The value is invalid.
        """
        return self.check(text, where)

    @abstractmethod
    def json_schema(self) -> dict[str, Any]:
        """Return the JSON schema (draft 7) of values in TOML, without the `rules` that strings must follow."""

    def wrong_type_error(self, value: Any, key: str) -> Blocked:
        """Return the error for a value of the wrong type; `key` is the setting, flag or variable that has it."""
        message = f"{key} = {_format_value(value)} is not {self.expected}"
        return Blocked("value-invalid", message, f"set {key} to {self.expected}")


class Flag(SettingKind):
    """A boolean.

    In an environment variable, `1`, `true`, `yes` and `on` are true; `0`, `false`, `no`, `off` and an empty string
    are false. Capital letters are accepted too.
    """

    expected = "true or false"

    def check(self, value: Any, key: str) -> bool:
        if not isinstance(value, bool):
            raise self.wrong_type_error(value, key)
        return value

    def parse(self, text: str, where: str) -> bool:
        if text.lower() not in _TRUE | _FALSE:
            raise self.wrong_type_error(text, where)
        return text.lower() in _TRUE

    def json_schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


class Number(SettingKind):
    """A whole number from 0 to a maximum."""

    expected = "a whole number"

    maximum: int = 1_000_000_000

    def check(self, value: Any, key: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.wrong_type_error(value, key)
        if value > self.maximum:
            message = f"{key} = {_format_value(value)} is greater than {self.maximum}"
            raise Blocked("value-invalid", message, f"use a number from 0 to {self.maximum}")
        return value

    def parse(self, text: str, where: str) -> int:
        if not (text.isascii() and text.isdecimal()):
            raise self.wrong_type_error(text, where)
        return self.check(int(text[:_MAX_DIGITS]), where)

    def json_schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": 0, "maximum": self.maximum}


class Text(SettingKind):
    """A string.

    Attributes:
        choices: The valid strings; empty if any string is valid.
        rule: Returns the problem with a string, or None if it is valid; see `rules`.
        convert: Converts a valid string to the value of the setting.
    """

    expected = "a string"

    choices: tuple[str, ...] = ()
    rule: Rule | None = None
    convert: Callable[[str], str] = str

    def check(self, value: Any, key: str) -> str:
        if not isinstance(value, str):
            raise self.wrong_type_error(value, key)
        return self.check_text(value, f"{key} = {_format_value(value)}")

    def check_text(self, text: str, what: str) -> str:
        """Validate and convert a string, or raise `Blocked`; `what` names it in the message, as in `key = 'x'`."""
        if "\0" in text:
            message = f"{what} is not valid: it contains a NUL character"
            raise Blocked("value-invalid", message, "remove the NUL character")
        if self.choices and text not in self.choices:
            message = f"{what} is not one of {', '.join(self.choices)}"
            raise Blocked("value-invalid", message, suggest_name(text, self.choices))
        if self.rule is not None and (problem := self.rule(text)) is not None:
            raise problem.but(message=f"{what} is not valid: {problem.message}")
        return self.convert(text)

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string"} | ({"enum": list(self.choices)} if self.choices else {})


class PathText(Text):
    """The kind of a path, whose value is a string.

    A relative path on the command line is relative to the working directory, any other one to the project's root.
    """


class ListOf(SettingKind):
    """A list of values of the same kind; in an environment variable, commas or white space separate them.

    Attributes:
        first: An additional rule for the first value, which must be a string; None for no such rule.
        may_be_empty: Whether the list may have no values.
        contains: What at least one of the strings must contain; empty for no such requirement.
    """

    item: SettingKind
    first: Rule | None = None
    may_be_empty: bool = True
    contains: str = ""

    @property
    def expected(self) -> str:  # type: ignore[override]  # it depends on the items
        """What a valid value is, for messages, such as `a list of strings`."""
        return f"a list of {self.item.plural}"

    def check(self, value: Any, key: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise self.wrong_type_error(value, key)
        if not value and not self.may_be_empty:
            raise Blocked("value-invalid", f"{key} is not valid: it is empty", f"set {key}, or remove it")
        if value and self.first is not None:
            Text(rule=self.first).check(value[0], f"{key}[0]")
        if self.contains and not any(self.contains in str(item) for item in value):
            message = f"{key} is not valid: no word of it contains {self.contains}"
            raise Blocked("value-invalid", message, f"write {self.contains} where the program expects that value")
        return tuple(self.item.check(item, f"{key}[{number}]") for number, item in enumerate(value))

    def parse(self, text: str, where: str) -> tuple[Any, ...]:
        return tuple(self.item.parse(word, where) for word in text.replace(",", " ").split())

    def json_schema(self) -> dict[str, Any]:
        return {"type": "array", "items": self.item.json_schema()} | ({} if self.may_be_empty else {"minItems": 1})


class TableOf(SettingKind):
    """A table with arbitrary keys, whose values all have the same kind.

    Attributes:
        keys: The kind that validates and converts each key.
    """

    expected = "a table"

    item: SettingKind
    keys: Text = Text()

    def check(self, value: Any, key: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.wrong_type_error(value, key)
        names: dict[str, str] = {}
        for name in value:
            converted = self.keys.check_text(name, f"the key {_format_value(name)} of {key}")
            if (other := names.setdefault(converted, name)) != name:
                message = f"{key} names {other} twice, the second time as {name}"
                raise Blocked("setting-invalid", message, f"remove {name} from {key}")
        return {converted: self.item.check(value[name], f"{key}.{name}") for converted, name in names.items()}

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON schema, which accepts any key: it leaves out the validation by `keys`."""
        return {"type": "object", "additionalProperties": self.item.json_schema()}


class Table(SettingKind):
    """A table with known keys, which is converted to an instance of a subclass of `Settings`.

    Attributes:
        settings: The subclass.
        fields: The fields whose keys are allowed; empty for those of the subclass. The values of fields that the
            subclass does not have are collected in a dict by field name, the attribute `options` of the instance.
    """

    expected = "a table"
    plural = "tables"

    settings: type[Settings]
    fields: tuple[Field, ...] = ()

    @property
    def keys(self) -> dict[str, Field]:
        """Maps each allowed key, as written in TOML, to its field."""
        return {field.key: field for field in self.fields or fields_of(self.settings)}

    def check(self, value: Any, key: str) -> Any:
        if not isinstance(value, dict):
            raise self.wrong_type_error(value, key)
        keys = self.keys
        for name in value:
            if name not in keys:
                valid = [name for name, field in keys.items() if "file" in field.sources]
                raise Blocked("setting-invalid", f"{key} has no key {name!r}", suggest_name(name, valid))
            if "file" not in keys[name].sources:
                places = " and in the environment" if "environment" in keys[name].sources else ""
                message = f"{key}.{name} is set, but {keys[name].flag} can be set on the command line{places} only"
                raise Blocked("command-line-only", message, f"remove {name} from [{key}]")
        for name, field in keys.items():
            if field.is_required and name not in value:
                raise Blocked("setting-invalid", f"{key} requires the key {name!r}", f"add {name} = … to [{key}]")
        checked = {keys[name].name: keys[name].kind.check(item, f"{key}.{name}") for name, item in value.items()}
        own = {name: checked.pop(name) for name in field_names(self.settings) if name in checked}
        return self.settings(**own, options=checked) if checked else self.settings(**own)

    def json_schema(self) -> dict[str, Any]:
        fields = [field for field in self.keys.values() if "file" in field.sources]
        required_keys = [field.key for field in fields if field.is_required]
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": {field.key: field.json_schema() for field in fields},
            "description": self.settings.summary(),
        } | ({"required": required_keys} if required_keys else {})


def _format_value(value: Any) -> str:
    """Return the `repr` of a value for a message, cut after `_MAX_SHOWN` characters."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of many thousand digits, or a list of such numbers
        return f"a {type(value).__name__} (too large to show)"
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


# --- declarations --------------------------------------------------------------------------------------


_REQUIRED = object()
"""Stands for the missing default of a required field."""


class Field(Record):
    """A setting or an option, declared as an attribute of a subclass of `Settings`.

    Attributes:
        default: The value if it is set nowhere.
        help: One sentence for help texts.
        sources: Where the value may be set: in a TOML file, in the environment, or on the command line.
        otherwise: What applies if the value is not set, for the reference documentation; or empty.
        metavar: The placeholder for the value in help texts; if empty, the name.
        short: The short flag, such as `-n`, or an empty string.
        setting: The setting of another task, such as `build.output`, that sets this option if the task's own table
            does not; or empty.
        name: The name of the attribute.
    """

    default: Any
    help: str
    kind: SettingKind
    sources: tuple[Source, ...]
    otherwise: str = ""
    metavar: str = ""
    short: str = ""
    setting: str = ""
    name: str = ""

    def __set_name__(self, owner: type, name: str) -> None:
        vars(self)["name"] = name  # records do not change, except here

    def __get__(self, instance: object | None, owner: type) -> Any:
        if self.is_required:  # such as for an annotation without a value
            raise AttributeError(self.name)
        return self if instance is None else self.default

    @property
    def is_required(self) -> bool:
        """Whether the setting has no default, so that its table must contain it."""
        return self.default is _REQUIRED

    @property
    def is_flag(self) -> bool:
        """Whether the value is a boolean."""
        return isinstance(self.kind, Flag)

    @property
    def is_list(self) -> bool:
        """Whether the value is a list, so that the flag may be repeated."""
        return isinstance(self.kind, ListOf)

    @property
    def choices(self) -> tuple[str, ...]:
        """The valid strings, or the valid items of a list or values of a table; empty if any string is valid."""
        choices: tuple[str, ...] = getattr(getattr(self.kind, "item", self.kind), "choices", ())
        return choices

    @property
    def description(self) -> str:
        """The help text, followed by the choices, if any, and the default, unless it is a boolean or empty."""
        words = [self.help]
        if self.choices:
            words.append(f"One of {', '.join(self.choices)}.")
        if self.default not in (None, False, True, (), ""):
            words.append(f"Default: {self.default}.")
        return " ".join(words)

    @property
    def key(self) -> str:
        """The key in TOML, such as `tag-format` for the attribute `tag_format`.

        Trailing underscores are removed, since they only avoid keywords of Python.
        """
        return self.name.rstrip("_").replace("_", "-")

    @property
    def flag(self) -> str:
        """The flag on the command line, such as `--dry-run`."""
        return f"--{self.key}"

    @property
    def negative_flag(self) -> str | None:
        """The flag that sets a boolean option to false, such as `--no-tag`.

        None if the option is not boolean, or can only be true if its flag is passed.
        """
        return f"--no-{self.key}" if self.is_flag and ("file" in self.sources or self.default) else None

    @property
    def environment_variable(self) -> str:
        """The name of the environment variable for the option, such as `RELNOX_REPORT`.

        An option with `setting` has the variable that is named after that setting. The variable is read only if
        `sources` has `environment`.
        """
        name = self.setting.rpartition(".")[2] or self.name.rstrip("_")
        return f"RELNOX_{name.upper()}"

    def parse(self, text: str) -> Any:
        """Validate and convert a value of the flag (for a list, one item); raise `Blocked` if it is invalid."""
        kind = self.kind.item if isinstance(self.kind, ListOf) else self.kind
        return kind.parse(text, self.flag)

    def accepting_options(self, options: Sequence[Field]) -> Field:
        """Return a copy of this field for a table such as `[tool.relnox.build]`, which may also set these options.

        The field's default must be an instance of the class that declares the other keys of the table.
        """
        settings = type(self.default)
        return replace(self, kind=Table(settings, (*fields_of(settings), *options)))

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON schema of the setting, with its help text and, unless it is empty, its default."""
        default = list(self.default) if isinstance(self.default, tuple) else self.default
        is_constant = default not in (None, [], "") and isinstance(default, bool | int | str | list)
        return self.kind.json_schema() | {"description": self.help} | ({"default": default} if is_constant else {})


def kind_of_default(default: Any, choices: tuple[str, ...], rule: Rule | None = None) -> SettingKind:
    """Return the kind of a setting with this default: a table, a boolean, a number, a list of strings or a string.

    A tuple stands for a list of strings, None for a string. `choices` and `rule` are those of the string, or of
    each item of the list; other kinds ignore them.
    """
    if isinstance(default, Settings):
        return Table(type(default))
    if isinstance(default, int):
        return Flag() if isinstance(default, bool) else Number()
    text = Text(choices, rule)
    return ListOf(text) if isinstance(default, tuple) else text


def setting(  # noqa: PLR0913 - a declaration is read by its keywords
    default: Any,
    help: str,  # noqa: A002 - as in argparse and invoke
    kind: SettingKind | None = None,
    *,
    choices: tuple[str, ...] = (),
    rule: Rule | None = None,
    otherwise: str = "",
) -> Any:
    """Declare a setting of `[tool.relnox]` or of a table in it; return it as a `Field`.

    If `kind` is None, the default implies it (`kind_of_default`); otherwise `choices` and `rule` are ignored. They
    are those of the string, or of each item of a list. For `help` and `otherwise` see `Field`.
    """
    return Field(
        default, help, kind or kind_of_default(default, choices, rule), sources=("file",), otherwise=otherwise
    )


def required_setting(help: str, kind: SettingKind | None = None) -> Any:  # noqa: A002 - as above
    """Declare a setting that its table must contain; return it as a `Field`.

    If `kind` is None, the value is any string. For `help` see `Field`.
    """
    return Field(_REQUIRED, help, kind or Text(), sources=("file",))


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(required_setting,))
class Settings(Record, kw_only=True):
    """Base class of classes whose attributes are declared as fields.

    Instances only store the values that were set; other attributes have the defaults of the class.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__(kw_only=True)

    @classmethod
    def summary(cls) -> str:
        """Return the first line of the docstring of the class."""
        return (cls.__doc__ or "").partition("\n")[0]

    def is_set(self, name: str) -> bool:
        """Return whether a value was set for the field of this name, even if it equals the default."""
        return name in vars(self)


def fields_of(settings: type[Settings]) -> tuple[Field, ...]:
    """Return the fields that a class declares, in that order, followed by those of its base classes."""
    return tuple(value for kind in settings.__mro__ for value in vars(kind).values() if isinstance(value, Field))
