"""The facility as written down, the one reader of settings and the one clock."""
