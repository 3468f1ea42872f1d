"""The upload API ("legacy"): what a form must say before the file it carries is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import Version

from relnox.errors import Refused
from relnox.indexes.embedded.store import identify

if TYPE_CHECKING:
    from relnox.indexes.embedded.multipart import Form
    from relnox.indexes.embedded.store import Incoming

__all__ = ["take"]

_DIGEST_FIELDS = {"sha256_digest": "sha256", "blake2_256_digest": "blake2_256", "md5_digest": "md5"}


def take(form: Form, incoming: Incoming) -> str:
    """Keep the file of an upload.

    Args:
        form: What came with it.
        incoming: The file, complete.

    Returns:
        What was done, in a few words.

    Raises:
        Refused: The form is not complete or contradicts itself.
        Conflict: The store holds another file of that name.
    """
    filename = _checked_filename(form)
    _check_digests(form, filename, incoming)
    new = incoming.keep(filename, requires_python=form.optional("requires_python"))
    return f"{filename} is stored" if new else f"{filename} was there already, with the same bytes"


def _checked_filename(form: Form) -> str:
    """The name of the file, if it is the distribution that the form says it is."""
    action = form.required(":action")
    if action != "file_upload":
        raise Refused(f"the embedded index knows no action {action!a}, only file_upload")
    protocol = form.optional("protocol_version")
    if protocol not in (None, "1"):
        raise Refused(f"the embedded index knows no upload protocol {protocol!a}, only 1")
    if form.filename is None:
        raise Refused("the form carries no file called content")
    project, version = identify(form.filename)
    name, declared = form.required("name"), form.required("version")
    try:
        agrees = canonicalize_name(name, validate=True) == project and Version(declared) == version
    except ValueError as error:
        raise Refused(f"{form.filename} was sent with an impossible name or version: {error}") from error
    if not agrees:
        raise Refused(
            f"{form.filename} was sent as {name} {declared}, but its name says {project} {version}",
            hint="do not rename what was built",
        )
    return form.filename


def _check_digests(form: Form, filename: str, incoming: Incoming) -> None:
    """Compare what arrived with every digest that was sent along."""
    arrived = incoming.digests
    for field, algorithm in _DIGEST_FIELDS.items():
        sent = form.optional(field)
        if sent is not None and sent.lower() != arrived[algorithm]:
            raise Refused(
                f"{filename} arrived with {algorithm} {arrived[algorithm]}, but was sent as {sent!a}",
                hint="send it again",
            )
