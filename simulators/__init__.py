"""Strangers who speak protocols: equipment physics, protocol servers, faults, scenarios."""
