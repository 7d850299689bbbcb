"""How equipment behaves: explicit time, seeded chance, no protocol."""
