"""Runs of visitors, and the models they run on."""
