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

WRONG: dict[str, str] = {
    "R.mantelhaen_chisq": "its strata are said to be those of R.mantelhaen_exact, which the file does not hold",
    "rpact.LanDeMets_OBF_k20_a05_onesided": (
        "the last bound, 1.8390398, spends 0.0500013; integration that agrees with itself at 301 to 2401 "
        "points gives 1.8390585 (1.02e-5 away), and all other bounds agree to 1e-5"
    ),
    "statsmodels.acf": "its series is said to be that of R.ar1_yw, which the file does not hold",
    "statsmodels.newey_west_mean": "its series is said to be that of R.ar1_yw, which the file does not hold",
}
"""Vector id -> why it is held to be wrong. These must differ: one that passes is a failure too."""
