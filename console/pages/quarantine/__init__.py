"""`/quarantine/…`: what was set aside, and resolving it."""
