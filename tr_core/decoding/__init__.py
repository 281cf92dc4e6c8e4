"""Decode one prompt step by step, and record, resume or capture the run."""
