"""What several drafters are made of."""
