"""The parts of `bump`: selection, changes, preflight checks, summary, undo, and reruns."""
