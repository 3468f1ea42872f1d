"""Access to git: queries of a checkout (`repository`), commits and tags (`changes`, `trees`), and remotes."""

from relnox.source.git.repository import Git, GitState, find_repository, parse_tags

__all__ = ["Git", "GitState", "find_repository", "parse_tags"]
