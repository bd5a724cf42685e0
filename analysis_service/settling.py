"""A comparison's settings, fixed once: its share of alpha, and what a look-back over the stable version teaches.

The look-back may take its turn behind others; until it is done there are no settings, and the comparison's looks wait
for them (core.compare.waiting).
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from analysis_service.clock import Clock
from analysis_service.core.compare import schedule
from analysis_service.core.compare.spec import READINGS, Spec, plan_of, share_of
from analysis_service.core.due import Op
from analysis_service.core.model import Measurement, Run
from analysis_service.core.prepare import prepare
from analysis_service.core.reconcile import Task
from analysis_service.core.statistics.plan import Calibration, Plan
from analysis_service.notes import WAITING

Calibrate = Callable[[str, Spec], Awaitable[Calibration | None]]
"""(the metric's name, its comparison) -> what a look-back over the stable version teaches, or None: then results are
labelled uncalibrated."""
Slot = tuple[str, str, int]


@dataclass(slots=True)
class Settling:
    """Shared by all runs of the process; each comparison asks for its look-back once."""

    clock: Clock
    calibrate: Calibrate | None = None
    grace_seconds: float = 1.0  # that a look waits for its look-back; longer, and it is taken and judged later
    _learning: "dict[Slot, asyncio.Future[Calibration | None]]" = field(default_factory=dict)

    async def settled(self, run: Run, task: Task, spec: Spec, base: Measurement) -> Plan | None:
        """The settings; None while the look-back is not done. At its end a comparison goes on without it."""
        if self.calibrate is None:
            return plan_for(run, task, spec, None)
        slot, now = (run.id, task.name, task.ordinal), self.clock.now()
        ends = task.op is Op.TERMINATE
        learning = self._learning.get(slot)
        if learning is None and ends:
            return plan_for(run, task, spec, None)
        if learning is None:
            learning = self._learning[slot] = asyncio.ensure_future(self.calibrate(task.name, spec))
        first_readings = spec.cumulative and READINGS not in base.metadata  # nothing is judged by them
        waited = WAITING in base.metadata  # once is enough: the readings are to be taken on time
        if not (learning.done() or ends or first_readings or (waited and self.grace_seconds < math.inf)):
            await asyncio.wait({learning}, timeout=self.grace_seconds if self.grace_seconds < math.inf else None)
        ends = ends or schedule.is_over(base.started_at or now, spec.max_duration, now)
        if not learning.done() and not ends:
            return None
        del self._learning[slot]
        if not learning.done():
            learning.cancel()
        calibration = learning.result() if learning.done() and not learning.cancelled() else None
        return plan_for(run, task, spec, calibration)

    async def learnt(self, run: Run, task: Task, spec: Spec) -> Plan | None:
        """The settings if the look-back is done soon: for a forecast, nothing is settled by it."""
        learning = self._learning.get((run.id, task.name, task.ordinal))
        if learning is None:
            return None
        await asyncio.wait({learning}, timeout=self.grace_seconds if self.grace_seconds < math.inf else None)
        if not learning.done() or learning.cancelled() or learning.exception() is not None:
            return None
        return plan_for(run, task, spec, learning.result())


def plan_for(run: Run, task: Task, spec: Spec, calibration: Calibration | None) -> Plan:
    share = share_of(task.name, [(ready.metric, ready.dry_run) for ready in prepare(run.spec).metrics])
    return plan_of(spec, share, calibration)
