"""A server on a raw socket: it may say anything at any pace, which no server of a library does."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Talk = "Callable[[socket.socket, threading.Event], None]"
"""What a server says to a connection, until the event is set: then the test is over."""


@contextmanager
def raw_server(talk: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """Run a server that calls a function for each connection, until the end of the block."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)

        def serve() -> None:
            while not over.is_set():
                try:
                    connection, _ = listening.accept()
                except TimeoutError:
                    continue
                connection.settimeout(30)
                threading.Thread(target=converse, args=(connection,), daemon=True).start()

        def converse(connection: socket.socket) -> None:
            with connection, suppress(OSError):  # the client went away
                talk(connection, over)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            over.set()
            thread.join()


def read_head(connection: socket.socket) -> bytes:
    """The head of a request, and what of its body came with it."""
    head = b""
    while b"\r\n\r\n" not in head and (piece := connection.recv(65536)):
        head += piece
    return head


def answering(*answers: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """Send one response to each connection, the last one to all that follow, and close it."""
    left = list(answers)

    def talk(connection: socket.socket, _over: threading.Event) -> None:
        read_head(connection)
        connection.sendall(left.pop(0) if len(left) > 1 else left[0])

    return talk
