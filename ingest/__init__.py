"""Facts: what arrived, what became of it, where it went. Judges nothing."""
