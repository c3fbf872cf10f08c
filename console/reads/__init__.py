"""What pages read, one module per area. Every function is bounded, and none asks once per row."""
