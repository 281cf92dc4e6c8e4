"""The page: Gradio's controls around one explorer component.

Only this package and app.py know Gradio.
"""
