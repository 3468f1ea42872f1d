"""An index of one's own: on loopback, in a folder.

- `server` is the index; `listener`, `connection` and `handler` speak HTTP, `multipart` reads the form that a
  client sends, and `pages` lists what is there.
- `upload` takes uploads in: `accounts` says who may send them, `minting` exchanges identity tokens, `rules` are
  those of the public index, `attestations` come along.
- `store` keeps the files, `contents` reads the metadata in them, `projects` remembers the rest.
- `faults` lets the index misbehave and `journal` tells what it was asked, for tests; `wording` has the public
  index's own words.
"""

from __future__ import annotations

from relnox.indexes.embedded.server import EmbeddedIndex

__all__ = ["EmbeddedIndex"]
