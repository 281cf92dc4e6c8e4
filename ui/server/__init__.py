"""Limits, log, counters, queue: what knows neither a run nor a page."""
