"""Build environments, builds of packages in them, and inspection of the built archives."""
