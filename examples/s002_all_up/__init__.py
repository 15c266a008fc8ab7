"""S002: one hundred percent accuracy."""
