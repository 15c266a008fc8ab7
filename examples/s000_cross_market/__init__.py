"""S000: a cross-market transformer that could not be recreated."""
