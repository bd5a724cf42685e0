"""Providers ask a metrics backend one question each. A leaf package: it imports nothing of the service."""
