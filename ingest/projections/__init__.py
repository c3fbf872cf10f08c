"""Projections that come with Passgate. A contract may name one only if PASSGATE_PROJECTIONS lists it."""
