"""How settings and options are declared: kinds of values, fields, and classes of fields.

A declaration is an attribute of a class:

    class IndexConfig(Settings):
        '''An index of the project.'''

        upload: str = required("Its upload URL.")
        production: bool = setting(True, "Whether it is a production index.")

From it come the validation and conversion of TOML, flags and their values, environment variables, the JSON schema
(draft 7), and docs/settings.md and docs/reference.md. Options of tasks are fields too; see `options`.

Front ends read the flags of every task at each start, so this module imports nothing that is slow.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, dataclass_transform

from relnox.core.records import Record, names_of
from relnox.core.settings.kinds import Flag, Kind, ListOf, Number, Text
from relnox.core.text import did_you_mean
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relnox.core.settings.rules import Rule

    Source = Literal["file", "environment", "command line"]

Value = str | bool | int | tuple[str, ...] | None
"""The value of an option."""
EMPTY: Mapping[str, Any] = MappingProxyType({})
"""The default of tables."""


class Table(Kind):
    """A table with known keys, which becomes an instance of a class.

    Attributes:
        settings: The class.
        fields: The keys, if they are not the fields of the class alone: values of the others become `options`.
    """

    expected = "a table"
    plural = "tables"

    settings: type[Settings]
    fields: tuple[Field, ...] = ()

    @property
    def keys(self) -> dict[str, Field]:
        """The fields by key."""
        return {field.key: field for field in self.fields or fields_of(self.settings)}

    def check(self, value: Any, key: str) -> Any:
        """See `Kind`."""
        if not isinstance(value, dict):
            raise self.invalid(value, key)
        keys = self.keys
        for name in value:
            if name not in keys:
                valid = [name for name, field in keys.items() if "file" in field.sources]
                raise Blocked("setting-unknown", f"{key} has no key {name!r}", fix=did_you_mean(name, valid))
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
                    "setting-missing", f"{key} requires the key {name!r}", fix=f"add {name} = … to [{key}]"
                )
        checked = {keys[name].name: keys[name].kind.check(item, f"{key}.{name}") for name, item in value.items()}
        own = {name: checked.pop(name) for name in names_of(self.settings) if name in checked}
        return self.settings(**own, options=checked) if checked else self.settings(**own)


class _Required:
    """Marks a field without a default."""


_REQUIRED = _Required()


class Field:
    """A setting or an option, declared as an attribute of a class of `Settings`.

    Attributes:
        name: The attribute's name.
        default: Its default.
        help: One sentence.
        kind: The kind of its values.
        sources: Where it may be set.
        otherwise: What applies without a value, for the reference.
        metavar: The placeholder for its value in help texts.
        short: Its short flag, such as `-n`; empty for none.
    """

    name = ""

    def __init__(  # noqa: PLR0913 - a declaration is read by its keywords
        self,
        default: Any,
        help: str,  # noqa: A002 - as in argparse and invoke
        kind: Kind,
        *,
        sources: tuple[Source, ...],
        otherwise: str = "",
        metavar: str = "",
        short: str = "",
    ) -> None:
        self.default = default
        self.help = help
        self.kind = kind
        self.sources = sources
        self.otherwise = otherwise
        self.metavar = metavar
        self.short = short

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: object | None, owner: type) -> Any:
        if self.is_required:  # such as for an annotation without a value
            raise AttributeError(self.name)
        return self if instance is None else self.default

    @property
    def is_required(self) -> bool:
        """Whether a table must have it."""
        return self.default is _REQUIRED

    @property
    def is_flag(self) -> bool:
        """Whether it is true or false."""
        return isinstance(self.kind, Flag)

    @property
    def is_list(self) -> bool:
        """Whether it has several values, so that its flag may be repeated."""
        return isinstance(self.kind, ListOf)

    @property
    def choices(self) -> tuple[str, ...]:
        """Its valid values, or those in its list or table; empty for any."""
        choices: tuple[str, ...] = getattr(getattr(self.kind, "item", self.kind), "choices", ())
        return choices

    @property
    def key(self) -> str:
        """Its key in a table; names such as `from_` avoid keywords of Python."""
        return self.name.rstrip("_").replace("_", "-")

    @property
    def flag(self) -> str:
        """The flag on a command line."""
        return f"--{self.key}"

    @property
    def negative(self) -> str | None:
        """The flag that sets a boolean option to false, if it can be true without its flag."""
        return f"--no-{self.key}" if self.is_flag and ("file" in self.sources or self.default) else None

    @property
    def environment(self) -> str:
        """The environment variable."""
        return f"RELNOX_{self.name.rstrip('_').upper()}"

    def parse(self, text: str) -> Any:
        """Validate and convert one value on a command line.

        Raises:
            Blocked: It is not valid.
        """
        kind = self.kind.item if isinstance(self.kind, ListOf) else self.kind
        return kind.parse(text, self.flag)

    def with_options(self, options: Sequence[Field]) -> Field:
        """Copy the field of a table, with options of tasks as further keys."""
        settings = type(self.default)
        field = Field.__new__(Field)
        vars(field).update(vars(self), kind=Table(settings, (*fields_of(settings), *options)))
        return field


def kind_of(default: Any, choices: tuple[str, ...], rule: Rule | None = None) -> Kind:
    """Return the kind of a field with a default; choices and rule are for the string, or for those in the list."""
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
    """Declare a setting of `[tool.relnox]`; its kind is that of the default, a string for None.

    Args:
        default: The default.
        help: One sentence.
        kind: Its kind, if the default does not tell.
        choices: The valid strings.
        rule: A rule for the string, or for each string of a list; see `rules`.
        otherwise: What applies without a value, for the reference.
    """
    return Field(default, help, kind or kind_of(default, choices, rule), sources=("file",), otherwise=otherwise)


def required(help: str, kind: Kind | None = None) -> Any:  # noqa: A002 - as above
    """Declare a setting that its table must have; its kind is a string by default."""
    return Field(_REQUIRED, help, kind or Text(), sources=("file",))


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(required,))
class Settings(Record, kw_only=True):
    """Base of classes whose attributes are fields; what was set is in the instance, defaults are in the class."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__(kw_only=True)

    @classmethod
    def summary(cls) -> str:
        """Return the first line of the docstring."""
        return (cls.__doc__ or "").partition("\n")[0]

    def is_set(self, name: str) -> bool:
        """Return whether a field was given a value."""
        return name in vars(self)


def fields_of(settings: type[Settings]) -> tuple[Field, ...]:
    """Return the fields of a class: its own first, those of its bases last."""
    return tuple(value for kind in settings.__mro__ for value in vars(kind).values() if isinstance(value, Field))
