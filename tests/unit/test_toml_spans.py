from __future__ import annotations

import sysconfig
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relnox.core import toml_edits
from relnox.core.toml_edits import replace_strings
from relnox.core.toml_spans import string_spans
from relnox.errors import Blocked, Failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from relnox.core.toml_spans import KeyPath

# --- what the scanner is held against: tomllib, and the text itself ---------------------------------


def strings_in(node: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Every string of a parsed document with its path."""
    match node:
        case str():
            yield path, node
        case dict():
            for key, value in node.items():
                yield from strings_in(value, (*path, key))
        case list():
            for index, value in enumerate(node):
                yield from strings_in(value, (*path, index))
        case _:
            pass


def assert_agrees_with_tomllib(text: str) -> None:
    spans = string_spans(text)
    assert {path: span.value for path, span in spans.items()} == dict(strings_in(tomllib.loads(text)))
    offsets = [offset for span in spans.values() for offset in (span.start, span.end)]
    assert offsets == sorted(offsets), "in the order of the document, none inside another"
    for path, span in spans.items():
        assert span.path == path
        assert text.startswith(span.quote, span.end)
        trimmed = text[: span.start].removesuffix("\n").removesuffix("\r")
        opening = text[: span.start] if text[: span.start].endswith(span.quote) else trimmed
        assert opening.endswith(span.quote)
        assert span.line == opening.removesuffix(span.quote).count("\n") + 1


# --- documents written by hand ------------------------------------------------------------------------

# Three tildes stand for three single quotes, which Python would take for the end.
NASTY = r'''# 'a "comment~~~ with """quotes
version = "0" # version = "1"
"quoted key" = 'literal \ backslash'
"esc\u0061ped.key" = "\"quoted\" \\ \u00e9 \U0001F600 \t"
'lit.key'."" . bare-key_9 = "dotted"
  indented.under = 'x' 	# tab before
1234.5678 = "digits"
true = "a key named like a value"
dates = [1979-05-27, 1979-05-27 07:32:00Z, 1979-05-27T00:32:00.999999-07:00, 07:32:00]
numbers = [ +1_000, 0xDEAD_beef, 0o755, 0b1101, 6.626e-34, -inf, nan, false ]
empty = ["", '', """""", '~~~~~~, [], {}, [[]]]
quotes = [""""one" """, """""two""""", """\"""three\"""", ~~~'it's''~~~, """a""b"c"""]

[ project ]   # "name" = "decoy"
 name = 'pkg'
dependencies = [ # "decoy==1.0",
  "a >= 1.0 ; python_version < '3.12'", # it's a comment, with a ] and a "
  'b[x,y]=={{ version }}',
  # "decoy==2.0"
  "c#no comment",   "d,]}",
]
urls = { a.b = "1", "c d" = { e = [ "2", { f = "3" } ] }, g = 4 }
trimmed = """
version = "9.9.9"
[project]
"""
continued = """\
    one \

      two \\ three
    """
raw = ~~~
\backslash\
version = "8.8.8"
~~~

[[package]]
name = "one"
[package.source]
url = "https://example.org/#frag"
[[package.wheels]]
hash = "sha256:1"
[[package.wheels]]
hash = "sha256:2"
[[package]] # the second
name = "two"
[[package.wheels]]
hash = "sha256:3"
[package.wheels.meta."x.y"]
size = "big"

[tool.'quoted.table' . "caf\u00e9"]
end = "no line end"'''.replace("~~~", "'''")


@pytest.mark.parametrize("text", [NASTY, NASTY.replace("\n", "\r\n"), "", "\n \n# only\r\n", "a = 1"])
def test_difficult_documents_are_read_like_tomllib(text: str) -> None:
    assert_agrees_with_tomllib(text)


def test_every_path_of_a_difficult_document_is_found() -> None:
    spans = string_spans(NASTY)
    assert spans["version",].line == 2
    assert spans["escaped.key",].value == '"quoted" \\ é 😀 \t'
    assert spans["lit.key", "", "bare-key_9"].value == "dotted"
    assert spans["1234", "5678"].value == "digits"
    assert spans["project", "dependencies", 2].value == "c#no comment"
    assert spans["project", "urls", "c d", "e", 1, "f"].value == "3"
    assert spans["project", "continued"].value == "one two \\ three\n    "
    assert spans["package", 0, "source", "url"].value == "https://example.org/#frag"
    assert spans["package", 0, "wheels", 1, "hash"].value == "sha256:2"
    assert spans["package", 1, "wheels", 0, "meta", "x.y", "size"].value == "big"
    assert spans["tool", "quoted.table", "café", "end"].value == "no line end"


def test_a_multiline_string_starts_after_the_trimmed_line_end() -> None:
    text = "a = '''\r\nfirst\r\nsecond'''\r\n"
    (span,) = string_spans(text).values()
    assert text[span.start : span.end] == "first\r\nsecond"
    assert (span.value, span.quote, span.line) == ("first\nsecond", "'''", 1)


def test_additions_of_toml_1_1_are_read() -> None:
    spans = string_spans('a = {\n  b = "\\x41\\e", # with a comment\n  c = "2",\n}\n')
    assert {path: span.value for path, span in spans.items()} == {("a", "b"): "A\x1b", ("a", "c"): "2"}


def pyproject_files() -> list[Path]:
    """Return real TOML files: this project's own, and those of installed packages."""
    here = next(directory for directory in Path(__file__).parents if (directory / "pyproject.toml").is_file())
    return [here / "pyproject.toml", *Path(sysconfig.get_path("purelib")).glob("**/pyproject.toml")]


@pytest.mark.parametrize("file", pyproject_files(), ids=lambda file: file.parent.name)
def test_real_files_are_read_like_tomllib(file: Path) -> None:
    text = file.read_bytes().decode()
    assert string_spans(text)
    assert_agrees_with_tomllib(text)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('a = "open', "line 1, column 5"),
        ("a = 'open\n'", "line 1, column 5"),
        ("a = '''open\n", "expected the end of the line at line 1, column 7"),
        ('\na = """open', "expected the end of the line at line 2, column 7"),
        ("[a\n", "expected a table header at line 1, column 1"),
        ("\n  a\n", "expected a key and its value at line 2, column 3"),
        ("a = \n", "expected a value at line 1, column 5"),
        ("a = 1 b = 2\n", "expected the end of the line at line 1, column 6"),
        ("a = [1 2]\n", "expected a comma or ] at line 1, column 8"),
        ("a = [1,\n", "expected a value at line 2, column 1"),
        ("a = {b = 1; c = 2}\n", "expected a comma or } at line 1, column 11"),
        ("= 1", "expected a key and its value at line 1, column 1"),
        ("\r\n]", "expected a key and its value at line 2, column 1"),
        ("name = {{ name }}", "expected a key and its value at line 1, column 9"),
    ],
)
def test_invalid_toml_is_an_error_with_line_and_column(text: str, place: str) -> None:
    with pytest.raises(ValueError, match="invalid TOML") as caught:
        string_spans(text)
    assert str(caught.value).endswith(place)


@settings(deadline=None)
@given(st.text(alphabet="ab=.[]{},\"'\\#\n\r 1-"))
def test_no_text_hangs_or_is_read_wrongly(text: str) -> None:
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        try:
            string_spans(text)
        except ValueError:
            return
    else:
        found = {path: span.value for path, span in string_spans(text).items()}
        assert found == dict(strings_in(parsed))


def test_a_long_unterminated_string_is_rejected_in_one_pass() -> None:
    with pytest.raises(ValueError, match="line 1, column 7"):
        string_spans('a = """' + '\\"" ' * 100_000)


# --- documents drawn at random, each value in a style of its own ---------------------------------------

CONTROL = frozenset(map(chr, (*range(9), *range(11, 32), 127)))
CHARACTERS = st.one_of(
    st.sampled_from(list("ab01.,=#[]{}<>!~ \t\n\r\\\"'\x00\x1f\x7f")),
    st.characters(exclude_categories=["Cs"]),
)
TEXTS = st.text(CHARACTERS, max_size=8)
BARE_KEYS = st.from_regex(r"[A-Za-z0-9_-]{1,4}", fullmatch=True)
SCALARS = st.sampled_from(["1", "0x1F", "+1.5e3", "nan", "true", "1979-05-27 07:32:00Z", "07:32:00.5"])
GAPS = st.sampled_from(["", " ", "\t "])
COMMENTS = st.sampled_from(["", "", "# it's", '# "quotes'])
BREAKS = st.sampled_from(["", " ", "\n", '\n  # it\'s a "comment"]\n', " # ''' \n\n"])


class Bare(str):
    """A value that is not a string, as it is written."""

    __slots__ = ()


Node: TypeAlias = "str | Bare | list[Node] | dict[str, Node]"

NODES: st.SearchStrategy[Node] = st.recursive(
    st.one_of(TEXTS, TEXTS, SCALARS.map(Bare)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(BARE_KEYS, TEXTS), inner, max_size=3),
    ),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(st.one_of(BARE_KEYS, TEXTS), NODES, max_size=5)


class Renderer:
    """Writes a document as a person might, drawing every choice that TOML leaves open."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw

    def pick(self, *choices: str) -> str:
        return self.draw(st.sampled_from(choices))

    def gap(self) -> str:
        return self.draw(GAPS)

    def basic(self, text: str, *, multiline: bool = False) -> str:
        short = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
        written = ""
        for char in text:
            plain = char == "\t" or (char not in short and char.isprintable()) or (multiline and char == "\n")
            styles = [char] if plain else [short[char]] if char in short else []
            styles += [f"\\U{ord(char):08x}"] + ([f"\\u{ord(char):04X}"] if ord(char) < 0x10000 else [])
            written += self.pick(*styles)
            if multiline:
                written += self.pick("", "", "\\\n   ", "\\ \n\n\t") if not char.isspace() else ""
        return written

    def string(self, text: str) -> str:
        controls = not CONTROL.isdisjoint(text)
        styles = [f'"{self.basic(text)}"']
        # A continuation eats white space behind it: only texts without any are drawn with one.
        multiline = self.basic(text, multiline=not any(char.isspace() for char in text))
        styles += [f'"""{multiline}"""', f'"""\n{multiline}"""']
        if not controls and "'" not in text and "\n" not in text:
            styles += [f"'{text}'"] * 2
        if not controls and "'''" not in text:
            styles += [f"'''\n{text}'''"] * 2
        return self.pick(*styles)

    def key(self, key: str) -> str:
        styles = [f'"{self.basic(key)}"']
        if key and key.isascii() and key.replace("_", "").replace("-", "").isalnum():
            styles += [key] * 3
        if key.isprintable() and "'" not in key:
            styles.append(f"'{key}'")
        return self.pick(*styles)

    def assignments(self, table: Mapping[str, Node]) -> Iterator[str]:
        for key, value in table.items():
            written, node = self.key(key), value
            while isinstance(node, dict) and len(node) == 1 and self.draw(st.booleans()):
                ((inner, node),) = node.items()
                written += f"{self.gap()}.{self.gap()}{self.key(inner)}"
            yield f"{written}{self.gap()}={self.gap()}{self.value(node)}"

    def value(self, node: Node) -> str:
        match node:
            case Bare():
                return str(node)
            case str():
                return self.string(node)
            case dict():
                inner = f"{self.gap()},{self.gap()}".join(self.assignments(node))
                return f"{{{self.gap()}{inner}{self.gap()}}}"
            case list():
                items = "".join(f"{self.draw(BREAKS)}{self.value(item)}{self.draw(BREAKS)}," for item in node)
                items = items if self.draw(st.booleans()) else items.removesuffix(",")
                return f"[{items}{self.draw(BREAKS)}]"

    def table(self, table: Mapping[str, Node], path: tuple[str, ...] = ()) -> Iterator[str]:
        """The lines of a table: what stands in it first, then the tables with headers of their own."""
        below: dict[str, Node] = {}
        inline: dict[str, Node] = {}
        for key, node in table.items():
            tables = isinstance(node, dict) or (
                isinstance(node, list) and bool(node) and all(isinstance(item, dict) for item in node)
            )
            (below if tables and self.draw(st.booleans()) else inline)[key] = node
        yield from self.assignments(inline)
        for key, node in below.items():
            dotted = f"{self.gap()}.{self.gap()}".join(self.key(part) for part in (*path, key))
            for item in node if isinstance(node, list) else [node]:
                assert isinstance(item, dict)
                opening, closing = ("[[", "]]") if isinstance(node, list) else ("[", "]")
                yield f"{opening}{self.gap()}{dotted}{self.gap()}{closing}"
                yield from self.table(item, (*path, key))

    def document(self, table: Mapping[str, Node]) -> str:
        lines = (f"{self.gap()}{line}{self.gap()}{self.draw(COMMENTS)}" for line in self.table(table))
        text = self.pick("", "\n", "# 'top\n") + "".join(line + self.pick("\n", "\n\n") for line in lines)
        return text.replace("\n", "\r\n") if self.draw(st.booleans()) else text


@st.composite
def documents(draw: st.DrawFn) -> tuple[dict[str, Node], str]:
    document = draw(DOCUMENTS)
    return document, Renderer(draw).document(document)


@settings(deadline=None)
@given(documents())
def test_every_string_of_any_document_is_found_at_its_position(drawn: tuple[dict[str, Node], str]) -> None:
    document, text = drawn
    assert_agrees_with_tomllib(text)
    meant = {path: value for path, value in strings_in(document) if not isinstance(value, Bare)}
    assert {path: span.value for path, span in string_spans(text).items()} == meant


@settings(deadline=None)
@given(documents(), st.data())
def test_replacing_changes_the_planned_values_and_no_other_character(
    drawn: tuple[dict[str, Node], str], data: st.DataObject
) -> None:
    _, text = drawn
    spans = string_spans(text)
    # PEP 440 versions and requirements, and anything else that the quotes can hold.
    new = st.one_of(st.sampled_from(["2.0.0a1", 'pkg==1; python_version < "3"']), TEXTS)
    changes = data.draw(st.dictionaries(st.sampled_from(sorted(spans, key=str)), new)) if spans else {}
    impossible = any(not writable(value, spans[path].quote) for path, value in changes.items())
    if impossible:
        with pytest.raises(ValueError, match="cannot be written in"):
            replace_strings(text, changes)
        return
    after = replace_strings(text, changes)
    assert {path: span.value for path, span in string_spans(after).items()} == {
        path: changes.get(path, span.value) for path, span in spans.items()
    }
    assert skeleton(after, changes) == skeleton(text, changes)


def writable(value: str, quote: str) -> bool:
    """Whether TOML has a way to write a value in quotes of this kind; escapes make it so in double ones."""
    if "'" not in quote:
        return True
    return quote not in value and CONTROL.isdisjoint(value) and (quote == "'''" or "\n" not in value)


def skeleton(text: str, without: Mapping[KeyPath, str]) -> list[str]:
    """What stands around the named strings."""
    spans = [span for path, span in string_spans(text).items() if path in without]
    ends = [0, *(span.end for span in spans)]
    # A line end that is put before a value so that TOML may trim it belongs to that value.
    starts = [len(text[: span.start].rstrip("\r\n")) for span in spans]
    return [text[end:start] for end, start in zip(ends, [*starts, len(text)], strict=True)]


# --- replacing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        ('a = "1.0"  # "1.0"', "2.0a1", 'a = "2.0a1"  # "1.0"'),
        ("a='1.0'", "2.0a1", "a='2.0a1'"),
        ("a='x'", 'pkg; python_version < "3"', """a='pkg; python_version < "3"'"""),
        ('a="x"', 'pkg; python_version < "3"', r'a="pkg; python_version < \"3\""'),
        ('a="x"', 'tab\t line\n \\ \x00 \x7f \x1b "', r'a="tab	 line\n \\ \u0000 \u007f \u001b \""'),
        ('a="""x"""', 'say "hi"', r'a="""say "hi\""""'),
        ('a="""x"""', 'four """" quotes\r\n', 'a="""four \\"\\""" quotes\\r\n"""'),
        ('a="""\nx"""', "two\nlines", 'a="""\ntwo\nlines"""'),
        ('a="""x"""', "\nline", 'a="""\n\nline"""'),
        ("a='''x'''", "\nline's'", "a='''\n\nline's''''"),
        ("a='''x'''\r\nb=1\r\n", "1\n2", "a='''1\r\n2'''\r\nb=1\r\n"),
        ("a=''", "é😀", "a='é😀'"),
    ],
)
def test_a_value_is_written_in_the_quotes_it_had(before: str, value: str, after: str) -> None:
    assert replace_strings(before, {("a",): value}) == after
    assert tomllib.loads(after)["a"] == value


@pytest.mark.parametrize("value", ["it's", "two\nlines", "\x00", "\r"])
def test_a_value_that_literal_quotes_cannot_contain_is_an_error(value: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be written in ' quotes at line 2"):
        replace_strings("# first\na = 'x'\n", {("a",): value})


@pytest.mark.parametrize("value", ["'''", "\x00", "\r\n"])
def test_a_value_that_multiline_literal_quotes_cannot_contain_is_an_error(value: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be written in ''' quotes at line 1"):
        replace_strings("a = '''\nx'''\n", {("a",): value})


def test_several_values_change_at_once_in_any_order() -> None:
    before = '[project]\nversion = "1.0" # keep\ndependencies = [\n  "b==1.0", # pin\n]\nscale = nan\n'
    after = replace_strings(
        before, {("project", "dependencies", 0): "b==10.0.0", ("project", "version"): "10.0.0"}
    )
    assert after == before.replace("1.0", "10.0.0")


def test_nothing_to_replace_gives_the_same_text() -> None:
    assert replace_strings(NASTY, {}) == NASTY


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (("project", "version"), "no string at project.version"),
        (("project", "optional-dependencies", "a b", 0), r'optional-dependencies."a b"\[0\]'),
        (("project", "name", 0), r"project.name\[0\]"),
        (("project", "epoch"), "no string at project.epoch"),
    ],
)
def test_a_path_without_a_string_is_blocked(path: KeyPath, message: str) -> None:
    with pytest.raises(Blocked, match=message):
        replace_strings('[project]\nname = "a"\nepoch = 1\n', {path: "2"}, source="libs/a/pyproject.toml")


@pytest.mark.parametrize("written", ['2"\nb = "3', "2\n"])
def test_an_edit_that_would_change_anything_else_is_not_returned(
    written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toml_edits, "_encode_string", lambda *_: written)
    with pytest.raises(Failed, match=r"cannot change a in pyproject\.toml without changing other values"):
        replace_strings('a = "1"\n', {("a",): "2"}, source="pyproject.toml")
