"""Runs inside an environment that is verified, by its own Python (3.8 or newer), isolated.

Called as `python -I probe.py REQUEST ANSWER`, two paths. The request is a Python literal that names modules to
import, functions of scripts to look for and a folder to load nothing from, or an expression to evaluate. The
answer is a literal on each line; it grows, so that it tells how far it came when an import never ends or ends the
interpreter.

`relnox.building.probing` asks. As nearly nothing as possible is imported here: an environment is asked in the time
that a Python takes to start.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

EXPRESSION = "<smoke>"
SITE = [path for path in sys.path if path.startswith(sys.prefix) and path.endswith("site-packages")]


class Answer:
    """What is told, line by line, into a file that is open before anything foreign runs."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._process = os.getpid()

    def tell(self, **line: object) -> None:
        """Write a line; a copy of the process that an import made by forking ends here."""
        if os.getpid() != self._process:
            os._exit(0)
        os.write(self._file, (ascii(line) + "\n").encode())

    def failed(self, what: str, error: BaseException) -> None:
        """Write down what was raised."""
        told = f": {error}" if str(error) else ""
        lacks = error.name if isinstance(error, ModuleNotFoundError) else None
        self.tell(fault=f"{what} fails: {type(error).__name__}{told}", lacks=lacks, where=place_of(error))


def main(request_path: str, answer_path: str) -> None:
    """Answer a request."""
    with open(request_path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib is not quick to open
        request = eval(file.read())  # noqa: S307 - relnox wrote it
    answer = Answer(answer_path)
    sys.argv[:] = ["-c"]
    tasks: list[tuple[str, Callable[..., None], tuple[str, ...]]] = []
    tasks += [(f"import {name}", look_at, (name,)) for name in request.get("modules", ())]
    for name, target in request.get("scripts", {}).items():
        tasks.append((f"the script {name} ({target})", look_for, (name, target)))
    if "expression" in request:
        tasks.append((request["expression"], evaluate, (request["expression"],)))
    answer.tell(standard=sorted(getattr(sys, "stdlib_module_names", ())))
    for what, task, about in tasks:
        answer.tell(doing=what)
        try:
            task(*about, answer)
        except BaseException as error:  # noqa: BLE001 - whatever foreign code does is to be told
            answer.failed(what, error)
    for name, place in loaded_from(request.get("root")):
        answer.tell(fault=f"{name} is loaded from {place}: that is the source tree")
    answer.tell(done=True)


def look_at(name: str, answer: Answer) -> None:
    """Import a module, and see where it is and which version it states."""
    module = import_module(name)
    stated = getattr(module, "__version__", None)
    answer.tell(imported=name, states=stated if isinstance(stated, str) else None)
    for place in places(module):
        if not is_inside(place):
            answer.tell(fault=f"import {name} takes it from {place}, which is not in the environment")


def look_for(name: str, target: str, answer: Answer) -> None:
    """See that the function of a script is there."""
    module, _, attributes = target.partition(":")
    found = import_module(module.strip())
    for attribute in filter(None, attributes.strip().split(".")):
        found = getattr(found, attribute)
    if callable(found):
        answer.tell(script=name)
    else:
        answer.tell(fault=f"the script {name} calls {target}, which is no function")


def evaluate(expression: str, _: Answer) -> None:
    """Evaluate an expression in which modules are named by their full names; a status of 0 is a good end."""
    import ast

    names: dict[str, object] = {}
    for node in ast.walk(ast.parse(expression, mode="eval")):
        for dotted in dotted_names(node):
            import_if_module(dotted, names)
    try:
        eval(compile(expression, EXPRESSION, "eval"), names)  # noqa: S307 - the project's own configuration
    except SystemExit as error:
        if error.code not in (None, 0):
            raise


def dotted_names(node: object) -> list[str]:
    """`a`, `a.b` and `a.b.c` for an expression `a.b.c`."""
    parts: list[str] = []
    while hasattr(node, "attr") and hasattr(node, "value"):
        parts.append(node.attr)
        node = node.value
    if not hasattr(node, "id"):
        return []
    parts.append(node.id)
    parts.reverse()
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


def import_if_module(dotted: str, names: dict[str, object]) -> None:
    """Import `dotted` if it is a module; an attribute of one is no fault."""
    try:
        import_module(dotted)
    except ModuleNotFoundError as error:
        # Not a module itself; but what a real module lacks is told.
        if error.name is None or not (dotted == error.name or dotted.startswith(error.name + ".")):
            raise
        return
    root = dotted.partition(".")[0]
    names[root] = sys.modules[root]


def loaded_from(folder: str | None) -> list[tuple[str, str]]:
    """Loaded modules of a folder with their places; an environment or a Python that is in there is none of it."""
    return [
        (name, place)
        for name, module in sorted(sys.modules.items())
        for place in places(module)
        if folder is not None
        and is_below(place, folder)
        and not any(is_below(place, own) for own in (sys.prefix, sys.base_prefix))
    ]


def places(module: object) -> list[str]:
    """The file of a module; the folders of a namespace package."""
    try:
        file = getattr(module, "__file__", None)
        return [file] if isinstance(file, str) else [str(each) for each in getattr(module, "__path__", ())]
    except Exception:  # noqa: BLE001 - modules may be objects of any kind
        return []


def is_inside(place: str) -> bool:
    """Whether a file is among the installed ones."""
    return any(is_below(place, folder) for folder in SITE)


def is_below(place: str, folder: str) -> bool:
    """Whether a file is in a folder; `<frozen …>` and the like are no files."""
    within = os.path.join(os.path.realpath(folder), "")  # noqa: PTH118 - as above
    return os.path.isabs(place) and os.path.realpath(place).startswith(within)  # noqa: PTH117


def place_of(error: BaseException) -> str | None:
    """Where an error came from: the last line of installed code on its way."""
    found, frame = None, error.__traceback__
    while frame is not None:
        name = frame.tb_frame.f_code.co_filename
        for folder in SITE:
            if is_below(name, folder):
                within = os.path.relpath(os.path.realpath(name), os.path.realpath(folder))
                found = f"{within}, line {frame.tb_lineno}"
        frame = frame.tb_next
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
