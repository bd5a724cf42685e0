"""The real Prometheus and the sockets of the provider tests, for history too."""

import importlib.util
import sys
from pathlib import Path

_PATH = Path(__file__).parent.parent / "providers" / "conftest.py"
_spec = importlib.util.spec_from_file_location("provider_backends", _PATH)
assert _spec is not None
assert _spec.loader is not None
_backends = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = _backends
_spec.loader.exec_module(_backends)

series = _backends.series
prometheus = _backends.prometheus
run_prometheus = _backends.run_prometheus
backend = _backends.backend
response = _backends.response
