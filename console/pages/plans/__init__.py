"""`/plans/…`: what waits for a second person, one plan, and every act on it."""
