"""The service's outward face: use cases as plain async functions, and one thin handler per transport."""
