"""How a tree is attended to: families, masks, key-value caches, and their twins of fixed shape."""
