"""What the proofs are made of: plants made for recordings, comparisons, and the checker of histories."""
