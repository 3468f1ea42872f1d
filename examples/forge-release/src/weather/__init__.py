"""Weather of a few stations."""
