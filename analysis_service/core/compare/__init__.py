"""Comparing canary with stable: what was written, what both arms returned, and the verdict as a fold over looks."""
