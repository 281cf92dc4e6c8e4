"""One prompt decoded step by step, and what a run needs to be recorded, taken up elsewhere, or
captured.
"""
