"""Bumps: wanted levels, the decision which packages get which version, its checks, and the edits of files."""
