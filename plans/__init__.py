"""What needs a second person: plans are previewed, submitted, approved by somebody else, and run. docs/plans.md."""
