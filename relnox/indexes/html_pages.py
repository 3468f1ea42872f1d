"""Parsers of the HTML pages of an index: listings and error pages.

This module is imported only for responses in HTML, since importing the parser takes a while.
"""

from __future__ import annotations

from html.parser import HTMLParser

_ATTRIBUTES = ("href", "data-yanked", "data-provenance")
"""The attributes of links that are kept; others are dropped to limit memory use."""


class ListingPage(HTMLParser):
    """A parser that collects the links, their base URL and the `meta` elements of a listing."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: list[dict[str, str | None]] = []
        self.meta: dict[str, str] = {}
        self.base = ""
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
            self.anchors.append({name: attributes[name] for name in _ATTRIBUTES if name in attributes})
        elif tag == "base":
            self.base = self.base or attributes.get("href") or ""
        elif tag == "meta":
            self.meta[attributes.get("name") or ""] = attributes.get("content") or ""
        elif tag == "input" and (attributes.get("type") or "").lower() == "password":
            self.has_password_field = True


class TextPage(HTMLParser):
    """A parser that collects the words of an HTML page, except those in its head."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._in_head = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        """Recognize the head of the page."""
        del attrs
        self._in_head = self._in_head or tag == "head"

    def handle_endtag(self, tag: str) -> None:
        """Recognize the end of the head."""
        self._in_head = self._in_head and tag != "head"

    def handle_data(self, data: str) -> None:
        """Collect the words outside the head."""
        if not self._in_head:
            self.words += data.split()
