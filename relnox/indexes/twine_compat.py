"""The wire format of uploads, which is twine's: every name of twine that sending a file relies on stands here.

Opening this room costs what twine's imports cost, half a second: open it while the index is being asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from requests_toolbelt import MultipartEncoder
from twine.exceptions import TwineException
from twine.package import PackageFile
from twine.repository import Repository

from relnox.core import fixes
from relnox.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["MultipartEncoder", "fields", "form"]


def fields(path: Path, attestations: Sequence[Path] = ()) -> list[tuple[str, str]]:
    """What an upload says of a file: its metadata and its digests, as the fields of a form.

    Args:
        path: The file.
        attestations: Files with what attests it (PEP 740).

    Raises:
        Failed: The metadata is such that no index takes it.
    """
    try:
        package = PackageFile.from_filename(str(path), None)
        if attestations:
            package.add_attestations([str(each) for each in attestations])
        told = Repository._convert_metadata_to_list_of_tuples(package.metadata_dictionary())  # noqa: SLF001
    except TwineException as error:
        raise Failed(
            "todo", f"{path.name} has metadata that no index takes: {error}", fix=fixes.command("build-all")
        ) from error
    return [*told, (":action", "file_upload"), ("protocol_version", "1")]


def form(told: list[tuple[str, str]], filename: str, content: BinaryIO) -> MultipartEncoder:
    """The form that carries a file; it is read as it is sent."""
    return MultipartEncoder([*told, ("content", (filename, content, "application/octet-stream"))])
