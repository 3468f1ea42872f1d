"""An index of one's own: on loopback, in a folder, without accounts.

Four rooms: `multipart` reads the form that a client sends, `upload` says what such a form must hold, `store`
keeps the files, `pages` lists them; `server` speaks HTTP.
"""

from __future__ import annotations

from relnox.indexes.embedded.server import EmbeddedIndex

__all__ = ["EmbeddedIndex"]
