"""What every room needs and none owns.

`files` writes whole or not at all, `outputs` says beforehand where nothing may be written, `shapes` looks at what was
read. `interrupts` holds Ctrl-C back, `signals` makes SIGTERM and SIGHUP go its way, `streams` says what is to be said.
"""
