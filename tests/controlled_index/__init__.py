"""A package index under the control of a test: the embedded index with accounts, faults and a record of requests.

- `index` has the index, `handler` answers requests.
- `faults` makes it misbehave, `journal` records requests.
- `accounts` authorizes uploads, `minting` exchanges identity tokens, `attestations` makes provenance.
- `messages` has messages of PyPI, which clients recognize.
"""

from __future__ import annotations

from controlled_index.index import ControlledIndex

__all__ = ["ControlledIndex"]
