"""What recorded runs tell: metrics, diagnosis, replays, comparisons, and their words. Reads traces
alone, no torch.
"""
