"""The simple repository API's pages, as JSON (PEP 691, PEP 700, PEP 740, PEP 792) and as HTML (PEP 503).

Only values in, text out: what is asked for is negotiated here too, and nothing is read or sent.
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
    """A media type that pages come in; the first is for clients that take anything."""

    TEXT_HTML = "text/html"
    JSON = "application/vnd.pypi.simple.v1+json"
    HTML = "application/vnd.pypi.simple.v1+html"


_LATEST = {
    "application/vnd.pypi.simple.latest+json": Format.JSON.value,
    "application/vnd.pypi.simple.latest+html": Format.HTML.value,
}


def negotiate(accept: str | None) -> Format | None:
    """The format that suits a client best (RFC 9110, section 12.5.1); None when it takes none of them.

    Among formats it likes equally, one that it names comes before one that a wildcard covers.

    Args:
        accept: Its `Accept` header.
    """
    weights = _weights(accept or "*/*")

    def liking(offered: Format) -> tuple[float, int]:
        kind = offered.value.partition("/")[0]
        ranges = ("*/*", f"{kind}/*", offered.value)
        return next(
            ((weights[ranges[rank]], rank) for rank in (2, 1, 0) if ranges[rank] in weights),
            (0.0, 0),
        )

    best = max(Format, key=liking)
    return best if liking(best)[0] > 0 else None


def _weights(accept: str) -> dict[str, float]:
    """Media ranges and how much each is wanted, from 0 to 1."""
    weights: dict[str, float] = {}
    for part in accept.split(","):
        media, *parameters = (word.strip().lower() for word in part.split(";"))
        weight = next((word[2:] for word in parameters if word.startswith("q=")), "1")
        try:
            weights[_LATEST.get(media, media)] = float(weight)
        except ValueError:
            continue  # a range whose weight cannot be read asks for nothing
    return weights


def project_list(projects: Sequence[str], format_: Format) -> str:
    """The page of all projects.

    Args:
        projects: Normalised names.
        format_: What to write it in.
    """
    if format_ is Format.JSON:
        return _json({"projects": [{"name": project} for project in projects]})
    return _html("Simple index", [_anchor(f"{project}/", {}, project) for project in projects])


def project_page(name: str, project: Project, files: Sequence[StoredFile], format_: Format, origin: str) -> str:
    """The page of one project.

    Args:
        name: Its normalised name.
        project: What is known of it.
        files: What there is of it; not shown while it is in quarantine.
        format_: What to write it in.
        origin: Scheme, host and port of the index, for addresses that may not be relative.
    """
    shown = () if project.status == "quarantined" else files
    if format_ is Format.JSON:
        status = {"status": project.status, **({"reason": project.reason} if project.reason else {})}
        versions = [str(version) for version in sorted({file.version for file in shown})]
        listed = [_json_file(file, origin) for file in shown]
        return _json({"name": name, "project-status": status, "versions": versions, "files": listed})
    metas = {"pypi:project-status": project.status, "pypi:project-status-reason": project.reason}
    return _html(f"Links for {name}", [_html_file(file, origin) for file in shown], metas)


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
    """Relative to the project's page, so that it holds whatever the client calls this machine."""
    return f"../../files/{file.filename}"


def _provenance_url(file: StoredFile, origin: str) -> str:
    """Fully qualified, as PEP 740 demands."""
    return f"{origin}/integrity/{file.project}/{file.version}/{file.filename}/provenance"


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps({"meta": {"api-version": "1.4"}, **document})


def _anchor(href: str, attributes: Mapping[str, str | None], text: str) -> str:
    written = {"href": href, **{name: value for name, value in attributes.items() if value is not None}}
    inside = " ".join(f'{name}="{escape(value)}"' for name, value in written.items())
    return f"<a {inside}>{escape(text)}</a><br>"


def _html(title: str, lines: Sequence[str], metas: Mapping[str, str] | None = None) -> str:
    written = {"pypi:repository-version": "1.4", **{name: text for name, text in (metas or {}).items() if text}}
    head = "".join(f'<meta name="{name}" content="{escape(text)}">' for name, text in written.items())
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
