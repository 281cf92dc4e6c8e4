"""Gradio's page and the server's other routes."""
