"""Environments, the build of a package in one, and what is truly inside the archives that come out."""
