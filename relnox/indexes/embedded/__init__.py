"""The embedded index: a package index that listens on loopback and keeps its files in a directory.

- `server` has the index and its server socket.
- `connection` reads requests, `handler` responds to them, `multipart` parses upload forms, and `pages` renders
  listings.
- `upload` checks uploads, `rules` has the rules of PyPI, and `incoming`, `store` and `stored_files` store files.
"""

from __future__ import annotations

from relnox.indexes.embedded.server import EmbeddedIndex

__all__ = ["EmbeddedIndex"]
