"""Records for the browser, and back."""
