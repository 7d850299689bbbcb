"""The command line: one module per command, the only composition root."""
