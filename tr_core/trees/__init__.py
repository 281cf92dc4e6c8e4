"""Shapes of draft trees, trees filled with tokens, and the walk to the accepted path. No torch."""
