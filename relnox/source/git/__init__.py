"""Access to git: queries of a checkout (`repository`), commits and tags (`commits`), and `remotes`."""

from relnox.source.git.repository import Git, GitState, commits_of_tags, find_repository

__all__ = ["Git", "GitState", "commits_of_tags", "find_repository"]
