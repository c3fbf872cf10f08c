"""How a measure ends before its time."""


class BenchEnded(Exception):
    """A measure cannot go on; the text is all there is to say."""
