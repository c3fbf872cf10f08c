"""Judges the facts that `ingest` recorded, and changes none of them (DESIGN 2)."""
