"""Release Python packages from importable nox sessions and invoke tasks: planned, resumable, proven.

A noxfile imports from `relnox.sessions`, a tasks file from `relnox.tasks`; the command line is `relnox`.
"""
