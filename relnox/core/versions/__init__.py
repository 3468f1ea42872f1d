"""Versions: computing the next one, conversion to and from SemVer, and versions in the text of files."""
