"""Shows, asks, and calls verbs; it has no rules of its own."""
