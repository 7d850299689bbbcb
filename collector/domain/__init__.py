"""What is decided about readings: conditions, alarms, intervals, evidence (pure)."""
