"""Gradio's page and the doors of the server."""
