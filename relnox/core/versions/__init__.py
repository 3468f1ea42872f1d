"""Versions: computing the next one, SemVer, versions in the text of files, and versions derived from tags."""
