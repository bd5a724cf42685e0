"""What every store promises. A store is held to it by a subclass of `StoreSuite` and a fixture `store`.

Only the contract is used, so that a store that is written later is plugged in with those two.
"""

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace as with_fields

from analysis_service.core.model import (
    Cause,
    Look,
    Measurement,
    Metric,
    MetricResult,
    Phase,
    Run,
    RunSpec,
    Summary,
    TtlStrategy,
)
from analysis_service.stores.base import (
    AlreadyExists,
    BadArgument,
    Claim,
    Commit,
    EtagMismatch,
    Fenced,
    NewRun,
    NotFound,
    NotTerminal,
    RelistRequired,
    RequestIdReused,
    RunEvent,
    RunFilter,
    Store,
    StoreError,
    Unavailable,
)

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
LEASE = timedelta(seconds=15)
SPEC = RunSpec(
    metrics=(
        Metric(name="errors", interval="10s", count=5, provider={"prometheus": {"query": "up"}}),
        Metric(name="latency", interval="1m", provider={"web": {"url": "http://x", "timeoutSeconds": 3}}),
    ),
    ttl_strategy=TtlStrategy(seconds_after_completion=60),
)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def a_run(name: str = "a", namespace: str = "ns", created: datetime | None = NOW, **fields: Any) -> Run:
    return Run(
        id=f"run-{namespace}-{name}",
        namespace=namespace,
        name=name,
        spec=fields.pop("spec", SPEC),
        created_at=created,
        **fields,
    )


def a_measurement(ordinal: int, phase: Phase = Phase.SUCCESSFUL, **fields: Any) -> Measurement:
    return Measurement(
        phase=phase,
        ordinal=ordinal,
        value=str(ordinal / 10),
        started_at=later(ordinal),
        finished_at=later(ordinal + 0.5) if phase.done else None,
        metadata={"ResolvedPrometheusQuery": "up"},
        reason="errors is low",
        **fields,
    )


def took(run: Run, metric: str, *measurements: Measurement, keep: int = 10, **fields: Any) -> Run:
    """The run with these measurements recorded, as the engine records them."""
    old = run.result(metric) or MetricResult(metric)
    kept = {m.ordinal: m for m in (*old.measurements, *measurements)}
    new = with_fields(
        old,
        phase=Phase.RUNNING,
        measurements=tuple(kept.values())[-keep:],
        taken=max([old.taken, *(m.ordinal + 1 for m in measurements)]),
        count=old.count + sum(m.done for m in measurements),
    )
    others = tuple(r for r in run.results if r.name != metric)
    return with_fields(run, results=(*others, new), **{"phase": Phase.RUNNING, **fields})


def commit(claim: Claim, *measurements: Measurement, metric: str = "errors", **fields: Any) -> Commit:
    run = took(claim.run, metric, *measurements, **fields)
    return Commit(claim, run, None if run.phase.done else later(60), [(metric, m) for m in measurements])


async def created(store: Store, run: Run | None = None, **fields: Any) -> Run:
    record, new = await store.create_run(NewRun(run or a_run(), due_at=NOW, **fields), NOW)
    assert new
    return record.run


async def claimed(store: Store, run: Run | None = None, owner: str = "me", at: datetime = NOW) -> Claim:
    """A new run, claimed."""
    made = await created(store, run)
    claims = await store.claim(owner, at, 1000, LEASE)
    return next(claim for claim in claims if claim.run.id == made.id)


async def finished(store: Store, run: Run | None = None, phase: Phase = Phase.SUCCESSFUL) -> Claim:
    claim = await claimed(store, run, owner=f"finisher of {(run or a_run()).name}")
    return await store.save(commit(claim, a_measurement(0), phase=phase, completed_at=later(9)))


class StoreSuite:
    """`store` is an empty store; the subclass's module provides the fixture."""

    # creating

    async def test_a_run_comes_back_as_it_was_created(self, store: Store) -> None:
        run = a_run(labels={"team": "a", "é": "ü\n"}, annotations={"k": ""}, warnings=("w",), message="m")
        record, new = await store.create_run(NewRun(run, due_at=NOW, template="t"), NOW)
        assert (record.run, new, record.resource_version, record.template) == (run, True, 1, "t")
        assert not record.terminate_requested
        assert await store.get_run("ns", run.id) == record

    async def test_a_run_without_a_creation_time_gets_the_time_of_the_call(self, store: Store) -> None:
        assert (await created(store, a_run(created=None))).created_at == NOW

    @pytest.mark.parametrize(
        "value",
        [math.inf, -math.inf, 2**63, "\0", "𝄞", {"deep": [[[None, True]]]}, 5e-324, b"".decode()],
        ids=repr,
    )
    async def test_provider_settings_are_kept_exactly(self, store: Store, value: object) -> None:
        spec = RunSpec(metrics=(Metric(name="m", provider={"plugin": {"v": value}}),))
        assert (await created(store, a_run(spec=spec))).spec == spec
        assert (await store.get_run("ns", "run-ns-a")).run.spec == spec

    @pytest.mark.parametrize("value", [2**70, "\ud800"], ids=["70 bits", "half a surrogate pair"])
    async def test_what_cannot_be_stored_is_refused_and_leaves_nothing(self, store: Store, value: object) -> None:
        spec = RunSpec(metrics=(Metric(name="m", provider={"plugin": {"v": value}}),))
        with pytest.raises(BadArgument):
            await created(store, a_run(spec=spec))
        assert not (await store.list_runs(RunFilter(), 10)).items

    async def test_a_thousand_creates_with_one_request_id_make_one_run(self, store: Store) -> None:
        calls = [
            store.create_run(
                NewRun(with_fields(a_run(), id=f"id{i}"), due_at=NOW, request_id="r", body_digest="d"), NOW
            )
            for i in range(1000)
        ]
        answers = await asyncio.gather(*calls)
        assert sum(new for _, new in answers) == 1
        assert len({record.run.id for record, _ in answers}) == 1
        assert len((await store.list_runs(RunFilter(), 10)).items) == 1

    async def test_a_repeated_request_gives_the_run_as_it_is_now(self, store: Store) -> None:
        await created(store, request_id="r", body_digest="d")
        (claim,) = await store.claim("me", NOW, 1, LEASE)
        await store.save(commit(claim, a_measurement(0)))
        record, new = await store.create_run(
            NewRun(a_run("other"), due_at=NOW, request_id="r", body_digest="d"), later(10**7)
        )
        assert (record.run.name, record.resource_version, new) == ("a", 2, False)

    async def test_a_request_id_with_another_body_is_refused(self, store: Store) -> None:
        run = await created(store, request_id="r", body_digest="d")
        with pytest.raises(RequestIdReused) as caught:
            await store.create_run(NewRun(a_run("b"), due_at=NOW, request_id="r", body_digest="e"), NOW)
        assert caught.value.run_id == run.id

    async def test_what_came_under_a_request_id_is_known(self, store: Store) -> None:
        assert await store.find_request("ns", "r") is None
        run = await created(store, request_id="r", body_digest="d")
        assert await store.find_request("ns", "r") == (run.id, "d")
        assert await store.find_request("other", "r") is None

    async def test_request_ids_of_other_namespaces_are_others(self, store: Store) -> None:
        await created(store, request_id="r", body_digest="d")
        assert await created(store, a_run("a", "other"), request_id="r", body_digest="e")

    async def test_a_request_outlives_its_deleted_run_for_a_day(self, store: Store) -> None:
        await created(store, request_id="r", body_digest="d")
        (claim,) = await store.claim("me", NOW, 1, LEASE)
        await store.save(commit(claim, phase=Phase.FAILED))
        await store.delete_run("ns", "run-ns-a", later(1))
        again = NewRun(a_run(), due_at=NOW, request_id="r", body_digest="d")
        with pytest.raises(NotFound, match="was deleted"):
            await store.create_run(again, later(24 * 3600 - 1))
        assert (await store.create_run(again, later(24 * 3600)))[1]

    async def test_a_name_is_free_again_only_after_deletion(self, store: Store) -> None:
        await finished(store)
        twin = with_fields(a_run(), id="twin")
        with pytest.raises(AlreadyExists, match="ns/a"):
            await created(store, twin)
        await store.delete_run("ns", "run-ns-a", NOW)
        assert await created(store, twin)

    async def test_an_id_is_given_once(self, store: Store) -> None:
        await created(store)
        with pytest.raises(AlreadyExists):
            await created(store, with_fields(a_run("b"), id="run-ns-a"))

    @pytest.mark.parametrize(
        "fields",
        [
            {"phase": Phase.SUCCESSFUL},
            {"results": (MetricResult("errors", measurements=(a_measurement(0),), taken=1),)},
            {"results": (MetricResult("errors", taken=1),)},
        ],
        ids=["finished", "measured", "counted"],
    )
    async def test_a_run_is_not_created_with_a_past(self, store: Store, fields: dict[str, Any]) -> None:
        with pytest.raises(BadArgument):
            await created(store, a_run(**fields))

    @pytest.mark.parametrize("namespace, run_id", [("other", "run-ns-a"), ("ns", "nobody"), ("", "run-ns-a")])
    async def test_runs_are_found_in_their_namespace_only(self, store: Store, namespace: str, run_id: str) -> None:
        await created(store)
        for call in (store.get_run(namespace, run_id), store.request_terminate(namespace, run_id, NOW)):
            with pytest.raises(NotFound):
                await call
        with pytest.raises(NotFound):
            await store.delete_run(namespace, run_id, NOW)

    # the conditional write

    async def test_a_saved_run_comes_back_with_its_status(self, store: Store) -> None:
        claim = await claimed(store, a_run(labels={"a": "b"}))
        run = took(claim.run, "errors", *(a_measurement(i) for i in range(3)), message="m", reason="r")
        run = took(run, "latency", a_measurement(0, Phase.ERROR, message="boom"), warnings=("w",))
        run = with_fields(run, started_at=NOW, run_summary=Summary(count=2, error=1), dry_run_summary=Summary(count=1))
        taken = [(r.name, m) for r in run.results for m in r.measurements]
        after = await store.save(Commit(claim, run, later(5), taken))
        assert (after.run, after.resource_version, after.epoch) == (run, 2, 1)
        record = await store.get_run("ns", run.id)
        assert (record.run, record.resource_version) == (run, 2)
        assert (await store.list_runs(RunFilter(), 5)).items == (record,)

    async def test_no_field_of_the_status_is_forgotten(self, store: Store) -> None:
        """Also one that is added to `Run` later: then this fails until it gets a value here."""
        claim = await claimed(store)
        status: dict[str, Any] = {
            "phase": Phase.ERROR,
            "message": "m",
            "reason": "r",
            "cause": Cause.QUARANTINED,
            "warnings": ("w",),
            "results": (MetricResult("errors", phase=Phase.ERROR, metadata={"a": "b"}, dry_run=True, reason="r"),),
            "started_at": later(1),
            "completed_at": later(2),
            "run_summary": Summary(count=1, error=1),
            "dry_run_summary": Summary(count=2, failed=2),
        }
        given = {"id", "namespace", "name", "spec", "labels", "annotations", "created_at"}
        assert set(Run.__struct_fields__) == status.keys() | given
        await store.save(Commit(claim, with_fields(claim.run, **status), None))
        assert (await store.get_run("ns", claim.run.id)).run == with_fields(claim.run, **status)
        assert (await store.list_runs(RunFilter(), 1)).items[0].run == with_fields(claim.run, **status)

    async def test_only_the_status_is_written(self, store: Store) -> None:
        claim = await claimed(store, a_run(labels={"a": "b"}, annotations={"c": "d"}))
        run = with_fields(
            claim.run,
            phase=Phase.RUNNING,
            name="other",
            namespace="elsewhere",
            spec=RunSpec(metrics=(), terminate=True),
            labels={},
            annotations={},
            created_at=None,
        )
        await store.save(Commit(claim, run, NOW))
        assert (await store.get_run("ns", claim.run.id)).run == with_fields(claim.run, phase=Phase.RUNNING)

    @pytest.mark.parametrize(
        "stale",
        [
            pytest.param(lambda c: replace(c, epoch=c.epoch - 1), id="older epoch"),
            pytest.param(lambda c: replace(c, epoch=c.epoch + 1), id="newer epoch"),
            pytest.param(lambda c: replace(c, owner="other"), id="other owner"),
            # after an asynchronous failover two holders may carry the same epoch
            pytest.param(lambda c: replace(c, owner=""), id="no owner"),
            pytest.param(lambda c: replace(c, resource_version=c.resource_version - 1), id="older version"),
            pytest.param(lambda c: replace(c, resource_version=c.resource_version + 1), id="newer version"),
            pytest.param(lambda c: replace(c, run=with_fields(c.run, id="gone")), id="other run"),
        ],
    )
    async def test_a_stale_writer_changes_nothing(self, store: Store, stale: Callable[[Claim], Claim]) -> None:
        claim = await claimed(store)
        claim = await store.save(commit(claim, a_measurement(0)))
        before = await store.get_run("ns", claim.run.id), (await store.info()).sequence
        with pytest.raises(Fenced):
            await store.save(commit(stale(claim), a_measurement(1)))
        assert (await store.get_run("ns", claim.run.id), (await store.info()).sequence) == before
        assert len((await store.list_measurements(claim.run.id, "errors", 10)).items) == 1
        assert (await store.save(commit(claim, a_measurement(1)))).resource_version == 3

    async def test_the_same_commit_twice_counts_once(self, store: Store) -> None:
        claim = await claimed(store)
        first = commit(claim, a_measurement(0))
        await store.save(first)
        with pytest.raises(Fenced):
            await store.save(first)
        assert (await store.get_run("ns", claim.run.id)).run == first.run

    async def test_of_concurrent_commits_one_wins(self, store: Store) -> None:
        claim = await claimed(store)
        outcomes = await asyncio.gather(
            *(store.save(commit(claim, a_measurement(0, message=str(i)))) for i in range(50)), return_exceptions=True
        )
        won = [o for o in outcomes if isinstance(o, Claim)]
        assert len(won) == 1
        assert sum(isinstance(o, Fenced) for o in outcomes) == 49
        (stored,) = (await store.list_measurements(claim.run.id, "errors", 10)).items
        assert (stored,) == won[0].run.results[0].measurements

    async def test_many_runs_at_once_are_all_saved(self, store: Store) -> None:
        for i in range(100):
            await created(store, a_run(f"r{i}"))
        claims = await store.claim("me", NOW, 100, LEASE)
        for ordinal in range(5):
            claims = list(await asyncio.gather(*(store.save(commit(c, a_measurement(ordinal))) for c in claims)))
        for claim in claims:
            record = await store.get_run("ns", claim.run.id)
            assert (record.run, record.resource_version) == (claim.run, 6)
            assert len((await store.list_measurements(claim.run.id, "errors", 10)).items) == 5

    async def test_a_finished_slot_is_never_written_again(self, store: Store) -> None:
        claim = await claimed(store)
        claim = await store.save(commit(claim, a_measurement(0)))
        kept = await store.get_run("ns", claim.run.id)
        for again in (a_measurement(0, Phase.FAILED), a_measurement(0)):
            with pytest.raises(Fenced, match="errors/0"):
                await store.save(commit(claim, again))
        assert await store.get_run("ns", claim.run.id) == kept

    async def test_of_a_commit_with_one_filled_slot_nothing_is_kept(self, store: Store) -> None:
        claim = await claimed(store)
        claim = await store.save(commit(claim, a_measurement(0)))
        run = took(claim.run, "latency", a_measurement(0))
        with pytest.raises(Fenced):
            await store.save(
                Commit(claim, run, NOW, [("latency", a_measurement(0)), ("errors", a_measurement(0, Phase.FAILED))])
            )
        assert not (await store.list_measurements(claim.run.id, "latency", 10)).items
        assert (await store.get_run("ns", claim.run.id)).run == claim.run

    async def test_an_unfinished_measurement_is_rewritten_until_it_is_finished(self, store: Store) -> None:
        claim = await claimed(store)
        for attempt in range(3):
            claim = await store.save(commit(claim, a_measurement(0, Phase.RUNNING, message=str(attempt))))
        # also by the next owner: a restart must not end a long measurement
        await store.release("me", NOW)
        (claim,) = await store.claim("you", NOW, 1, LEASE)
        claim = await store.save(commit(claim, a_measurement(0, message="done")))
        assert [m.message for m in (await store.list_measurements(claim.run.id, "errors", 10)).items] == ["done"]
        with pytest.raises(Fenced):
            await store.save(commit(claim, a_measurement(0, Phase.RUNNING)))

    async def test_every_measurement_stays_listed_when_the_run_shows_the_last_ones(self, store: Store) -> None:
        claim = await claimed(store)
        for ordinal in range(12):
            claim = await store.save(commit(claim, a_measurement(ordinal), keep=3))
        record = await store.get_run("ns", claim.run.id)
        assert [m.ordinal for m in record.run.results[0].measurements] == [9, 10, 11]
        assert record.run == claim.run
        seen: list[Measurement] = []
        key = ""
        while True:
            page = await store.list_measurements(claim.run.id, "errors", 5, key)
            seen += page.items
            if not (key := page.next_key):
                break
        assert seen == [a_measurement(i) for i in range(12)]

    async def test_a_run_may_show_measurements_with_holes(self, store: Store) -> None:
        claim = await claimed(store)
        for ordinal in range(6):
            claim = await store.save(commit(claim, a_measurement(ordinal)))
        shown = tuple(a_measurement(i) for i in (0, 2, 3, 5))
        run = with_fields(claim.run, results=(with_fields(claim.run.results[0], measurements=shown),))
        await store.save(Commit(claim, run, NOW))
        assert (await store.get_run("ns", run.id)).run.results[0].measurements == shown

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(lambda c: replace(c, run=with_fields(c.run, id="other")), id="another run than the claim's"),
            pytest.param(lambda c: replace(c, taken=[("errors", a_measurement(7))]), id="slot beyond the count"),
            pytest.param(lambda c: replace(c, taken=[("nobody", a_measurement(0))]), id="metric without a result"),
            pytest.param(lambda c: replace(c, taken=[("errors", a_measurement(-1))]), id="negative slot"),
            pytest.param(
                lambda c: replace(c, taken=[("errors", with_fields(a_measurement(0), value="\ud800"))]), id="surrogate"
            ),
        ],
    )
    async def test_a_commit_that_contradicts_itself_is_refused(
        self, store: Store, change: Callable[[Commit], Commit]
    ) -> None:
        claim = await claimed(store)
        with pytest.raises(BadArgument):
            await store.save(change(commit(claim, a_measurement(0))))
        assert (await store.get_run("ns", claim.run.id)).resource_version == 1

    # verdicts

    @pytest.mark.parametrize("phase", [p for p in Phase if p.done])
    async def test_a_verdict_never_changes(self, store: Store, phase: Phase) -> None:
        claim = await finished(store, phase=phase)
        before = await store.get_run("ns", claim.run.id)
        assert before.run.phase is phase
        for late in (
            commit(claim, a_measurement(1)),
            commit(claim, phase=Phase.RUNNING),
            commit(claim, phase=Phase.SUCCESSFUL),
            commit(replace(claim, owner=""), a_measurement(1)),
        ):
            with pytest.raises(Fenced):
                await store.save(late)
        assert not await store.claim("other", later(10**6), 10, LEASE)
        assert await store.request_terminate("ns", claim.run.id, NOW) == before
        await store.release(claim.owner, NOW)
        assert await store.get_run("ns", claim.run.id) == before

    # owning

    async def test_a_run_is_claimed_once(self, store: Store) -> None:
        for i in range(20):
            await created(store, a_run(f"r{i}"))
        claims = await asyncio.gather(*(store.claim(f"o{i}", NOW, 7, LEASE) for i in range(5)))
        ids = [claim.run.id for got in claims for claim in got]
        assert len(ids) == len(set(ids)) == 20
        assert max(map(len, claims)) == 7
        assert {claim.epoch for got in claims for claim in got} == {1}

    async def test_one_run_can_be_given_back(self, store: Store) -> None:
        for name in ("a", "b"):
            await created(store, a_run(name))
        held = {c.run.name: c for c in await store.claim("me", NOW, 10, LEASE)}
        await store.release("me", NOW, held["a"].run.id)
        await store.release("other", NOW, held["b"].run.id)  # not its to give
        (again,) = await store.claim("me", NOW, 10, LEASE)
        assert (again.run.id, again.epoch) == (held["a"].run.id, held["a"].epoch + 1)
        assert not await store.claim("two", later(14), 10, LEASE)

    async def test_due_runs_are_claimed_first(self, store: Store) -> None:
        for name, due in (("b", 5), ("a", 9), ("c", 1)):
            await store.create_run(NewRun(a_run(name), due_at=later(due)), NOW)
        await store.claim("old", NOW, 10, LEASE)
        await store.release("old", NOW)
        assert [c.run.name for c in await store.claim("me", NOW, 2, LEASE)] == ["c", "b"]
        assert [c.run.name for c in await store.claim("me", NOW, 2, LEASE)] == ["a"]

    async def test_a_lease_protects_until_it_ends(self, store: Store) -> None:
        first = await claimed(store, owner="one")
        assert not await store.claim("two", later(14.9), 10, LEASE)
        await store.renew("one", later(10), LEASE)
        assert not await store.claim("two", later(24.9), 10, LEASE)
        (second,) = await store.claim("two", later(25), 10, LEASE)
        assert (second.epoch, second.owner) == (2, "two")
        with pytest.raises(Fenced):
            await store.save(commit(first, a_measurement(0)))
        await store.save(commit(second, a_measurement(0)))

    async def test_a_lease_from_a_clock_that_was_set_back_ends(self, store: Store) -> None:
        await claimed(store, owner="one", at=later(3600))
        assert len(await store.claim("two", NOW, 10, LEASE)) == 1

    async def test_an_owner_is_not_given_its_own_runs_again(self, store: Store) -> None:
        await claimed(store)
        assert not await store.claim("me", later(100), 10, LEASE)
        await store.release("me", later(100))
        (claim,) = await store.claim("me", later(100), 10, LEASE)
        assert claim.epoch == 2

    async def test_a_released_run_is_free_at_once(self, store: Store) -> None:
        first = await claimed(store)
        await store.release("me", NOW)
        with pytest.raises(Fenced):
            await store.save(commit(first, a_measurement(0)))
        (claim,) = await store.claim("you", NOW, 10, LEASE)
        assert claim.run == first.run

    async def test_a_run_may_be_created_already_claimed(self, store: Store) -> None:
        await store.renew("me", NOW, LEASE)
        record, _ = await store.create_run(NewRun(a_run(), due_at=NOW, owner="me"), NOW)
        assert not await store.claim("you", NOW, 10, LEASE)
        claim = Claim(record.run, 1, "me", record.resource_version)
        assert (await store.save(commit(claim, a_measurement(0)))).resource_version == 2

    async def test_an_owner_without_a_lease_protects_nothing(self, store: Store) -> None:
        await store.create_run(NewRun(a_run(), due_at=NOW, owner="ghost"), NOW)
        assert len(await store.claim("you", NOW, 10, LEASE)) == 1

    async def test_crashes_are_counted_until_a_save_or_release(self, store: Store) -> None:
        await created(store)
        seen = []
        for i in range(3):
            (claim,) = await store.claim(f"o{i}", later(100 * i), 10, LEASE)
            seen.append(claim.crashes)
        assert seen == [0, 1, 2]
        assert (await store.save(commit(claim, a_measurement(0)))).crashes == 0
        (claim,) = await store.claim("next", later(1000), 10, LEASE)
        assert claim.crashes == 0
        await store.release("next", later(1000))
        (claim,) = await store.claim("last", later(1000), 10, LEASE)
        assert claim.crashes == 0

    # terminating and deleting

    async def test_terminate_reaches_the_owner_without_moving_the_fence(self, store: Store) -> None:
        claim = await claimed(store)
        record = await store.request_terminate("ns", claim.run.id, later(1))
        assert (record.terminate_requested, record.resource_version) == (True, 1)
        assert await store.request_terminate("ns", claim.run.id, later(2)) == record
        event = (await store.changes(0, 10))[-1]
        assert (event.run_id, event.terminate_requested) == (claim.run.id, True)
        assert (await store.save(commit(claim, a_measurement(0)))).terminate_requested

    async def test_terminate_makes_a_run_due(self, store: Store) -> None:
        for name in "ab":
            await store.create_run(NewRun(a_run(name), due_at=later(50)), NOW)
        await store.request_terminate("ns", "run-ns-b", later(1))
        (claim,) = await store.claim("me", later(2), 1, LEASE)
        assert (claim.run.name, claim.terminate_requested) == ("b", True)

    async def test_a_live_run_is_not_deleted(self, store: Store) -> None:
        await created(store)
        with pytest.raises(NotTerminal, match="terminate it first"):
            await store.delete_run("ns", "run-ns-a", NOW)
        assert await store.get_run("ns", "run-ns-a")

    async def test_a_deleted_run_is_gone_with_all_it_had(self, store: Store) -> None:
        claim = await claimed(store)
        look = Look(1, NOW, {"e": 1.5})
        run = took(claim.run, "errors", a_measurement(0), phase=Phase.FAILED)
        await store.save(Commit(claim, run, None, [("errors", a_measurement(0))], [("errors", 0, look)]))
        await store.delete_run("ns", run.id, NOW)
        for call in (
            store.get_run("ns", run.id),
            store.list_measurements(run.id, "errors", 1),
            store.list_looks(run.id, "errors", 0, 1),
        ):
            with pytest.raises(NotFound):
                await call
        with pytest.raises(NotFound):
            await store.delete_run("ns", run.id, NOW)
        # the same id may come again, and starts empty
        await created(store)
        assert not (await store.list_measurements(run.id, "errors", 1)).items
        assert not (await store.list_looks(run.id, "errors", 0, 1)).items

    # looks

    async def test_looks_are_kept_whole_and_paged(self, store: Store) -> None:
        claim = await claimed(store)
        looks = [Look(i + 1, later(i), {"arms": {"canary": [i, 0.1]}, "e": math.inf}) for i in range(25)]
        for look in looks:
            m = a_measurement(0, Phase.RUNNING)
            run = took(claim.run, "errors", m)
            claim = await store.save(Commit(claim, run, NOW, [("errors", m)], [("errors", 0, look)]))
        seen: list[Look] = []
        key = ""
        while True:
            page = await store.list_looks(claim.run.id, "errors", 0, 10, key)
            seen += page.items
            if not (key := page.next_key):
                break
        assert seen == looks
        assert not (await store.list_looks(claim.run.id, "errors", 1, 10)).items
        assert not (await store.list_looks(claim.run.id, "latency", 0, 10)).items

    async def test_a_look_is_written_once(self, store: Store) -> None:
        claim = await claimed(store)
        m = a_measurement(0, Phase.RUNNING)
        run = took(claim.run, "errors", m)
        claim = await store.save(Commit(claim, run, NOW, [("errors", m)], [("errors", 0, Look(1, NOW, {}))]))
        with pytest.raises(Fenced, match="look"):
            await store.save(Commit(claim, run, NOW, (), [("errors", 0, Look(1, NOW, {"other": 1}))]))
        assert (await store.list_looks(run.id, "errors", 0, 10)).items == (Look(1, NOW, {}),)

    # listing

    async def test_runs_are_listed_newest_first_without_gap_or_double(self, store: Store) -> None:
        for i in range(23):
            await created(store, a_run(f"r{i:02}", created=later(i // 4)))
        seen: list[str] = []
        key = ""
        while True:
            page = await store.list_runs(RunFilter(), 5, key)
            seen += [record.run.name for record in page.items]
            if not (key := page.next_key):
                break
            # what is created or deleted meanwhile moves nothing
            await created(store, a_run(f"new{len(seen)}", created=later(100)))
        assert seen == [f"r{i:02}" for i in sorted(range(23), key=lambda i: (i // 4, i), reverse=True)]

    async def test_a_full_last_page_ends_the_listing(self, store: Store) -> None:
        for i in range(4):
            await created(store, a_run(f"r{i}"))
        page = await store.list_runs(RunFilter(), 2)
        page = await store.list_runs(RunFilter(), 2, page.next_key)
        assert (len(page.items), page.next_key) == (2, "")

    @pytest.mark.parametrize(
        "where, names",
        [
            (RunFilter(), "dcba"),
            (RunFilter(namespace="ns"), "cba"),
            (RunFilter(namespace="other"), "d"),
            (RunFilter(namespace="nobody"), ""),
            (RunFilter(phases=frozenset({Phase.FAILED})), "b"),
            (RunFilter(phases=frozenset({Phase.FAILED, Phase.SUCCESSFUL})), "cb"),
            (RunFilter(phases=frozenset({Phase.NEW})), "da"),
            (RunFilter(template="t"), "a"),
            (RunFilter(labels=(("team", "x"),)), "da"),
            (RunFilter(labels=(("team", "x"), ("env", "prod"))), "d"),
            # a prefix of a value, and a key in a value, are no match
            (RunFilter(labels=(("team", ""),)), ""),
            (RunFilter(labels=(("env", "pro"),)), ""),
            (RunFilter(namespace="ns", labels=(("team", "x"),), template="t"), "a"),
        ],
        ids=str,
    )
    async def test_filters(self, store: Store, where: RunFilter, names: str) -> None:
        await created(store, a_run("a", labels={"team": "x"}), template="t")
        await finished(store, a_run("b", created=later(1)), Phase.FAILED)
        await finished(store, a_run("c", created=later(2)), Phase.SUCCESSFUL)
        await created(store, a_run("d", "other", created=later(3), labels={"team": "x", "env": "prod"}))
        # one at a time, so that every page is filtered too
        seen, key = "", ""
        while True:
            page = await store.list_runs(where, 1, key)
            seen += "".join(record.run.name for record in page.items)
            if not (key := page.next_key):
                break
        assert seen == names

    @pytest.mark.parametrize("key", ["x", "[]", "[1]", '["a","b"]', "[1,2]", "{}", "[true]", "[1e999]", "\ud800"])
    async def test_a_page_key_of_elsewhere_is_refused(self, store: Store, key: str) -> None:
        await created(store)
        with pytest.raises(BadArgument, match="page key"):
            await store.list_runs(RunFilter(), 1, key)

    # templates

    async def test_templates_are_versioned(self, store: Store) -> None:
        first = await store.create_template("ns", "t", "one", NOW)
        second = await store.update_template("ns", "t", "two", first.etag, later(1))
        assert (first.version, first.text, first.created_at) == (1, "one", NOW)
        assert (second.version, second.text, second.created_at) == (2, "two", later(1))
        assert first.etag != second.etag
        assert await store.get_template("ns", "t") == second
        assert await store.get_template("ns", "t", 1) == first
        assert await store.get_template("ns", "t", 2) == second
        assert (await store.list_template_versions("ns", "t", 10)).items == (second, first)
        page = await store.list_template_versions("ns", "t", 1)
        assert page.items == (second,)
        assert await store.list_template_versions("ns", "t", 1, page.next_key) == type(page)((first,), "")

    async def test_an_update_without_change_makes_no_version(self, store: Store) -> None:
        first = await store.create_template("ns", "t", "one", NOW)
        assert await store.update_template("ns", "t", "one", first.etag, later(1)) == first

    @pytest.mark.parametrize("given", ["", "1-00000000", "nonsense"])
    async def test_a_stale_etag_changes_nothing(self, store: Store, given: str) -> None:
        first = await store.create_template("ns", "t", "one", NOW)
        with pytest.raises(EtagMismatch) as caught:
            await store.update_template("ns", "t", "two", given, NOW)
        assert caught.value.current == first.etag
        with pytest.raises(EtagMismatch):
            await store.delete_template("ns", "t", given)
        assert await store.get_template("ns", "t") == first

    async def test_of_concurrent_updates_one_wins(self, store: Store) -> None:
        first = await store.create_template("ns", "t", "one", NOW)
        outcomes = await asyncio.gather(
            *(store.update_template("ns", "t", f"v{i}", first.etag, NOW) for i in range(20)), return_exceptions=True
        )
        assert sum(isinstance(o, EtagMismatch) for o in outcomes) == 19
        assert (await store.get_template("ns", "t")).version == 2

    async def test_version_numbers_outlive_deletion(self, store: Store) -> None:
        first = await store.create_template("ns", "t", "one", NOW)
        await store.delete_template("ns", "t", first.etag)
        for call in (
            store.get_template("ns", "t"),
            store.get_template("ns", "t", 1),
            store.list_template_versions("ns", "t", 1),
            store.update_template("ns", "t", "x", first.etag, NOW),
        ):
            with pytest.raises(NotFound, match="ns/t"):
                await call
        assert not (await store.list_templates(None, 10)).items
        again = await store.create_template("ns", "t", "one", NOW)
        assert (again.version, again.etag != first.etag) == (2, True)

    async def test_templates_that_exist_or_do_not(self, store: Store) -> None:
        await store.create_template("", "t", "one", NOW)
        with pytest.raises(AlreadyExists):
            await store.create_template("", "t", "two", NOW)
        with pytest.raises(NotFound, match="version 7"):
            await store.get_template("", "t", 7)
        with pytest.raises(NotFound):
            await store.get_template("ns", "t")

    async def test_templates_are_listed_by_name(self, store: Store) -> None:
        for namespace, name in (("b", "x"), ("", "z"), ("a", "y"), ("b", "a"), ("a", "b")):
            record = await store.create_template(namespace, name, "one", NOW)
            await store.update_template(namespace, name, "two", record.etag, NOW)
        seen: list[tuple[str, str, str]] = []
        key = ""
        while True:
            page = await store.list_templates(None, 2, key)
            seen += [(r.namespace, r.name, r.text) for r in page.items]
            if not (key := page.next_key):
                break
        assert seen == [(ns, n, "two") for ns, n in (("", "z"), ("a", "b"), ("a", "y"), ("b", "a"), ("b", "x"))]
        assert [r.name for r in (await store.list_templates("b", 5)).items] == ["a", "x"]
        assert [r.name for r in (await store.list_templates("", 5)).items] == ["z"]

    # watching

    async def test_changes_come_in_order_and_once_per_run(self, store: Store) -> None:
        claim = await claimed(store, a_run("a"))
        await created(store, a_run("b"))
        claim = await store.save(commit(claim, a_measurement(0)))
        start = (await store.info()).sequence
        events = await store.changes(0, 10)
        assert [(e.run_id, e.resource_version) for e in events] == [("run-ns-b", 1), ("run-ns-a", 2)]
        assert [e.sequence for e in events] == sorted({e.sequence for e in events})
        assert events[-1].sequence == start
        assert events[-1].run == claim.run
        assert await store.changes(start, 10) == []
        claim = await store.save(commit(claim, a_measurement(1), phase=Phase.FAILED))
        (event,) = await store.changes(start, 10)
        assert event.run is not None
        assert (event.run.phase, event.resource_version) == (Phase.FAILED, 3)

    async def test_a_watcher_that_pages_misses_no_state(self, store: Store) -> None:
        for i in range(10):
            await created(store, a_run(f"r{i}"))
        claims = {c.run.id: c for c in await store.claim("me", NOW, 10, LEASE)}
        view: dict[str, RunEvent] = {}
        position, step = 0, 0
        while True:
            events = await store.changes(position, 3)
            assert [e.sequence for e in events] == sorted(e.sequence for e in events)
            assert all(e.sequence > position for e in events)
            view.update({e.run_id: e for e in events})
            if step < 40:
                run_id = f"run-ns-r{step * 7 % 10}"
                claims[run_id] = await store.save(commit(claims[run_id], a_measurement(step // 10)))
                step += 1
            elif step == 40:  # and a burst at the end: what a full page leaves out is not told again by later changes
                for run_id, claim in claims.items():
                    claims[run_id] = await store.save(commit(claim, a_measurement(4)))
                step += 1
            elif not events:
                break
            position = events[-1].sequence if events else position
        assert {k: e.run for k, e in view.items()} == {k: c.run for k, c in claims.items()}

    async def test_a_deletion_is_news_too(self, store: Store) -> None:
        await finished(store, a_run(labels={"team": "x"}))
        start = (await store.info()).sequence
        await store.delete_run("ns", "run-ns-a", NOW)
        (event,) = await store.changes(start, 10)
        assert (event.run_id, event.deleted, event.run, event.namespace) == ("run-ns-a", True, None, "ns")
        assert await store.changes(0, 10) == [event]
        labelled = RunFilter(namespace="ns", labels=(("team", "x"),))
        assert await store.changes(0, 10, labelled) == [event]
        assert await store.changes(0, 10, RunFilter(namespace="other")) == []
        assert await store.changes(0, 10, RunFilter(labels=(("team", "y"),))) == []

    async def test_changes_are_filtered_but_not_by_phase(self, store: Store) -> None:
        await created(store, a_run("a", labels={"team": "x"}), template="t")
        await created(store, a_run("b", "other"))
        for where in (
            RunFilter(namespace="ns"),
            RunFilter(template="t"),
            RunFilter(labels=(("team", "x"),)),
            # a watcher of running runs is owed the news that one is no longer running
            RunFilter(namespace="ns", phases=frozenset({Phase.RUNNING})),
        ):
            assert [e.run_id for e in await store.changes(0, 10, where)] == ["run-ns-a"]
        assert [e.run_id for e in await store.changes(0, 1, RunFilter(namespace="other"))] == ["run-other-b"]

    @pytest.mark.parametrize("position", [-1, 10**9])
    async def test_a_position_of_elsewhere_means_list_again(self, store: Store, position: int) -> None:
        await created(store)
        with pytest.raises(RelistRequired):
            await store.changes(position, 10)

    async def test_waiters_are_woken(self, store: Store) -> None:
        waiting = store.wakeups()
        assert await anext(waiting) == (await store.info()).sequence
        news = asyncio.ensure_future(anext(waiting))
        await created(store)
        assert await asyncio.wait_for(news, 10) == (await store.info()).sequence

    async def test_a_waiter_that_goes_away_disturbs_nobody(self, store: Store) -> None:
        first, second = store.wakeups(), store.wakeups()
        await anext(first), await anext(second)
        gone, stays = asyncio.ensure_future(anext(first)), asyncio.ensure_future(anext(second))
        await asyncio.sleep(0)
        gone.cancel()
        await created(store)
        assert await asyncio.wait_for(stays, 10)

    async def test_closing_ends_waiting_and_refuses_calls(self, store: Store) -> None:
        await created(store)
        ended = asyncio.ensure_future(self._drain(store))
        await asyncio.sleep(0)
        await store.close()
        await asyncio.wait_for(ended, 10)
        await store.close()
        calls: Mapping[str, Callable[[], Any]] = {
            "get": lambda: store.get_run("ns", "run-ns-a"),
            "create": lambda: created(store, a_run("b")),
            "claim": lambda: store.claim("me", NOW, 1, LEASE),
            "changes": lambda: store.changes(0, 1),
        }
        for call in calls.values():
            with pytest.raises(Unavailable, match="closed"):
                await call()

    @staticmethod
    async def _drain(store: Store) -> None:
        async for _ in store.wakeups():
            pass

    # the store itself

    async def test_info_counts_what_lives(self, store: Store) -> None:
        before = await store.info()
        await created(store, a_run("a"))
        await finished(store, a_run("b"))
        after = await store.info()
        assert (before.live_runs, after.live_runs) == (0, 1)
        assert after.store_id == before.store_id != ""
        assert after.sequence > before.sequence

    async def test_a_cancelled_caller_does_not_tear_a_commit(self, store: Store) -> None:
        claim = await claimed(store)
        task = asyncio.ensure_future(store.save(commit(claim, a_measurement(0))))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        # the next write waits behind it: by then the commit has happened whole, or not at all
        await created(store, a_run("b"))
        record = await store.get_run("ns", claim.run.id)
        count = len((await store.list_measurements(claim.run.id, "errors", 10)).items)
        assert (record.resource_version, count) in ((1, 0), (2, 1))

    @pytest.mark.parametrize("limit", [0, -1])
    async def test_pages_hold_at_least_one(self, store: Store, limit: int) -> None:
        await finished(store)
        for call in (
            store.list_runs(RunFilter(), limit),
            store.list_templates(None, limit),
            store.list_measurements("run-ns-a", "errors", limit),
        ):
            with pytest.raises(StoreError):
                await call
