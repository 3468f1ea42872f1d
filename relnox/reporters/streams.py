"""Standard output and standard error, for any encoding, and without errors for closed pipes."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from relnox.core.text import escape_line
from relnox.system.secrets import mask_secrets


class Stream:
    """A standard stream, looked up in `sys` for each use because tests and front ends replace it.

    Characters that the encoding lacks are written as escapes. Output to a closed pipe is dropped. A full disk is
    an error on standard output (results), but not on standard error (progress).

    Args:
        name: The name in `sys`: `stdin`, `stdout` or `stderr`.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._target: Stream | None = None
        self._ignores_errors = False

    @contextmanager
    def ignoring_errors(self) -> Iterator[None]:
        """Inside a `with` block, drop all output after an error such as a full disk; do not raise the error."""
        before, self._ignores_errors = self._ignores_errors, True
        try:
            yield
        finally:
            self._ignores_errors = before

    @contextmanager
    def redirect_to(self, target: Stream | None) -> Iterator[None]:
        """Redirect the output to another stream inside a `with` block; None undoes that of an outer block."""
        before, self._target = self._target, target
        try:
            yield
        finally:
            self._target = before

    def write_line(self, text: str, *, end: str = "\n") -> None:
        """Write a line of untrusted text, with secrets masked and control characters escaped."""
        self.write_unescaped_line(escape_line(mask_secrets(text)), end=end)

    def write_unescaped_line(self, text: str, *, end: str = "\n") -> None:
        """Write a line as it is, for commands to a CI provider whose values are escaped already."""
        self.write(f"{text}{end}")
        self.flush()

    def write(self, text: str) -> int:
        """Write text and return its length; a closed pipe and, on standard error, a full disk are ignored."""
        stream = self._stream
        if stream is not None:
            try:
                stream.write(text)
            except UnicodeEncodeError:
                encoding = self.encoding
                self.write(text.encode(encoding, "backslashreplace").decode(encoding))
            except (OSError, ValueError) as error:
                self._discard_further_output(stream, error)
        return len(text)

    def flush(self) -> None:
        """Flush the stream; a closed pipe and, on standard error, a full disk are ignored."""
        stream = self._stream
        if stream is not None:
            try:
                stream.flush()
            except (OSError, ValueError) as error:
                self._discard_further_output(stream, error)

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        try:
            return self._stream is not None and bool(self._stream.isatty())
        except ValueError:  # the stream is closed
            return False

    @property
    def encoding(self) -> str:
        """The encoding of the stream in `sys`, or `utf-8` if it has none."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    @property
    def _stream(self) -> Any:
        if self._target is not None:
            return self._target._stream  # noqa: SLF001 - the same class
        stream = getattr(sys, self._name)
        return getattr(stream, "rich_proxied_file", stream)  # rich replaces the streams while its spinner runs

    def _discard_further_output(self, stream: Any, error: OSError | ValueError) -> None:
        """Redirect a failed stream to os.devnull: Python would exit with 120 if flushing it failed at exit."""
        if stream.closed:
            return
        if isinstance(error, ValueError):
            raise error
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        except OSError:
            return  # it has no file descriptor
        if self._name == "stdout" and error.errno != errno.EPIPE and not self._ignores_errors:
            raise error


STDIN = Stream("stdin")
STDOUT = Stream("stdout")
STDERR = Stream("stderr")
