"""What one browser tab has: its run, comparisons, files, links."""
