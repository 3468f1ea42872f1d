"""The links and `meta` elements of an HTML page of an index.

Listings come as JSON from most indexes: importing the parser of HTML takes as long as a tenth of all of relnox.
"""

from __future__ import annotations

from html.parser import HTMLParser

from relnox.indexes.listings import InvalidListing

_ATTRIBUTES = ("href", "data-yanked", "data-provenance")
"""Attributes of links that are used; others are dropped, to limit memory."""


class HTMLPage(HTMLParser):
    """Parser that collects the links and `meta` elements of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: list[dict[str, str | None]] = []
        self.meta: dict[str, str] = {}
        self.is_html = False
        self.has_password_field = False

    def handle_decl(self, decl: str) -> None:
        """Recognize a document type."""
        self.is_html = self.is_html or decl.lower().startswith("doctype html")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect a link or a `meta` element; recognize a password field."""
        attributes = dict(attrs)
        self.is_html = True
        if tag == "a":
            if len({value for name, value in attrs if name == "href"}) > 1:
                raise InvalidListing("a link has two URLs")
            self.anchors.append({name: attributes[name] for name in _ATTRIBUTES if name in attributes})
        elif tag == "meta":
            self.meta[attributes.get("name") or ""] = attributes.get("content") or ""
        elif tag == "input" and (attributes.get("type") or "").lower() == "password":
            self.has_password_field = True
