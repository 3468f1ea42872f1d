"""The checkout: what packages are in it, where versions live, how files are edited, what git says."""
