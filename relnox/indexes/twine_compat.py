"""The upload form, made by twine: all names of twine that uploads rely on are used here.

Importing this module takes half a second, because of twine: import it while requests are running.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from requests_toolbelt import MultipartEncoder
from twine.exceptions import TwineException
from twine.package import PackageFile
from twine.repository import Repository

from relnox.core.planning import fixes
from relnox.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["MultipartEncoder", "fields", "form"]


def fields(path: Path, attestations: Sequence[Path] = ()) -> list[tuple[str, str]]:
    """Return the form fields of an upload: metadata and digests.

    Args:
        path: The file.
        attestations: Paths of its attestations (PEP 740).

    Raises:
        Failed: The metadata is not valid.
    """
    try:
        package = PackageFile.from_filename(str(path), None)
        if attestations:
            package.add_attestations(list(map(str, attestations)))
        metadata = Repository._convert_metadata_to_list_of_tuples(package.metadata_dictionary())  # noqa: SLF001
    except TwineException as error:
        raise Failed(
            "metadata-invalid",
            f"{path.name} has metadata that indexes do not accept: {error}",
            fix=f"fix the metadata, then rebuild: {fixes.command('build-all')}",
        ) from error
    return [*metadata, (":action", "file_upload"), ("protocol_version", "1")]


def form(fields: list[tuple[str, str]], filename: str, content: BinaryIO) -> MultipartEncoder:
    """Return the form for a file, which is read while it is sent."""
    return MultipartEncoder([*fields, ("content", (filename, content, "application/octet-stream"))])
