"""Tidegate: a progressive-delivery analysis engine."""
