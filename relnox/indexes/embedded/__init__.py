"""An index of one's own: on loopback, in a folder, without accounts.

`multipart` reads the form that a client sends, `upload` says what it must hold, `store` keeps the files, `pages`
lists them; `listener` and `handler` speak HTTP. The index can be told to misbehave (`faults`), writes down what it
was asked (`journal`), and refuses in the public index's own words (`wording`).
"""

from __future__ import annotations

from relnox.indexes.embedded.server import EmbeddedIndex

__all__ = ["EmbeddedIndex"]
