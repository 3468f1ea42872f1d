"""Changelogs, change fragments, and the notes of a release that combine both."""
