"""Releases: the manifest of built files, distribution over CI jobs, consistency, and what is public."""
