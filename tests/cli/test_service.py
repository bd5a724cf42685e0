"""The command against a real service: the same verdicts, and what happens when the service does not play along."""

import contextlib
import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

Metrics = Mapping[str, Callable[..., dict[str, Any]]]
LONG = {"interval": "1s", "count": 100}


def runs(inside: Callable[..., Any], service: Any, *options: str) -> list[dict[str, Any]]:
    done = inside("runs", "list", "--server", service.address, "-o", "json", *options)
    assert done.code == 0, done
    found: list[dict[str, Any]] = json.loads(done.out).get("runs", [])
    return found


@pytest.mark.parametrize(
    ("path", "more", "options", "code"),
    [
        ("json/0.01", {}, (), 0),
        ("json/0.08", {}, (), 10),
        ("json/0.08", {"failureCondition": "result > 0.5"}, (), 11),
        ("status/404", {"consecutiveErrorLimit": 0}, (), 20),
        ("status/404", {"consecutiveErrorLimit": 0}, ("--on-error", "pass"), 0),
        ("json/0.01", LONG, ("--timeout", "1500ms"), 21),
        ("json/0.01", {"interval": "1s"}, (), 2),  # nobody would see its end
        # an address that no operator allows
        ("json/0.01", {"provider": {"web": {"url": "http://169.254.169.254/latest"}}}, (), 2),
    ],
)
def test_ends(
    path: str, more: dict[str, Any], options: tuple[str, ...], code: int,
    inside: Callable[..., Any], template: Callable[..., Path], metrics: Metrics, service: Any,
) -> None:  # fmt: skip
    done = inside("check", template(metrics["web"](path, **more)), "--server", service.address, *options)
    assert done.code == code, done
    assert f"exit {code} (" in done.out
    assert ("tidegate runs watch namespaces/default/analysisRuns/" in done.err) == (code == 21)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run(
    number: signal.Signals, code: int, start: Callable[..., "subprocess.Popen[str]"], inside: Callable[..., Any],
    template: Callable[..., Path], metrics: Metrics, service: Any,
) -> None:  # fmt: skip
    path = template(metrics["web"]("json/0.01", **LONG))
    with start("check", path, "--server", service.address, "--namespace", f"ns-{code}") as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("run namespaces/")
        process.stderr.readline()  # a measurement
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out[:11]) == (code, "INTERRUPTED")
    assert "was asked to end" in err
    for _ in range(100):
        (run,) = runs(inside, service, "--namespace", f"ns-{code}")
        if run["phase"] != "RUNNING":
            break
        time.sleep(0.05)
    assert run["terminateRequested"] is True
    assert run["phase"] == "SUCCESSFUL"
    # Argo's phase of a run that was ended; no pass here
    watched = inside("runs", "watch", run["id"], "--server", service.address, "--namespace", f"ns-{code}")
    assert watched.code == 11


def test_a_service_that_dies(
    serve: Callable[..., Any], start: Callable[..., "subprocess.Popen[str]"], template: Callable[..., Path],
    metrics: Metrics,
) -> None:  # fmt: skip
    """kill -9 in the middle: no verdict was read, so it is no pass, and the sentence says whose fault it is."""
    doomed = serve("memory:")
    path = template(metrics["web"]("json/0.01", **LONG))
    with start("check", path, "--server", doomed.address, "--reconnect", "1s") as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.stderr.readline()
        doomed.process.kill()
        out, _ = process.communicate(timeout=30)
    doomed.stop()
    assert process.returncode == 20
    assert out.startswith(f"ERROR  checkout: no service answers at {doomed.address}")


def test_a_service_that_comes_back(
    serve: Callable[..., Any], start: Callable[..., "subprocess.Popen[str]"], template: Callable[..., Path],
    metrics: Metrics, tmp_path: Path,
) -> None:  # fmt: skip
    """kill -9, a new process on the same file and port: the same run goes on to its verdict."""
    first = serve(f"sqlite:{tmp_path}/runs.db")
    path = template(metrics["web"]("json/0.01", interval="1s", count=3))
    with start("check", path, "--server", first.address, "-o", "json") as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.stderr.readline()
        first.process.kill()
        first.stop()
        again = start(
            "serve", "--store", f"sqlite:{tmp_path}/runs.db", "--listen", first.address,
            "--admin-listen", "127.0.0.1:0", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            out, err = process.communicate(timeout=40)
        finally:
            again.terminate()
            again.wait(20)
    assert process.returncode == 0, (out, err)
    assert json.loads(out)["metrics"][0]["count"] == 3


@pytest.mark.parametrize(
    ("address", "options", "code", "why"),
    [
        ("no-such-host.invalid:7443", (), 20, "Domain name not found"),
        ("127.0.0.1:1", ("--on-error", "fail"), 10, "Connection refused"),
    ],
)
def test_no_service(
    address: str, options: tuple[str, ...], code: int, why: str, inside: Callable[..., Any],
    template: Callable[..., Path], metrics: Metrics,
) -> None:  # fmt: skip
    path = template(metrics["web"]("json/0.01"))
    done = inside("check", path, "--server", address, "--reconnect", "200ms", *options)
    assert done.code == code, done
    assert f"no service answers at {address}: {why}\n" in done.out


def test_something_else_listens(inside: Callable[..., Any], template: Callable[..., Path], metrics: Metrics) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.listen(8)
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        path = template(metrics["web"]("json/0.01"))
        done = inside("check", path, "--server", address, "--timeout", "500ms")
    assert done.code == 20, done


def test_a_run_key_joins(
    inside: Callable[..., Any], template: Callable[..., Path], metrics: Metrics, service: Any
) -> None:
    """A step that is run again gets its first run's verdict; a changed step under the same key is refused."""
    path = template(metrics["web"]("json/0.01"))
    options = ("--server", service.address, "--run-key", "pay/1.2/canary", "--namespace", "keys")
    ids = {json.loads(inside("check", path, *options, "-o", "json").out)["run"]["id"] for _ in range(2)}
    assert ids == {run["id"] for run in runs(inside, service, "--namespace", "keys")}
    assert len(ids) == 1
    other = inside("check", template(metrics["web"]("json/0.02")), *options)
    assert other.code == 2
    assert "run key 'pay/1.2/canary' belongs to an earlier run that was asked otherwise: " in other.out


def test_policies_are_recorded(
    inside: Callable[..., Any], template: Callable[..., Path], metrics: Metrics, service: Any
) -> None:
    path = template(metrics["web"]("json/0.08"))
    options = ("--on-error", "pass", "--exit-code", "fail=1", "--namespace", "policies")
    assert inside("check", path, "--server", service.address, *options).code == 1
    (run,) = runs(inside, service, "--namespace", "policies")
    assert run["policies"] == {"onError": "pass", "exitCode": "fail=1"}


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--template", "nowhere"), 2, "there is no template default/nowhere"),
        (("--template", "stored", "--arg", "limti=1"), 2, "Did you mean 'limit'?"),
        (("--template", "stored", "--arg", "limit=0.001"), 10, "FAIL  stored: "),
        (("--template", "stored"), 0, "PASS  stored: "),
    ],
)
def test_stored_templates(
    options: tuple[str, ...], code: int, said: str,
    inside: Callable[..., Any], template: Callable[..., Path], metrics: Metrics, service: Any,
) -> None:  # fmt: skip
    metric = metrics["web"]("json/0.01", "result < {{args.limit}}")
    path = template(metric, name="stored", args=[{"name": "limit", "value": "0.05"}])
    assert inside("templates", "apply", path, "--server", service.address).code == 0
    done = inside("check", "--server", service.address, *options)
    assert done.code == code, done
    assert said in done.out


def test_templates(inside: Callable[..., Any], template: Callable[..., Path], metrics: Metrics, service: Any) -> None:
    where = ("--server", service.address, "--namespace", "shop")
    resource = "namespaces/shop/analysisTemplates/errors"
    path = template(metrics["web"]("json/0.01"), name="errors")
    assert inside("templates", "list", *where).err == "no templates\n"
    assert "would be created" in inside("templates", "apply", path, "--dry-run", *where).out
    assert inside("templates", "apply", path, *where).out == f"{resource}  version 1, created\n"
    assert inside("templates", "apply", path, *where).out == f"{resource}  version 1, unchanged\n"
    changed = template(metrics["web"]("json/0.02"), name="errors")
    assert inside("templates", "apply", changed, *where).out == f"{resource}  version 2, changed\n"
    listed = inside("templates", "list", *where).out.splitlines()
    assert [line.split()[:2] for line in listed] == [["NAME", "VERSION"], [resource, "2"]]
    assert [line.split()[0] for line in inside("templates", "versions", "errors", *where).out.splitlines()] == [
        "VERSION", "2", "1",
    ]  # fmt: skip
    assert "json/0.02" in inside("templates", "get", "errors", *where).out
    assert "json/0.01" in inside("templates", "get", "errors", "--version", "1", *where).out
    assert inside("templates", "delete", "errors", *where).out == f"{resource}: deleted\n"
    gone = inside("templates", "get", "errors", *where)
    assert (gone.code, gone.out) == (2, "")


def test_several_documents_in_a_file(inside: Callable[..., Any], service: Any, tmp_path: Path) -> None:
    """Each is stored with its own text; the Service beside them is left alone."""
    one = (
        "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nmetadata: {name: NAME}\nspec:\n  metrics:\n"
        "    - {name: m, successCondition: result < 1, provider: {web: {url: 'http://x', jsonPath: '{$}'}}}\n"
    )
    path = tmp_path / "all.yaml"
    other = "apiVersion: v1\nkind: Service\nmetadata: {name: shop}\n"
    path.write_text("# ours\n---\n" + one.replace("NAME", "a") + "---\n" + other + "---\n" + one.replace("NAME", "b"))
    where = ("--server", service.address, "--namespace", "several")
    done = inside("templates", "apply", path, *where)
    assert [line.split("/")[-1] for line in done.out.splitlines()] == ["a  version 1, created", "b  version 1, created"]
    assert inside("templates", "get", "b", *where).out == one.replace("NAME", "b")


def test_runs(inside: Callable[..., Any], template: Callable[..., Path], metrics: Metrics, service: Any) -> None:
    where = ("--server", service.address, "--namespace", "listed")
    assert inside("runs", "list", *where).err == "no runs in namespace listed\n"
    inside("check", template(metrics["web"]("json/0.08"), name="bad"), *where)
    inside("check", template(metrics["web"]("json/0.01"), name="good"), *where)
    rows = inside("runs", "list", *where).out.splitlines()
    assert [row.split()[3:5] for row in rows[1:]] == [["Successful", "good"], ["Failed", "bad"]]
    (failed,) = runs(inside, service, "--namespace", "listed", "--filter", "phase = Failed")
    for verb in ("get", "watch", "terminate", "delete"):  # names are not unique: who gives one is told the ids
        named = inside("runs", verb, "bad", *where)
        assert (named.code, named.out) == (2, "")
        assert "'bad' is no id of a run, and ids are wanted; the run of that name is:" in named.err
        assert f"{failed['id']}  Failed" in named.err
    assert "none of the newest in namespace listed has that name" in inside("runs", "get", "bat", *where).err
    assert failed["id"] in inside("report", "bad", *where).err
    inside("check", template(metrics["web"]("json/0.08"), name="bad"), *where)
    assert "2 runs have that name, the newest first:" in inside("runs", "get", "bad", *where).err
    (_, failed) = runs(inside, service, "--namespace", "listed", "--filter", "phase = Failed")
    shown = inside("runs", "get", failed["name"], "--server", service.address)
    assert (shown.code, shown.out.split(":")[0]) == (0, "FAIL  bad")
    assert inside("runs", "watch", failed["id"], *where).code == 10
    assert inside("runs", "watch", failed["id"], *where, "--exit-code", "fail=1").code == 1
    measured = inside("runs", "get", failed["id"], *where, "--measurements", "error-rate").out.splitlines()
    assert measured[1].split()[0] == "0"
    assert "0.08 < 0.05 is false" in measured[1]
    unknown = inside("runs", "get", failed["id"], *where, "--measurements", "eror")
    assert (unknown.code, "error-rate" in unknown.err) == (2, True)
    assert "is Failed and stays so" in inside("runs", "terminate", failed["id"], *where).out
    assert inside("runs", "delete", failed["id"], *where).code == 0
    assert inside("runs", "get", failed["id"], *where).code == 2
    wrong = inside("runs", "list", *where, "--filter", "phase == Failed")
    assert (wrong.code, wrong.out) == (2, "")


def test_watch_leaves_the_run_alone(
    start: Callable[..., "subprocess.Popen[str]"], inside: Callable[..., Any], template: Callable[..., Path],
    metrics: Metrics, service: Any,
) -> None:  # fmt: skip
    where = ("--server", service.address, "--namespace", "watched")
    inside("check", template(metrics["web"]("json/0.01", **LONG)), *where, "--timeout", "500ms")
    (run,) = runs(inside, service, "--namespace", "watched")
    with start("runs", "watch", run["id"], *where) as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "goes on" in err
    assert runs(inside, service, "--namespace", "watched")[0]["phase"] == "RUNNING"
    assert "asked to end" in inside("runs", "terminate", run["id"], *where).out


class Cut:
    """Stands between the command and the service, and dies after so many bytes of the service's answers."""

    def __init__(self, address: str, allowed: int) -> None:
        host, _, port = address.rpartition(":")
        self._target = (host, int(port))
        self._left = allowed
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._open: list[socket.socket] = []
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                ours, _ = self._listener.accept()
                theirs = socket.create_connection(self._target)
            except OSError:
                return
            self._open += [ours, theirs]
            for source, target, counted in ((ours, theirs, False), (theirs, ours, True)):
                thread = threading.Thread(target=self._pump, args=(source, target, counted))
                self._threads.append(thread)
                thread.start()

    def _pump(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        try:
            while data := source.recv(65536):
                if counted:
                    data, over = data[: max(self._left, 0)], len(data) > self._left
                    self._left -= len(data)
                    target.sendall(data)
                    if over:
                        return self.close()
                else:
                    target.sendall(data)
        except OSError:
            return None

    def close(self) -> None:
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def join(self) -> None:
        self.close()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("allowed", [0, 1, 9, 60, 200, 400, 800, 1100, 1300, 1500, 2500])
@pytest.mark.parametrize(("value", "verdict"), [("0.01", 0), ("0.08", 10)])
def test_an_answer_that_is_cut(
    allowed: int, value: str, verdict: int, inside: Callable[..., Any], template: Callable[..., Path],
    metrics: Metrics, service: Any,
) -> None:  # fmt: skip
    """Wherever the connection to the service breaks for good: the whole verdict was read, or there is none."""
    proxy = Cut(service.address, allowed)
    try:
        done = inside(
            "check", template(metrics["web"](f"json/{value}")), "--server", proxy.address, "--reconnect", "100ms",
            "-o", "json",
        )  # fmt: skip
    finally:
        proxy.join()
    data = json.loads(done.out)
    whole = (verdict, "Failed" if verdict else "Successful")
    assert (done.code, data["phase"]) in {(20, "Pending"), (20, "Running"), whole}
    assert data["passed"] is (done.code == 0)


def test_the_cut_can_be_survived(
    inside: Callable[..., Any], template: Callable[..., Path], metrics: Metrics, service: Any
) -> None:
    proxy = Cut(service.address, 1 << 20)
    try:
        done = inside("check", template(metrics["web"]("json/0.01")), "--server", proxy.address)
    finally:
        proxy.join()
    assert done.code == 0


def test_serve_says_why_it_does_not(tidegate: Callable[..., Any], service: Any, tmp_path: Path) -> None:
    taken = tidegate("serve", "--store", "memory:", "--listen", service.address, "--admin-listen", "127.0.0.1:0")
    assert (taken.code, taken.out) == (2, "")
    assert f"cannot listen on {service.address}" in taken.err
    (tmp_path / "runs.db").write_bytes(b"not a database" * 1000)
    broken = tidegate("serve", "--store", f"sqlite:{tmp_path}/runs.db", "--listen", "127.0.0.1:0")
    assert (broken.code, broken.out) == (20, "")
    assert "The store cannot be opened: " in broken.err
    assert "Traceback" not in taken.err + broken.err
