"""No deadline for an example: on a busy machine a slow one says nothing about the code."""

from hypothesis import settings

settings.register_profile("passgate", deadline=None)
settings.load_profile("passgate")
