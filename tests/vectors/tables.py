"""Which vectors belong to later work, and which are held to be wrong. Both are shown at the end of every run."""

LATER = {
    "RVL": "rollout-level validation: the controller",
    "HIS": "history of a rollout's runs: the controller",
    "WF": "Wavefront provider",
    "GRA": "Graphite provider",
    "INF": "InfluxDB provider",
    "CW": "CloudWatch provider",
    "SKY": "SkyWalking provider",
    "KAY": "Kayenta provider (the remote service; the judge is K)",
    "JOB": "Kubernetes Job provider",
    "PLG": "providers as plugins",
}
"""Prefix -> what it waits for. Deselected in this folder, and counted as belonging to later work."""

LATER_EXCEPT = frozenset({"PLG-021"})
"""Vectors of such a prefix that need nothing of the later work."""

WRONG: dict[str, str] = {}
"""Vector id -> why it is held to be wrong. These must differ: one that passes is a failure too."""
