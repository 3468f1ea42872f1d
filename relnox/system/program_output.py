"""The output of a running program, read line by line."""

from __future__ import annotations

import codecs
import io
import os
import select
import shlex
import sys
from typing import TYPE_CHECKING

from relnox.errors import Failed

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence

_POLL_INTERVAL = 0.5
"""Seconds between checks whether a program that prints nothing is still running."""
_CHUNK = 1 << 16
_MAX_PIPE = 1 << 20
"""The maximum number of bytes that a pipe can hold."""
_MAX_OUTPUT = 1 << 28
"""The maximum length of a program's output in characters; a program that prints more is ended."""


def output_lines(child: subprocess.Popen[bytes], words: Sequence[str], *, newlines: bool) -> Iterator[str]:
    """Yield the output of a program line by line until the program ends.

    Processes that it left running may keep the pipe open and write to it. After the program has ended, no more
    bytes are read than a pipe can hold, since the rest cannot be output of the program itself.

    Raises:
        Failed: The program printed too much.
    """
    assert child.stdout is not None  # noqa: S101 - it is a pipe
    errors = "replace" if newlines else "surrogateescape"
    if sys.platform == "win32":
        with io.TextIOWrapper(child.stdout, "utf-8", errors, None if newlines else "\n") as out:
            yield from out
        return
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")(errors), translate=newlines)
    waiting: list[str] = []
    bytes_left, total = _MAX_PIPE, 0
    with child.stdout as out:
        while bytes_left > 0:
            has_ended = child.poll() is not None
            if select.select([out], [], [], 0 if has_ended else _POLL_INTERVAL)[0]:
                chunk = os.read(out.fileno(), _CHUNK)
                bytes_left -= len(chunk) if has_ended else 0
                text = decoder.decode(chunk, final=not chunk)
                total += len(text)
                if total > _MAX_OUTPUT:
                    raise Failed(
                        "program-output-too-long",
                        f"{words[0]} printed more than {_MAX_OUTPUT >> 20} million characters, and was killed",
                        fix=f"make it print less; to reproduce: {shlex.join(words)}",
                    )
                first, *lines = text.split("\n")
                waiting.append(first)
                if lines:
                    yield f"{''.join(waiting)}\n"
                    yield from (f"{line}\n" for line in lines[:-1])
                    waiting = lines[-1:]
                if not chunk:
                    break
            elif has_ended:
                break
    if rest := "".join(waiting):
        yield rest
