"""The form of an upload. This is the only module that uses the parts of twine that uploads depend on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from requests_toolbelt import MultipartEncoder
from twine.exceptions import TwineException
from twine.package import PackageFile

from relnox.core import fixes
from relnox.errors import Failed

__all__ = ["MultipartEncoder", "form_fields", "upload_form"]


def form_fields(path: Path, attestations: Sequence[Path] = ()) -> list[tuple[str, str]]:
    """Return the names and values of the form fields of an upload: the metadata and digests of a file.

    Raises:
        Failed: The metadata of the file is not valid.
    """
    try:
        package = PackageFile.from_filename(str(path), None)
        if attestations:
            package.add_attestations(list(map(str, attestations)))
        metadata = package.metadata_dictionary()
    except TwineException as error:
        raise Failed(
            "metadata-invalid",
            f"{path.name} has metadata that indexes do not accept: {error}",
            fix=f"fix the metadata, then rebuild: {fixes.task_command('build-all')}",
        ) from error
    return [*_metadata_fields(metadata), (":action", "file_upload"), ("protocol_version", "1")]


def _metadata_fields(metadata: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield the names and values of the form fields for metadata.

    A list or mapping results in one field for each of its values; keywords, which PyPI splits at commas, in one.
    """
    for name, value in metadata.items():
        match value:
            case str():
                yield name, value
            case list() if name == "keywords":
                yield name, ", ".join(value)
            case list() | tuple():
                yield from ((name, str(element)) for element in value)
            case dict():
                yield from ((name, f"{label}, {url}") for label, url in value.items())
            case _:
                raise TypeError(f"twine returned {name} as {type(value).__name__}")


def upload_form(fields: list[tuple[str, str]], filename: str, content: BinaryIO) -> MultipartEncoder:
    """Return the form that uploads a file; the file is read while the form is sent."""
    return MultipartEncoder([*fields, ("content", (filename, content, "application/octet-stream"))])
