"""A transformers model as a ``Target``: find, load, pack, split and check it."""
