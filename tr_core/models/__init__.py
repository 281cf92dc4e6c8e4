"""A transformers model behind the ``Target`` protocol: found, loaded, packed, split, checked."""
