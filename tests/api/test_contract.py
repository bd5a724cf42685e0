"""The contract, the generated code and the handlers say the same."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from analysis_service.api.grpc import Handlers
from analysis_service.v1 import analysis_pb2 as pb

ROOT = Path(__file__).parents[2]
PROTO = Path("analysis_service/v1/analysis.proto")
METHODS = pb.DESCRIPTOR.services_by_name["AnalysisService"].methods


def test_the_generated_code_is_of_this_contract(tmp_path: Path) -> None:
    """`make proto` would change nothing."""
    command = [
        sys.executable, "-m", "grpc_tools.protoc", "-I", str(ROOT / "proto"),
        f"--python_out={tmp_path}", f"--pyi_out={tmp_path}", f"--grpc_python_out={tmp_path}", str(PROTO),
    ]  # fmt: skip
    subprocess.run(command, check=True, cwd=tmp_path)
    made = {path.name: path.read_text() for path in (tmp_path / "analysis_service" / "v1").iterdir()}
    assert set(made) == {"analysis_pb2.py", "analysis_pb2.pyi", "analysis_pb2_grpc.py"}
    for name, text in made.items():
        assert (ROOT / "analysis_service" / "v1" / name).read_text() == text, f"{name}: run `make proto`"


@pytest.mark.parametrize("method", [method.name for method in METHODS])
def test_every_method_has_a_handler_and_a_comment(method: str) -> None:
    assert callable(getattr(Handlers, method))
    text = (ROOT / "proto" / PROTO).read_text()
    assert re.search(rf"^  // .+\n  rpc {method}\(", text, re.MULTILINE), f"say what {method} does"


def test_no_handler_is_without_a_method() -> None:
    assert {name for name in vars(Handlers) if name[0].isupper()} == {method.name for method in METHODS}


def test_the_reasons_of_the_code_and_of_the_contract_are_the_same() -> None:
    listed = set(pb.ErrorReason.keys()) - {"ERROR_REASON_UNSPECIFIED"}
    source = "\n".join(path.read_text() for path in (ROOT / "analysis_service" / "api").glob("*.py"))
    used = set(re.findall(r'"([A-Z][A-Z_]{5,})"', source))
    codes = {
        "INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
        "UNAVAILABLE", "DATA_LOSS", "RESOURCE_EXHAUSTED", "INTERNAL", "DEADLINE_EXCEEDED", "PERMISSION_DENIED",
    }  # fmt: skip
    assert used - codes == listed
