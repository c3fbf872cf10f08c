"""What lanes share: the lease of a source, reading a partition from the durable position, collecting a batch."""
