"""Pages of the simple repository API, as JSON (PEP 691, PEP 700, PEP 740, PEP 792) and as HTML (PEP 503).

These functions are pure, content negotiation included.
"""

from __future__ import annotations

import json
from enum import StrEnum
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relnox.indexes.embedded.projects import Project
    from relnox.indexes.embedded.store import StoredFile

__all__ = ["Format", "negotiate", "project_list", "project_page"]


class Format(StrEnum):
    """Media types of pages; the first is the default."""

    TEXT_HTML = "text/html"
    JSON = "application/vnd.pypi.simple.v1+json"
    HTML = "application/vnd.pypi.simple.v1+html"


_LATEST = {
    "application/vnd.pypi.simple.latest+json": Format.JSON.value,
    "application/vnd.pypi.simple.latest+html": Format.HTML.value,
}


def negotiate(accept: str | None) -> Format | None:
    """Return the format that a client prefers (RFC 9110, section 12.5.1); None if it accepts none of them.

    Of formats with the same weight, one that is named precedes one that a wildcard covers.

    Args:
        accept: The `Accept` header.
    """
    weights = _weights(accept or "*/*")

    def preference(format_: Format) -> tuple[float, int]:
        kind = format_.value.partition("/")[0]
        ranges = ("*/*", f"{kind}/*", format_.value)
        return next(
            ((weights[ranges[rank]], rank) for rank in (2, 1, 0) if ranges[rank] in weights),
            (0.0, 0),
        )

    best = max(Format, key=preference)
    return best if preference(best)[0] > 0 else None


def _weights(accept: str) -> dict[str, float]:
    """Parse an `Accept` header into media ranges and their weights."""
    weights: dict[str, float] = {}
    for part in accept.split(","):
        media, *parameters = (word.strip().lower() for word in part.split(";"))
        weight = next((word[2:] for word in parameters if word.startswith("q=")), "1")
        try:
            weights[_LATEST.get(media, media)] = float(weight)
        except ValueError:
            continue  # ignore ranges with invalid weights
    return weights


def project_list(projects: Sequence[str], format_: Format) -> str:
    """Render the page of all projects.

    Args:
        projects: Normalized names.
        format_: The format.
    """
    if format_ is Format.JSON:
        return _json({"projects": [{"name": project} for project in projects]})
    return _html("Simple index", [_anchor(f"{project}/", {}, project) for project in projects])


def project_page(name: str, project: Project, files: Sequence[StoredFile], format_: Format, origin: str) -> str:
    """Render the page of a project.

    Args:
        name: Its normalized name.
        project: The project.
        files: Its files, which are not listed if it is quarantined.
        format_: The format.
        origin: Scheme, host and port of the index, for absolute URLs.
    """
    files = () if project.status == "quarantined" else files
    if format_ is Format.JSON:
        status = {"status": project.status, **({"reason": project.reason} if project.reason else {})}
        versions = [str(version) for version in sorted({file.version for file in files})]
        entries = [_json_file(file, origin) for file in files]
        return _json({"name": name, "project-status": status, "versions": versions, "files": entries})
    metas = {"pypi:project-status": project.status, "pypi:project-status-reason": project.reason}
    return _html(f"Links for {name}", [_html_file(file, origin) for file in files], metas)


def _json_file(file: StoredFile, origin: str) -> dict[str, Any]:
    optional = {
        "yanked": file.yanked is not None and (file.yanked or True),  # PEP 592: the reason, if there is one
        "provenance": file.has_provenance and _provenance_url(file, origin),
        "requires-python": file.requires_python,
        "core-metadata": file.metadata_sha256 and {"sha256": file.metadata_sha256},  # PEP 658, PEP 714
    }
    return {
        "filename": file.filename,
        "url": _url(file),
        "hashes": {"sha256": file.sha256},
        "size": file.size,
        "upload-time": file.upload_time,
        **{key: value for key, value in optional.items() if value},
    }


def _html_file(file: StoredFile, origin: str) -> str:
    attributes = {
        "data-yanked": file.yanked,
        "data-provenance": _provenance_url(file, origin) if file.has_provenance else None,
        "data-requires-python": file.requires_python or None,
        "data-core-metadata": file.metadata_sha256 and f"sha256={file.metadata_sha256}",
    }
    return _anchor(f"{_url(file)}#sha256={file.sha256}", attributes, file.filename)


def _url(file: StoredFile) -> str:
    """Return a URL relative to the project's page, which works for any host name of this machine."""
    return f"../../files/{file.filename}"


def _provenance_url(file: StoredFile, origin: str) -> str:
    """Return an absolute URL, as PEP 740 requires."""
    return f"{origin}/integrity/{file.project}/{file.version}/{file.filename}/provenance"


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps({"meta": {"api-version": "1.4"}, **document})


def _anchor(href: str, attributes: Mapping[str, str | None], text: str) -> str:
    non_empty = {"href": href, **{name: value for name, value in attributes.items() if value is not None}}
    markup = " ".join(f'{name}="{escape(value)}"' for name, value in non_empty.items())
    return f"<a {markup}>{escape(text)}</a><br>"


def _html(title: str, lines: Sequence[str], metas: Mapping[str, str] | None = None) -> str:
    non_empty = {"pypi:repository-version": "1.4", **{name: text for name, text in (metas or {}).items() if text}}
    head = "".join(f'<meta name="{name}" content="{escape(text)}">' for name, text in non_empty.items())
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            f'<head><meta charset="utf-8">{head}',
            f"<title>{escape(title)}</title></head>",
            "<body>",
            *lines,
            "</body>",
            "</html>",
            "",
        ]
    )
