"""`/unknown/…`: publishes nobody knows the end of, and reconciling them; `/attempts/…`: one attempt."""
