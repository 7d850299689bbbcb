"""Real and in-memory implementations of the collector's ports."""
