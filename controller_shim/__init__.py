"""The controller shim: observes rollouts, asks the analysis service, acts on its verdicts."""
