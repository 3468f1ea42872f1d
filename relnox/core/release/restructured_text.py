"""reStructuredText as Markdown, for release pages: docutils parses, and what forges can show is written.

Roles and directives of Sphinx and of projects are unknown to docutils: such roles become code, of such directives
the content stays. Images, raw text and comments are dropped. No file is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from docutils import core, nodes  # type: ignore[import-untyped]  # it ships no types
from docutils.parsers.rst import Directive, directives, roles  # type: ignore[import-untyped]
from docutils.parsers.rst.languages import en  # type: ignore[import-untyped]

_SETTINGS = {
    "_disable_config": True,
    "doctitle_xform": False,
    "file_insertion_enabled": False,
    "halt_level": 5,
    "line_length_limit": 1 << 20,
    "output_encoding": "unicode",
    "raw_enabled": False,
    "report_level": 5,
    "smart_quotes": False,
}
_DEFINITION = re.compile(
    r"^\.\. (?:_(?!_).+?:|\|.+?\|) .*(?:\n[ \t]+\S.*)*|^\.\. _[^\n:]+:\n[ \t]+\S.*", re.MULTILINE
)
"""Matches hyperlink targets and substitutions, which a section may use although they are elsewhere in the file."""
_ROLE = re.compile(r":([\w+.-]+(?::[\w+.-]+)*):`")
_DIRECTIVE = re.compile(r"^[ \t]*(?:[-*+][ \t]+)?\.\. ([\w+.-]+(?::[\w+.-]+)*)::", re.MULTILINE)
_MARKUP = re.compile(r"[\\`*_\[\]<>~|&$]")
_WORD_UNDERSCORE = re.compile(r"(?<=[^\W_])\\_(?=[^\W_])")
_BLOCK_START = re.compile(r"\A(?:(\d+)(?=[.)] )|(?=#{1,6} |[-+] ))")
_FIRST_LEVEL = 3
"""The level of headings: above them are the title of the release and the names of packages."""
_DROPPED = (
    nodes.comment,
    nodes.image,
    nodes.raw,
    nodes.substitution_definition,
    nodes.system_message,
    nodes.target,
)
_VERSION_LABELS = {"versionadded": "Added", "versionchanged": "Changed", "deprecated": "Deprecated"}
_MARKS = {nodes.emphasis: ("*", "*"), nodes.strong: ("**", "**")}
_MARKS |= {nodes.superscript: ("<sup>", "</sup>"), nodes.subscript: ("<sub>", "</sub>")}


def to_markdown(text: str, file: str = "") -> str:
    """Convert reStructuredText to Markdown.

    `text` may be a part of `file`, the text of a whole file: link targets and substitutions that it uses are also
    taken from there. Roles and directives that docutils does not know are registered with docutils, for the whole
    process.
    """
    definitions = "\n".join(match for match in _DEFINITION.findall(file) if match not in text)
    source = f"{text}\n\n{definitions}\n"
    for name in set(_ROLE.findall(source)):
        if name.lower() not in en.roles:
            roles.register_local_role(name, _make_code_node)
    for name in set(_DIRECTIVE.findall(source)):
        if name.lower() not in en.directives:
            directives.register_directive(name, _UnknownDirective)
    document = core.publish_doctree(source, settings_overrides=_SETTINGS)
    return "\n\n".join(_format_children(document, _FIRST_LEVEL)).strip()


def _make_code_node(_: str, rawtext: str, text: str, *__: Any, **___: Any) -> tuple[list[Any], list[Any]]:
    """Return a node of code with the text that an unknown role shows, and an empty list of messages.

    This is a role function of docutils. A number, such as that of an issue, gets a `#`.
    """
    title = _shown_text_of_role(nodes.unescape(text))
    return [nodes.literal(rawtext, f"#{title}" if title.isdigit() else title)], []


def _shown_text_of_role(text: str) -> str:
    """Return what Sphinx shows of the text of a role: `name` of `~package.name`, `text` of `text <target>`."""
    title = re.sub(r"\s*<[^<>]*>\Z", "", text) or text
    return re.sub(r"\A~(?:.*\.)?|\A!", "", title) or title


class _UnknownDirective(Directive):  # type: ignore[misc]  # docutils ships no types
    """A directive that docutils does not know: it is replaced by its content.

    For `versionadded` and the like, a line such as `Added in 1.2` comes first.
    """

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True
    option_spec = None

    def run(self) -> list[Any]:
        """Return the nodes of the content, after that of the line with the version, if any."""
        result = []
        if label := _VERSION_LABELS.get(self.name):
            version, _, more = " ".join(" ".join(self.arguments).split()).partition(" ")
            text = f"{label} in {version}"
            explanation, _ = self.state.inline_text(f": {more}" if more else "", self.lineno)
            result.append(nodes.paragraph("", "", nodes.emphasis(text, text), *explanation))
        content = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, content)
        return [*result, *content.children]


# --- blocks


def _format_children(node: Any, level: int) -> Iterator[str]:
    """Yield the blocks of Markdown for the children of a node; the highest headings in it have this level."""
    return _format_nodes(node.children, level)


def _format_nodes(children: list[Any], level: int) -> Iterator[str]:
    """Yield the blocks of Markdown for nodes of docutils; their highest headings have this level (1 for `#`)."""
    for child in children:
        yield from filter(None, _format_node(child, level))


def _format_node(node: Any, level: int) -> Iterator[str]:  # noqa: C901, PLR0912 - one branch for each kind
    """Yield the blocks of Markdown for a node of docutils, none if it is dropped, such as a comment or an image.

    `level` is that of the highest headings in it (1 for `#`).
    """
    if isinstance(node, _DROPPED):
        return
    if isinstance(node, nodes.section):
        yield f"{'#' * min(level, 6)} {_format_inline(node[0])}"
        yield from _format_nodes(node.children[1:], level + 1)
    elif isinstance(node, (nodes.title, nodes.rubric)):
        yield f"**{_format_inline(node)}**"
    elif isinstance(node, (nodes.literal_block, nodes.doctest_block, nodes.math_block)):
        yield _format_code_block(node)
    elif isinstance(node, (nodes.bullet_list, nodes.enumerated_list)):
        yield _format_list(node, level)
    elif isinstance(node, nodes.definition_list):
        for item in node.children:
            *terms, definition = item.children
            yield f"**{', '.join(map(_format_inline, terms))}**"
            yield from _format_children(definition, level)
    elif isinstance(node, nodes.field):
        yield f"**{_format_inline(node[0])}**: {' '.join(_format_children(node[1], level))}"
    elif isinstance(node, nodes.table):
        yield from _format_table(node)
    elif isinstance(node, nodes.block_quote):
        yield _prefix_lines("\n\n".join(_format_children(node, level)), "> ")
    elif isinstance(node, nodes.Admonition):
        own_title = isinstance(node, nodes.admonition)
        title = "" if own_title else f"**{type(node).__name__.capitalize()}**\n\n"
        yield _prefix_lines(title + "\n\n".join(_format_children(node, level)), "> ")
    elif isinstance(node, (nodes.footnote, nodes.citation)):
        yield f"\\[{node[0].astext()}\\] {' '.join(_format_nodes(node.children[1:], level))}"
    elif isinstance(node, nodes.transition):
        yield "---"
    elif isinstance(node, nodes.TextElement):
        yield _BLOCK_START.sub(r"\1\\", _format_inline(node).strip())
    else:
        yield from _format_children(node, level)


def _format_list(node: Any, level: int) -> str:
    """Return a bullet or numbered list in Markdown; `level` is that of headings in its items.

    There are blank lines between the items only if an item has several paragraphs.
    """
    items, is_loose = [], False
    start = node.get("start", 1)
    for number, item in enumerate(node.children, start):
        mark = "- " if isinstance(node, nodes.bullet_list) else f"{number}. "
        blocks = list(_format_children(item, level))
        is_loose = is_loose or sum(isinstance(child, nodes.paragraph) for child in item.children) > 1
        is_nested = isinstance(item.children[-1] if item.children else None, nodes.bullet_list)
        content = ("\n" if is_nested and len(blocks) == 2 else "\n\n").join(blocks)  # noqa: PLR2004 - a pair
        items.append(mark + _prefix_lines(content, " " * len(mark)).lstrip(" "))
    return ("\n\n" if is_loose else "\n").join(items)


def _format_table(node: Any) -> Iterator[str]:
    """Yield a table in Markdown as one block, or nothing if it has no rows.

    Its first row becomes the heading. Blocks in a cell are divided by `<br>`.
    """
    rows = [
        ["<br>".join(_format_children(entry, 6)).replace("\n", " ").replace("|", "\\|") for entry in row.children]
        for row in node.findall(nodes.row)
    ]
    if rows:
        width = max(map(len, rows))
        lines = [f"| {' | '.join([*row, *[''] * (width - len(row))])} |" for row in rows]
        yield "\n".join([lines[0], f"|{'---|' * width}", *lines[1:]])


def _format_code_block(node: Any) -> str:
    """Return a block of code in Markdown, with its language if it names one.

    The fences have more backticks than any sequence of them in the code.
    """
    text = node.astext()
    language = next((name for name in node.get("classes", ()) if name != "code"), "")
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _prefix_lines(text: str, prefix: str) -> str:
    """Return a text with a prefix before each line, and without white space at line ends."""
    return "\n".join(f"{prefix}{line}".rstrip() for line in text.split("\n"))


# --- text in blocks


def _format_inline(node: Any) -> str:
    """Return the content of a node as Markdown on one line, without the marks of the node itself."""
    return "".join(map(_format_inline_node, node.children))


def _format_inline_node(node: Any) -> str:
    """Return the Markdown for a node in a line of text; empty for images, raw text, targets and comments."""
    if isinstance(node, nodes.Text):
        return _escape(node.astext())
    if isinstance(node, nodes.title_reference):  # of the default role, which means code where Sphinx is used
        return _format_inline_code(_shown_text_of_role(node.astext()))
    if isinstance(node, (nodes.literal, nodes.math)):
        return _format_inline_code(node.astext())
    if isinstance(node, nodes.reference):
        return _format_link(node)
    if isinstance(node, (nodes.footnote_reference, nodes.citation_reference)):
        return f"\\[{node.astext()}\\]"
    if isinstance(node, nodes.problematic):  # such as a link whose target is in another file
        return _escape(re.sub(r"\A`?(.+?)`?_{1,2}\Z", r"\1", node.astext()))
    if isinstance(node, _DROPPED):
        return ""
    before, after = _MARKS.get(type(node), ("", ""))
    return f"{before}{_format_inline(node)}{after}"


def _escape(text: str) -> str:
    """Escape plain text so that Markdown shows it as it is; line ends become spaces."""
    text = _MARKUP.sub(lambda match: f"\\{match[0]}", " ".join(text.split("\n")))
    return _WORD_UNDERSCORE.sub("_", text)


def _format_link(node: Any) -> str:
    """Return a reference as a link in Markdown, or only its text if its target is no web or email address."""
    content, url = _format_inline(node), str(node.get("refuri", ""))
    if not re.match(r"https?://|mailto:", url):
        return content
    if node.astext() == url:
        return f"<{url}>"
    return f"[{content}]({re.sub(r'[()<> ]', lambda match: f'%{ord(match[0]):02X}', url)})"


def _format_inline_code(text: str) -> str:
    """Return a text as code in Markdown, on one line."""
    text = " ".join(text.split())
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"
