"""The shell: one module per command, each with `add` and `run`."""
