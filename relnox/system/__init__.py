"""Access to the operating system and the network: programs, files, secrets and requests, with time limits."""
