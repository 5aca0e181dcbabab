"""The shell: one module a command, each with `add` and `run`."""
