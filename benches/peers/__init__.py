"""What barproof is measured against: loops written to its own contract, and two other libraries."""
