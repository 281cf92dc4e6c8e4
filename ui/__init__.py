"""The page: Gradio's controls around one explorer component. All that knows Gradio is here and in
app.py.
"""
