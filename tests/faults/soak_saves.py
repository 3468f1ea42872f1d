"""What a person saves while a release is bumped stays, and is in no release: `nox -s soak`."""

from __future__ import annotations

import random
import shutil
import sys
from typing import TYPE_CHECKING

from projects import git, pair, remote_of, repository, write
from stopped_bumps import BASE, EDITED, RELEASE, with_hook
from stops import start

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SAVES = 424
MINE = "# what I have just written\n"
FILES = (*EDITED, "packages/base/CHANGELOG.md", "README.md")
SCENES: dict[str, Callable[[Path], Path]] = {
    "a bump": lambda root: root,
    "while a hook runs": lambda root: with_hook(root, "sleep 0.2"),
    "before the commit": lambda root: with_hook(root, "sleep 0.1", "commit-msg"),
    "a hook that edits": lambda root: with_hook(root, f"echo '# a hook' >> {BASE}; git add {BASE}"),
    "undone by a hook": lambda root: with_hook(root, "sleep 0.1; exit 1", "commit-msg"),
    "undone after the commit": lambda root: with_hook(
        root, "if grep -q refs/tags; then exit 1; fi", "reference-transaction"
    ),
}
DRIVER = """\
import os, sys, threading, time

at, delay, file, old, rename, *words = sys.argv[1:]
seen, mine = 0, threading.local()

def save():
    mine.saving = True
    with open(file, encoding="utf-8") as current:
        text = old or current.read()
    with open(file + "~" if rename == "1" else file, "w", encoding="utf-8") as new:
        new.write(text + "# what I have just written\\n")
    if rename == "1":
        os.replace(file + "~", file)
    print("saved", flush=True)

def later():
    time.sleep(float(delay))
    save()

def hook(event, arguments):
    global seen
    is_open = event == "open" and str(arguments[0]).startswith(os.getcwd())
    is_change = is_open or event == "subprocess.Popen"
    is_main = threading.current_thread() is threading.main_thread()
    if getattr(mine, "saving", False) or not (is_change and is_main):
        return
    seen += 1
    if seen == int(at):
        save() if delay == "0" else threading.Thread(target=later).start()
    mine.saving = False

from relnox.__main__ import main
sys.addaudithook(hook)
sys.argv[1:] = words
code = main()
print("moments:", seen)
sys.exit(code)
"""
"""Save a file before relnox opens one or starts a program for the n-th time, or a while after it.

Not between the last comparison of a file and its replacement: no system call does both.
"""


def test_what_is_saved_at_any_moment_stays_and_is_not_released(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    rng, counts = random.Random(seed), dict.fromkeys(("saved", "tagged", "lost", "released"), 0)
    templates = {scene: scene_of(tmp_path / f"template{number}", scene) for number, scene in enumerate(SCENES)}
    root = tmp_path / "run" / "pair"
    moments = {scene: save_during_bump(templates[scene], root, "0", "0", BASE, "", "0") for scene in SCENES}
    while counts["saved"] < SAVES:
        scene, file = rng.choice([*SCENES]), rng.choice(FILES)
        at, old = rng.randint(1, moments[scene][0]), (templates[scene] / file).read_text(encoding="utf-8")
        delay = rng.choice(("0", "0", f"{rng.uniform(0, 0.4):.3f}"))
        words = (str(at), delay, file, rng.choice((old, "")), rng.choice("01"))
        _, is_saved, printed = save_during_bump(templates[scene], root, *words)
        base = git(templates[scene], "rev-parse", "HEAD")
        happened = {
            "saved": is_saved,
            "tagged": git(root, "tag") != "",
            "lost": is_saved and MINE not in (root / file).read_text(encoding="utf-8"),
            "released": MINE.strip() in git(root, "log", "--all", "--patch", f"^{base}", "--"),
        }
        for name, value in happened.items():
            counts[name] += value
        if happened["lost"] or happened["released"]:
            sys.stdout.write(f"{happened}: {scene}, {words}, seed {seed}\n{printed}\n")
    sys.stdout.write(f"{counts}, moments: { {scene: count for scene, (count, *_) in moments.items()} }\n")
    assert (counts["lost"], counts["released"]) == (0, 0)


def save_during_bump(template: Path, root: Path, *words: str) -> tuple[int, bool, str]:
    """Bump a copy of a project; return how many moments there were, whether a file was saved, and the output."""
    shutil.rmtree(root.parent, ignore_errors=True)
    shutil.copytree(template.parent, root.parent, symlinks=True)
    git(root, "remote", "set-url", "origin", str(remote_of(root)))
    _, printed = start(root, "-c", DRIVER, *words, *RELEASE).ended()
    assert "moments:" in printed, (words, printed)
    return int(printed.rpartition("moments:")[2].split()[0]), "saved\n" in printed, printed


def scene_of(root: Path, scene: str) -> Path:
    """A project with a changelog whose bump has a hook."""
    changes = "# Changes\n\n## Unreleased\n\n- x\n"
    write(pair(root / "pair"), {"README.md": "# pair\n", "packages/base/CHANGELOG.md": changes})
    return SCENES[scene](repository(root / "pair"))
