"""`/find`: events, runs, digests, offsets and people, found by what one has of them; what a filter box understands."""
