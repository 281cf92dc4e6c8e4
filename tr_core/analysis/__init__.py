"""Metrics, diagnosis, replays and comparisons of recorded runs. Reads traces alone, no torch."""
