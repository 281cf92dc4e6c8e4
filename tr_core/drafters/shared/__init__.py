"""Parts that several drafters share."""
