"""PyPI's rules for projects and files, with its messages, so that a rehearsal rejects what PyPI would reject.

PyPI's requirements for archives and their metadata are checked before the upload (`relnox.building.checks`). Names
that PyPI has reserved, and those of standard library modules of other Python versions, are not checked.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from relnox.core.records import Record
from relnox.errors import Blocked
from relnox.indexes.embedded.stored_files import file_exists_message, identify

if TYPE_CHECKING:
    from relnox.indexes.embedded.incoming import IncomingFile
    from relnox.indexes.embedded.store import Store

_DAY = 86400.0


class Rules(Record, kw_only=True):
    """The rules for uploads.

    Attributes:
        max_size: The maximum size of a file in bytes.
        window: The seconds after its first file during which a release accepts more files.
    """

    max_size: int = 100 << 20
    window: float = 14 * _DAY

    def check_project(self, name: str, store: Store) -> None:
        """Check the name of a new project.

        Raises:
            Blocked: The name breaks a rule; the message is that of PyPI.
        """
        if canonicalize_name(name) in {canonicalize_name(module) for module in sys.stdlib_module_names}:
            raise Blocked(
                "upload-rejected",
                f"The name {name!r} isn't allowed (conflict with Python Standard Library module name).",
            )
        if _without_lookalikes(name) in map(_without_lookalikes, store.names()):
            raise Blocked("upload-rejected", f"The name {name!r} is too similar to an existing project.")

    def check_file(self, filename: str, incoming: IncomingFile, store: Store) -> None:
        """Check a file whose name does not exist on the index yet.

        Raises:
            Blocked: The file breaks a rule; the message is that of PyPI.
        """
        project, version = identify(filename)
        if incoming.size > self.max_size:
            limit = f"{self.max_size >> 20} MB"
            raise Blocked("upload-rejected", f"File too large. Limit for project {project!r} is {limit}.")
        if same := store.find_content(incoming.digests["sha256"]):
            raise Blocked(
                "upload-rejected",
                f"{file_exists_message(same.filename, same.blake2_256)} It was sent as {filename!r}.",
            )
        release = [file for file in store.files(project) if file.version == version]
        if release and store.clock() - min(file.uploaded for file in release) > self.window:
            raise Blocked(
                "upload-rejected",
                f"Uploading new files to releases older than {round(self.window / _DAY)} days is not allowed.",
            )
        is_wheel = filename.endswith(".whl")
        if not is_wheel and any(not file.filename.endswith(".whl") for file in release):
            raise Blocked("upload-rejected", "Only one sdist may be uploaded per release.")


def _without_lookalikes(name: str) -> str:
    """Return a name without separators, and with characters that look alike replaced, to find similar names."""
    return re.sub("[il]", "1", re.sub("[._-]", "", name.lower())).replace("o", "0")
