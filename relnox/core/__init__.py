"""Values and pure functions: no files, processes, sockets or environment variables."""
