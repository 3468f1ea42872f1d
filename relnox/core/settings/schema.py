"""The declaration of settings and options, as attributes of classes.

For example:

    class IndexConfig(Settings):
        '''A package index besides PyPI and TestPyPI.'''

        upload: str = required("Its upload URL.")
        production: bool = setting(True, "Whether it is a production index.")

These declarations define how TOML is validated and converted, the flags of the command line, the environment
variables, the JSON schema (draft 7), docs/settings.md and docs/reference.md. Options of tasks are declared in the
same way; see `options`.

Front ends need the flags of all tasks whenever they start, so this module must not import anything slow.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, dataclass_transform

from relnox.core.records import Record, field_names, replace
from relnox.core.settings.kinds import Flag, Kind, ListOf, Number, TableOf, Text
from relnox.core.text import did_you_mean
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relnox.core.settings.rules import Rule

    Source = Literal["file", "environment", "command line"]

Value = str | bool | int | tuple[str, ...] | None
"""The value of an option."""
EMPTY: Mapping[str, Any] = MappingProxyType({})
"""The default of settings that are tables."""


class Table(Kind):
    """A table with known keys, which is converted to an instance of a class.

    Attributes:
        settings: The class.
        fields: The allowed keys, if they are not just the fields of the class. The values of other fields become
            the attribute `options` of the instance.
    """

    expected = "a table"
    plural = "tables"

    settings: type[Settings]
    fields: tuple[Field, ...] = ()

    @property
    def keys(self) -> dict[str, Field]:
        """Maps each key to its field."""
        return {field.key: field for field in self.fields or fields_of(self.settings)}

    def check(self, value: Any, key: str) -> Any:
        """Validate and convert a value; see `Kind.check`."""
        if not isinstance(value, dict):
            raise self.invalid(value, key)
        keys = self.keys
        for name in value:
            if name not in keys:
                valid = [name for name, field in keys.items() if "file" in field.sources]
                raise Blocked("setting-invalid", f"{key} has no key {name!r}", fix=did_you_mean(name, valid))
            if "file" not in keys[name].sources:
                raise Blocked(
                    "command-line-only",
                    f"{key}.{name} is set, but {keys[name].flag} can be set on the command line"
                    f"{' and in the environment' if 'environment' in keys[name].sources else ''} only",
                    fix=f"remove {name} from [{key}]",
                )
        for name, field in keys.items():
            if field.is_required and name not in value:
                raise Blocked(
                    "setting-invalid", f"{key} requires the key {name!r}", fix=f"add {name} = … to [{key}]"
                )
        checked = {keys[name].name: keys[name].kind.check(item, f"{key}.{name}") for name, item in value.items()}
        own = {name: checked.pop(name) for name in field_names(self.settings) if name in checked}
        return self.settings(**own, options=checked) if checked else self.settings(**own)


_REQUIRED = object()
"""Stands for the missing default of a required field."""


class Field(Record):
    """A setting or an option, declared as an attribute of a subclass of `Settings`.

    Attributes:
        help: One sentence for help texts.
        sources: Where the value may be set.
        otherwise: What applies if the value is not set, for the reference documentation.
        metavar: The placeholder for the value in help texts.
        short: The short flag, such as `-n`, or an empty string.
    """

    default: Any
    help: str
    kind: Kind
    sources: tuple[Source, ...]
    otherwise: str = ""
    metavar: str = ""
    short: str = ""
    name: str = ""

    def __set_name__(self, owner: type, name: str) -> None:
        vars(self)["name"] = name  # records do not change, except here

    def __get__(self, instance: object | None, owner: type) -> Any:
        if self.is_required:  # such as for an annotation without a value
            raise AttributeError(self.name)
        return self if instance is None else self.default

    @property
    def is_required(self) -> bool:
        """Whether a table must contain this setting."""
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
        """The valid strings, or the valid items of a list or table; empty if any string is valid."""
        choices: tuple[str, ...] = getattr(getattr(self.kind, "item", self.kind), "choices", ())
        return choices

    @property
    def description(self) -> str:
        """The help text with the choices and the default."""
        words = [self.help]
        if self.choices:
            words.append(f"One of {', '.join(self.choices)}.")
        if self.default not in (None, False, True, (), ""):
            words.append(f"Default: {self.default}.")
        return " ".join(words)

    @property
    def key(self) -> str:
        """The key in a table. Trailing underscores are removed, since they only avoid keywords of Python."""
        return self.name.rstrip("_").replace("_", "-")

    @property
    def flag(self) -> str:
        """The flag on the command line, such as `--dry-run`."""
        return f"--{self.key}"

    @property
    def negative(self) -> str | None:
        """The flag that sets a boolean option to false, such as `--no-tag`.

        None if the option is not boolean, or can only be true if its flag is passed.
        """
        return f"--no-{self.key}" if self.is_flag and ("file" in self.sources or self.default) else None

    @property
    def flags(self) -> tuple[str, ...]:
        """All flags of the option, the short one first."""
        return tuple(filter(None, (self.short, self.flag, self.negative)))

    @property
    def environment(self) -> str:
        """The name of the environment variable that sets the option, such as `RELNOX_REPORT`."""
        return f"RELNOX_{self.name.rstrip('_').upper()}"

    def parse(self, text: str) -> Any:
        """Validate and convert a value from the command line; for a list, one of its items."""
        kind = self.kind.item if isinstance(self.kind, ListOf) else self.kind
        return kind.parse(text, self.flag)

    def with_options(self, options: Sequence[Field]) -> Field:
        """Return a copy of this field, whose table may also contain the given options of tasks as keys."""
        settings = type(self.default)
        return replace(self, kind=Table(settings, (*fields_of(settings), *options)))


def kind_of(default: Any, choices: tuple[str, ...], rule: Rule | None = None) -> Kind:
    """Return the kind of a field, derived from its default; None stands for a string.

    The choices and the rule are those of the string, or of each item of a list.
    """
    if isinstance(default, Settings):
        return Table(type(default))
    if isinstance(default, int):
        return _FLAG if isinstance(default, bool) else _NUMBER
    text = Text(choices, rule) if choices or rule else _TEXT
    return ListOf(text) if isinstance(default, tuple) else text


_FLAG, _NUMBER, _TEXT = Flag(), Number(), Text()  # there are a hundred options


def setting(  # noqa: PLR0913 - a declaration is read by its keywords
    default: Any,
    help: str,  # noqa: A002 - as in argparse and invoke
    kind: Kind | None = None,
    *,
    choices: tuple[str, ...] = (),
    rule: Rule | None = None,
    otherwise: str = "",
) -> Any:
    """Declare a setting of `[tool.relnox]`; for the arguments see `Field` and (for `kind`) `kind_of`."""
    return Field(default, help, kind or kind_of(default, choices, rule), sources=("file",), otherwise=otherwise)


def required(help: str, kind: Kind | None = None) -> Any:  # noqa: A002 - as above
    """Declare a setting without a default, which its table must contain; it is a string unless `kind` is given."""
    return Field(_REQUIRED, help, kind or Text(), sources=("file",))


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(required,))
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
        """Return whether a value was set for a field, even if it equals the default."""
        return name in vars(self)


def fields_of(settings: type[Settings]) -> tuple[Field, ...]:
    """Return the fields of a class, followed by those of its base classes."""
    return tuple(value for kind in settings.__mro__ for value in vars(kind).values() if isinstance(value, Field))


def json_schema_of(kind: Kind) -> dict[str, Any]:
    """Return the JSON schema (draft 7) of a kind of setting; rules for strings are not part of it."""
    from relnox.core.settings.release_lines import ReleaseLineSetting  # imported lazily, for start-up

    match kind:
        case Flag():
            return {"type": "boolean"}
        case Number(maximum=maximum):
            return {"type": "integer", "minimum": 0, "maximum": maximum}
        case Text(choices=choices):
            return {"type": "string"} | ({"enum": list(choices)} if choices else {})
        case ListOf(item=item, may_be_empty=may_be_empty):
            return {"type": "array", "items": json_schema_of(item)} | ({} if may_be_empty else {"minItems": 1})
        case ReleaseLineSetting(name=name, names=names, bounds=bounds):
            return {"anyOf": [json_schema_of(kind) for kind in (name, names, bounds)]}
        case TableOf(item=item):
            return {"type": "object", "additionalProperties": json_schema_of(item)}
        case Table(settings=settings, keys=keys):
            fields = [field for field in keys.values() if "file" in field.sources]
            required_keys = [field.key for field in fields if field.is_required]
            return {
                "type": "object",
                "additionalProperties": False,
                "properties": {field.key: _field_schema(field) for field in fields},
                "description": settings.summary(),
            } | ({"required": required_keys} if required_keys else {})
        case _:
            raise TypeError(f"a kind of setting without a JSON schema: {type(kind).__name__}")


def _field_schema(field: Field) -> dict[str, Any]:
    """Return the JSON schema of a setting, with its help text and its default."""
    default = list(field.default) if isinstance(field.default, tuple) else field.default
    is_constant = default not in (None, [], "") and isinstance(default, bool | int | str | list)
    return json_schema_of(field.kind) | {"description": field.help} | ({"default": default} if is_constant else {})
