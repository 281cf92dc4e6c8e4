"""Steps of fixed shape that can be captured as one graph."""
