"""Standard output and standard error, written to whatever their encoding is and whether or not somebody reads."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

from relnox.core.escaping import escape_line
from relnox.secrets import masked

__all__ = ["STDERR", "STDOUT", "Stream"]


class Stream:
    """A standard stream as it is at the moment of writing: tests and front ends replace them.

    Characters that its encoding lacks are written with backslashes. What nobody reads any more is dropped. A full
    disk is an error for results, on standard output, and none for progress.

    Args:
        name: `stdout` or `stderr`.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def line(self, text: str, *, end: str = "\n") -> None:
        """Write one line of text that may be foreign: without secrets, and with nothing in it that acts."""
        self.command(escape_line(masked(text)), end=end)

    def command(self, text: str, *, end: str = "\n") -> None:
        """Write one line as it is: for commands to a CI provider, whose values are escaped already."""
        self.write(f"{text}{end}")
        self.flush()

    def write(self, text: str) -> int:
        """Write text; see the class for what does not fail."""
        stream = self._stream
        if stream is not None:
            try:
                stream.write(text)
            except UnicodeEncodeError:
                encoding = self.encoding
                self.write(text.encode(encoding, "backslashreplace").decode(encoding))
            except (OSError, ValueError) as error:
                self._failed(stream, error)
        return len(text)

    def flush(self) -> None:
        """Have everything written."""
        stream = self._stream
        if stream is not None:
            try:
                stream.flush()
            except (OSError, ValueError) as error:
                self._failed(stream, error)

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        try:
            return self._stream is not None and bool(self._stream.isatty())
        except ValueError:  # it is closed
            return False

    def fileno(self) -> int:
        """The number of its file.

        Raises:
            OSError: It has none.
        """
        if self._stream is None:
            raise OSError(errno.EBADF, "closed")
        return int(self._stream.fileno())

    @property
    def encoding(self) -> str:
        """How its text is encoded."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    @property
    def is_unicode(self) -> bool:
        """Whether it can show any character."""
        return self.encoding.lower().startswith("utf")

    @property
    def _stream(self) -> Any:
        stream = getattr(sys, self._name)
        return getattr(stream, "rich_proxied_file", stream)  # rich replaces the streams while its spinner turns

    def _failed(self, stream: Any, error: OSError | ValueError) -> None:
        """Write no more to a stream that failed: Python would flush it again at exit, and exit with 120."""
        if stream.closed:
            return
        if isinstance(error, ValueError):
            raise error
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        except OSError:
            return  # it has no file
        if self._name == "stdout" and error.errno != errno.EPIPE:
            raise error


STDOUT = Stream("stdout")
STDERR = Stream("stderr")
