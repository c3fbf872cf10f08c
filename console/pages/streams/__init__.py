"""`/streams/…`: streams and their contracts."""
