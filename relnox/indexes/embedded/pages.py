"""Pages of the simple repository API, as JSON (PEP 691, PEP 700) and as HTML (PEP 503).

All functions are pure, including content negotiation.
"""

from __future__ import annotations

import json
from enum import StrEnum
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relnox.indexes.embedded.stored_files import StoredFile


class Format(StrEnum):
    """The media type of a page."""

    HTML = "text/html"
    JSON = "application/vnd.pypi.simple.v1+json"


def negotiate(accept: str | None) -> Format:
    """Return the format of the response: JSON if the client lists its media type, as installers do, else HTML.

    Args:
        accept: The value of the `Accept` header, or None if there is none.
    """
    return Format.JSON if Format.JSON in (accept or "").lower() else Format.HTML


def project_list(projects: Sequence[str], format_: Format) -> str:
    """Render the page that lists all projects."""
    if format_ is Format.JSON:
        return _json_page({"projects": [{"name": project} for project in projects]})
    return _html_page("Simple index", [_html_link(f"{project}/", {}, project) for project in projects])


def project_page(project: str, files: Sequence[StoredFile], format_: Format) -> str:
    """Render the page of a project."""
    if format_ is Format.JSON:
        versions = [str(version) for version in sorted({file.version for file in files})]
        return _json_page(
            {"name": project, "versions": versions, "files": [_file_as_json(file) for file in files]}
        )
    return _html_page(f"Links for {project}", [_html_file(file) for file in files])


def _file_as_json(file: StoredFile) -> dict[str, Any]:
    optional = {
        "requires-python": file.requires_python,
        "core-metadata": file.metadata_sha256 and {"sha256": file.metadata_sha256},  # PEP 658, PEP 714
    }
    return {
        "filename": file.filename,
        "url": _url_of_file(file),
        "hashes": {"sha256": file.sha256},
        "size": file.size,
        "upload-time": file.upload_time,
        **{key: value for key, value in optional.items() if value},
    }


def _html_file(file: StoredFile) -> str:
    attributes = {
        "data-requires-python": file.requires_python or None,
        "data-core-metadata": file.metadata_sha256 and f"sha256={file.metadata_sha256}",
    }
    return _html_link(f"{_url_of_file(file)}#sha256={file.sha256}", attributes, file.filename)


def _url_of_file(file: StoredFile) -> str:
    """Return the URL of a file relative to the project's page, so that it is valid for any host name."""
    return f"../../files/{file.filename}"


def _json_page(document: Mapping[str, Any]) -> str:
    return json.dumps({"meta": {"api-version": "1.4"}, **document})


def _html_link(href: str, attributes: Mapping[str, str | None], text: str) -> str:
    non_empty = {"href": href, **{name: value for name, value in attributes.items() if value is not None}}
    markup = " ".join(f'{name}="{escape(value)}"' for name, value in non_empty.items())
    return f"<a {markup}>{escape(text)}</a><br>"


def _html_page(title: str, lines: Sequence[str]) -> str:
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            '<head><meta charset="utf-8"><meta name="pypi:repository-version" content="1.4">',
            f"<title>{escape(title)}</title></head>",
            "<body>",
            *lines,
            "</body>",
            "</html>",
            "",
        ]
    )
