"""Where runs are kept: one contract (base.py), interchangeable stores, one conformance suite."""
