"""Work orders and their clocks (pure)."""
