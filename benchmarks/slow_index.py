"""The embedded index with delays, as `benchmarks.publish` starts it.

python -m benchmarks.slow_index DIRECTORY LATENCY SERVER
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from relnox.indexes import embedded

LATENCY, SERVER = (int(milliseconds) / 1000 for milliseconds in sys.argv[2:])


class SlowHandler(embedded.RequestHandler):
    """Delays each request by LATENCY seconds, and each upload by SERVER more."""

    def parse_request(self) -> bool:
        """Wait before each request."""
        time.sleep(LATENCY)
        return super().parse_request()

    def receive_upload(self, body: bytes) -> Any:
        """Wait before each upload."""
        time.sleep(SERVER)
        return super().receive_upload(body)


embedded.RequestHandler = SlowHandler  # type: ignore[misc]
with embedded.EmbeddedIndex(Path(sys.argv[1])) as index:
    sys.stdout.write(f"{index.upload_url} {index.simple_url}\n")
    sys.stdout.flush()
    sys.stdin.read()
