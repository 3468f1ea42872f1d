"""The pure middle: values and arithmetic, without files, processes, sockets or the environment."""
