"""The operating system and the network: programs, files, secrets, requests, each with deadlines and limits."""
