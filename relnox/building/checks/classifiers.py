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

_CLASSIFIER_PATTERN = re.compile(
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
    valid, deprecated = _load_classifiers()
    for classifier in sorted(set(classifiers)):
        if classifier.startswith("Private ::"):
            if not private:
                yield rejected_by_index(
                    "classifier-private",
                    f"classifier {classifier!r} prevents uploads to the public index",
                    "to publish the package, remove the classifier from project.classifiers in pyproject.toml",
                )
        elif classifier in deprecated:
            successors = " or ".join(map(repr, deprecated[classifier]))
            yield rejected_by_index(
                "classifier-deprecated",
                f"classifier {classifier!r} is deprecated",
                f"replace it with {successors}" if successors else "remove it",
            )
        elif (valid is not None and classifier not in valid) or _CLASSIFIER_PATTERN.fullmatch(classifier) is None:
            yield rejected_by_index(
                "classifier-unknown",
                f"classifier {classifier!r} is not known to the public index",
                "replace it with a classifier that `python -m trove_classifiers` lists "
                f"(to install it: {fixes.install_command('trove-classifiers')})",
            )


@cache
def _load_classifiers() -> tuple[Iterable[str] | None, Mapping[str, list[str]]]:
    """Return the valid classifiers, or None if they are not known, and the successors of deprecated ones."""
    try:
        import trove_classifiers
    except ImportError:
        return None, _DEPRECATED
    return trove_classifiers.classifiers, trove_classifiers.deprecated_classifiers
