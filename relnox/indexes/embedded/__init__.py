"""An embedded index: a package index on loopback, with its files in a folder.

- `server` has the index; `listener`, `connection` and `handler` serve HTTP, `multipart` parses upload forms, and
  `pages` renders listings.
- `upload` handles uploads: `accounts` authorizes them, `minting` exchanges identity tokens, `rules` has those of
  PyPI, `attestations` makes provenance.
- `store` stores the files, `contents` reads their metadata, `projects` stores owners and statuses.
- `faults` makes the index misbehave and `journal` records requests, both for tests; `messages` has the messages of
  PyPI.
"""

from __future__ import annotations

from relnox.indexes.embedded.server import EmbeddedIndex

__all__ = ["EmbeddedIndex"]
