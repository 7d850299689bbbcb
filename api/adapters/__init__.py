"""Real and in-memory implementations of the desk's ports."""
