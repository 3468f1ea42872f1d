"""Classifiers: which ones the public index takes."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from relnox.building.findings import refusal
from relnox.core import fixes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from relnox.building.findings import Found

__all__ = ["check"]

_FORM = re.compile(
    r"(Development Status|Environment|Framework|Intended Audience|License|Natural Language|Operating System"
    r"|Programming Language|Topic|Typing)( :: \S(.*\S)?)+"
)
_DEPRECATED = {
    "Framework :: Django CMS :: 4.2": ["Framework :: Django CMS :: 5.0"],
    "Natural Language :: Ukranian": ["Natural Language :: Ukrainian"],
    "Topic :: Communications :: Chat :: AOL Instant Messenger": [],
}
"""Those of today; the list of trove-classifiers counts where it is installed (`pip install 'relnox[check]'`)."""


def check(stated: Iterable[str], *, private: bool) -> Iterator[Found]:
    """Every classifier for which the public index refuses the file.

    Args:
        stated: The classifiers of the metadata.
        private: Whether the plan knows that the package is private.
    """
    deprecated, known = _lists()
    for each in sorted(set(stated)):
        if each.startswith("Private ::"):
            if not private:
                yield refusal(
                    "todo",
                    f"the classifier {each!r} keeps it off the public index",
                    "take it away to publish the package; who adds it, if pyproject.toml does not?",
                )
        elif each in deprecated:
            instead = " or ".join(map(repr, deprecated[each])) or "nothing"
            yield refusal("todo", f"the classifier {each!r} is deprecated", f"write {instead} instead")
        elif (known is not None and each not in known) or _FORM.fullmatch(each) is None:
            yield refusal(
                "todo",
                f"the public index knows no classifier {each!r}",
                f"they are listed by `python -m trove_classifiers` ({fixes.install('trove-classifiers')})",
            )


@cache
def _lists() -> tuple[Mapping[str, list[str]], Iterable[str] | None]:
    """Deprecated classifiers and their successors; all others, where that list is installed."""
    try:
        import trove_classifiers
    except ImportError:
        return _DEPRECATED, None
    return trove_classifiers.deprecated_classifiers, trove_classifiers.classifiers
