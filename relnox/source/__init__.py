"""The checkout: discovery of packages, version files, edits, changelog tools, git."""
