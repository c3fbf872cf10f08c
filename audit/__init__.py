"""Judges the facts that `ingest` recorded, and changes none of them. docs/architecture.md says what happens where."""
