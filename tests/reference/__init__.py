"""Slow twins: plain implementations written from the definitions alone."""
