"""Checks for classifiers that the public index rejects."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from relnox.building.findings import rejected_by_index
from relnox.core.planning import fixes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from relnox.building.findings import Finding

_FORM = re.compile(
    r"(Development Status|Environment|Framework|Intended Audience|License|Natural Language|Operating System"
    r"|Programming Language|Topic|Typing)( :: \S(.*\S)?)+"
)
_DEPRECATED = {
    "Framework :: Django CMS :: 4.2": ["Framework :: Django CMS :: 5.0"],
    "Natural Language :: Ukranian": ["Natural Language :: Ukrainian"],
    "Topic :: Communications :: Chat :: AOL Instant Messenger": [],
}
"""Maps deprecated classifiers to their successors, for use if trove-classifiers is not installed."""


def check_classifiers(classifiers: Iterable[str], *, private: bool) -> Iterator[Finding]:
    """Yield the classifiers that the public index rejects; `private` allows those that begin with `Private ::`."""
    deprecated, valid = _lists()
    for classifier in sorted(set(classifiers)):
        if classifier.startswith("Private ::"):
            if not private:
                yield rejected_by_index(
                    "classifier-private",
                    f"classifier {classifier!r} prevents publishing to the public index",
                    "to publish the package, remove the classifier from project.classifiers, or from the code "
                    "that adds it to the metadata",
                )
        elif classifier in deprecated:
            successors = " or ".join(map(repr, deprecated[classifier]))
            yield rejected_by_index(
                "classifier-deprecated",
                f"classifier {classifier!r} is deprecated",
                f"replace it with {successors}" if successors else "remove it",
            )
        elif (valid is not None and classifier not in valid) or _FORM.fullmatch(classifier) is None:
            yield rejected_by_index(
                "classifier-unknown",
                f"classifier {classifier!r} is not known to the public index",
                "use one of those that `python -m trove_classifiers` prints "
                f"({fixes.install('trove-classifiers')})",
            )


@cache
def _lists() -> tuple[Mapping[str, list[str]], Iterable[str] | None]:
    """Return deprecated classifiers mapped to their successors, and the valid ones, or None if unknown."""
    try:
        import trove_classifiers
    except ImportError:
        return _DEPRECATED, None
    return trove_classifiers.deprecated_classifiers, trove_classifiers.classifiers
