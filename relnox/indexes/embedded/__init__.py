"""An embedded index: a package index on loopback, with its files in a folder.

- `server` has the index and its server socket.
- `handler` answers HTTP requests, `multipart` parses upload forms, `pages` renders listings.
- `upload` checks and stores an upload, `rules` has the rules of PyPI, `store` has the files.
"""

from __future__ import annotations

from relnox.indexes.embedded.server import EmbeddedIndex

__all__ = ["EmbeddedIndex"]
