"""How many nodes a draft may have: costs, promises, and where a tree is cut. No torch."""
