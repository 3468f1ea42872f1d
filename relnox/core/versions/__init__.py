"""Versions: next versions, SemVer, versions in the text of files, and versions derived from tags."""
