"""The command line: `passgate`, or `python3 manage.py` in a clone."""
