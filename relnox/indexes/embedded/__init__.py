"""An embedded index: a package index on loopback, with its files in a folder.

- `server` has the index and its server socket.
- `connection` reads requests, `handler` answers them, `multipart` parses upload forms, `pages` renders listings.
- `upload` checks an upload, `rules` has the rules of PyPI, `incoming`, `store` and `stored_files` have the files.
"""

from __future__ import annotations

from relnox.indexes.embedded.server import EmbeddedIndex

__all__ = ["EmbeddedIndex"]
