"""Keeps, watches and plans: journal, live table, stores, alarm engine, maintenance planner."""
