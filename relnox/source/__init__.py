"""Access to the checkout: discovery of packages, version files, edits of files, changelog tools and git."""
