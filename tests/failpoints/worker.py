"""Worker processes for crash tests: `python -m tests.failpoints.worker` loads the project once and forks for each job.

As a Celery worker's children do, each job's process makes its own connections after the fork and runs the product's
code as it is. Jobs come as lines of JSON on standard input; what became of a job's process is told on standard output.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import django

Job = dict[str, Any]
PR_SET_PDEATHSIG = 1


def main() -> None:
    _end_with_parent()
    django.setup()
    _load()
    _say({"ready": os.getpid()})
    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if not pid:
            _run(job)
        _say({"pid": pid})
        _tell(pid)


def _end_with_parent() -> None:
    """SIGKILL from the kernel when whoever started us ends, however it ends; a stopped process gets it too.

    Linux alone can do that. Elsewhere this server ends with its standard input, and what is stopped is left over if the
    tests themselves are killed.
    """
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL):
        raise OSError(ctypes.get_errno(), "prctl")


def _load() -> None:
    """What a worker imports in its first slice, so that the forks have it."""
    from console import tasks
    from ingest import worker as lane_worker
    from ingest.admit import http as door

    lane_worker.factories()
    assert tasks and door


def _tell(pid: int) -> None:
    """Stopped (and perhaps woken up again), then ended."""
    while True:
        _, status = os.waitpid(pid, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            _say({"stopped": pid})
            continue
        _say({"ended": os.waitstatus_to_exitcode(status)})
        return


def _say(words: dict[str, Any]) -> None:
    os.write(1, (json.dumps(words) + "\n").encode())


def _run(job: Job) -> None:
    from ingest import failpoints

    _end_with_parent()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        if "lease" in job:
            _shorten_lease(job["lease"], job.get("idle", job["lease"]))
        failpoints.arm(job.get("failpoint", ""))
        JOBS[job["do"]](job)
        code = 0
    except BaseException:  # noqa: BLE001 - whatever it was, this process ends here and not in the server's loop
        import traceback

        traceback.print_exc()
        code = 1
    finally:
        sys.stderr.flush()
    os._exit(code)


def _shorten_lease(seconds: float, idle: float) -> None:
    """A lease that a test can outwait, and the server's patience with a transaction that says nothing. The lease's
    length stands in several modules and in defaults, and means the same in all.
    """
    from django.db import connection

    from ingest.admit import http as door
    from ingest.admit import lane as admit
    from ingest.consume import transaction as consume
    from ingest.lanes import lease
    from ingest.publish import attempts, reconcile
    from ingest.publish import lane as publish

    options = connection.settings_dict["OPTIONS"]
    options["options"] = options["options"].replace("timeout=30s", f"timeout={idle}s")
    for module in (admit, attempts, consume, door, lease, publish, reconcile):
        module.LEASE_SECONDS = seconds  # type: ignore[attr-defined]
    for module, share in ((admit, 3), (consume, 3), (publish, 3), (reconcile, 4)):
        module._RENEW_AFTER = seconds / share  # type: ignore[attr-defined]
    for verb in (lease.take, lease.renew):
        verb.__defaults__ = (seconds,)


# ---- jobs -----------------------------------------------------------------------------------------------------------


def work(job: Job) -> None:
    """A lane worker of one stream, until nothing is left to do; `seconds` bounds it."""
    from ingest import worker as lane_worker
    from ingest.db import DatabaseGone
    from ingest.sample import sample as take_sample

    lane_worker.STEP_SECONDS = 0.05
    lane_worker.IDLE_SECONDS = job.get("idle_seconds", 0.2)
    worker = lane_worker.Worker.make()
    sources = frozenset(job["sources"])
    worker.only = sources
    worker.lanes = {name: made for name, made in worker.lanes.items() if name in job.get("lanes", worker.lanes)}
    if job.get("producers"):
        _tell_producers(job["producers"])
    if job.get("fault"):
        FAULTS[job["fault"]]()
    until = time.monotonic() + job.get("seconds", 20)
    while time.monotonic() < until:
        try:
            take_sample(worker.admin, job["stream"])
            rests = _rests(sources)  # asked first: a rest that ends between the two questions is work by the second
            if not any(x.source_id in sources and x.lane in worker.lanes for x in lane_worker.work()):
                if not rests:
                    break
                time.sleep(0.1)
                continue
            worker.slice(job.get("slice", 5))
        except DatabaseGone:  # its permit is over; it gets the next one
            worker.give_back()
    worker.close()


def _rests(sources: frozenset[int]) -> bool:
    """A lane of these rests until an attempt has been silent for long enough: there is something left to do."""
    from ingest.db import read

    with read() as cur:
        rows = cur.execute(
            "SELECT 1 FROM position WHERE source_id = ANY(%s) AND stopped_code = 'waits_for_silence'"
            " AND stopped_until > clock_timestamp()",
            [list(sources)],
        ).fetchall()
    return bool(rows)


def _tell_producers(file: str) -> None:
    """Each producer that this process makes is a line of the file."""
    from ingest.kafka import TransactionalProducer

    real = TransactionalProducer.__init__

    def made(producer: TransactionalProducer, *args: Any, **named: Any) -> None:
        with open(file, "a", encoding="utf-8") as lines:  # noqa: PTH123 - one line, by a process that may be killed
            lines.write(f"{os.getpid()}\n")
        real(producer, *args, **named)

    TransactionalProducer.__init__ = made  # type: ignore[method-assign]


def not_sent() -> None:
    """The producer refuses the first attempt, before anything of it has left."""
    from ingest.core.outcome import Kind, Outcome
    from ingest.kafka import TransactionalProducer

    real = TransactionalProducer.send

    def send(producer: TransactionalProducer, topic: str, messages: Any) -> Outcome:
        TransactionalProducer.send = real  # type: ignore[method-assign]
        producer.destroy()
        return Outcome(Kind.NOT_SENT, "the local queue is full")

    TransactionalProducer.send = send  # type: ignore[method-assign,assignment]


def another_epoch() -> None:
    """Whatever the bus holds, it is not known to be the log that the attempt went to: no scan answers."""
    from ingest.publish import reconcile

    reconcile.probe_epoch = lambda *_: "the epoch ended at 0"  # type: ignore[assignment]


def met_copies() -> None:
    """This process met a second copy a moment ago: it looks at each record by itself for some reads."""
    from ingest.consume.attempt_cache import cache_of
    from ingest.consume.transaction import COPIES_EXPECTED

    cache_of(os.getpid()).copies = COPIES_EXPECTED


FAULTS: dict[str, Callable[[], None]] = {
    "not_sent": not_sent, "met_copies": met_copies, "another_epoch": another_epoch,
}  # fmt: skip


def open_(job: Job) -> None:
    from audit.open import open_run

    open_run(job["stream"], job["run"], "test")


def cut(job: Job) -> None:
    from audit.cut import cut_run

    cut_run(job["stream"], job["run"], "test", job.get("totals"))


def go_on(job: Job) -> None:
    """A window is cut and the next one opens; `silent`: Kafka answers this process nothing."""
    from audit.go_on import go_on as verb

    if job.get("silent"):
        kafka_is_away()
    verb(job["stream"], job["run"], "test", job.get("window"), job.get("next_run"), job.get("totals"))


def kafka_is_away() -> None:
    """Nothing listens where this process asks what Kafka says of offsets."""
    from django.conf import settings

    from audit import capture

    settings.KAFKA_BOOTSTRAP_SERVERS = "127.0.0.1:9"
    capture.admin = lambda timeout=0.5: capture._admin(0, "127.0.0.1:9", 0.5)  # type: ignore[assignment]


def go_on_due(job: Job) -> None:
    """What beat asks for. Only this stream's window is over, and only its run is to be opened."""
    from audit import go_on as verb

    verb._is_over = lambda row, records: row.stream == job["stream"]  # type: ignore[assignment]
    verb.go_on_due()


def pin_due(job: Job) -> None:
    from audit.pins import pin_due as verb

    verb()


def close(job: Job) -> None:
    from audit.close import close_run

    sample(job)
    close_run(job["stream"], job["run"], "test", job.get("window"))


def close_due(job: Job) -> None:
    """What beat asks for, of one window."""
    from audit import close

    sample(job)
    close._close_due_window(close.window_of(job["stream"], job["run"]), time.monotonic())


def look_after(job: Job) -> None:
    """The first half of what beat asks for: open windows are looked after on the way to those that are due."""
    from audit import close

    list(close._due(time.monotonic))


def enforce(job: Job) -> None:
    """What beat asks for, of one stream."""
    from audit import enforce as verb
    from ingest.db import read

    with read() as cur:
        gates = [row for row in cur.execute(verb.sql.gates).fetchall() if row.stream == job["stream"]]
    found = verb._enforce(verb._by_contract(gates))
    assert job.get("unsure") or all(x.outcome != "unmeasured" for x in found), found


def decide(job: Job) -> None:
    """What a request to the gate asks, and the answer it is to get."""
    from audit.enforce import decide_gate

    decision = decide_gate(job["stream"], job["run"], who="test")
    assert decision.status == job.get("status", 200), decision


def span(job: Job) -> None:
    """What a request to the gate asks about a span of time."""
    from datetime import UTC, datetime

    from audit.enforce import decide_span

    decision = decide_span(job["stream"], datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC), "test")
    assert decision.status == 403, decision


def door(job: Job) -> None:
    from ingest.admit.http import DoorRecord, receive

    records = [DoorRecord(0, None, b"k", value.encode(), None) for value in job["values"]]
    received = receive(job["stream"], records)
    assert len(received.outcomes) == len(records)


def request(job: Job) -> None:
    from ingest.publish.reconcile import request as verb

    verb(job["attempt"], "ana")


def request_run(job: Job) -> None:
    from ingest.publish.reconcile import request_run as verb

    verb(job["stream"], job["run"], "ana")


def dispatch(job: Job) -> None:
    from ingest.permits import dispatch as verb

    verb(job.get("slots", 500))


def permit(job: Job) -> None:
    """The Celery task itself, with nothing told but that it may work."""
    from console.tasks import slice_

    slice_()


def sample(job: Job) -> None:
    from ingest.kafka import Admin, Cluster
    from ingest.sample import sample as verb

    verb(Admin(Cluster.from_settings()), job["stream"])


def plan(job: Job) -> None:
    """One act on a plan of the kind that only counts."""
    from console.people import Accounts, actor_named
    from plans import answer, expire, kinds, run, steer
    from plans.core.plan import Kind
    from plans.submit import submit
    from tests.plans.crowd import CountingPlan, plan_row

    kinds.KINDS = {**kinds.KINDS, Kind.ERASE: CountingPlan()}
    people, number = Accounts(), job["plan"]
    run.due = expire.due = lambda: [number]  # other stories' plans are theirs
    asker, approver = actor_named(job["asker"]), actor_named(job["approver"])
    verbs: dict[str, Callable[[], object]] = {
        "submit": lambda: submit(Kind.ERASE, {"stream": job["stream"], "items": job["items"]}, asker, "why", people),
        "approve": lambda: answer.approve(number, bytes(plan_row(number).digest), approver, people),
        "decline": lambda: answer.decline(number, approver, people, "no"),
        "run": lambda: run.run_due(people),
        "run_once": lambda: run.run_plan(number, people, lambda: False),
        "pause": lambda: steer.pause(number, asker, people, "wait"),
        "resume": lambda: steer.resume(number, asker, people),
        "cancel": lambda: steer.cancel(number, asker, people, "enough"),
        "expire": expire.expire_due,
    }
    verbs[job["verb"]]()


def run_plan(job: Job) -> None:
    """A plan of a real kind, here and now; `batch`: so many at once."""
    from console.people import Accounts
    from plans.kinds.redrive import RedrivePlan
    from plans.kinds.replay import ReplayPlan
    from plans.run import run_plan as verb

    RedrivePlan.batch = job.get("batch", RedrivePlan.batch)
    ReplayPlan.batch = job.get("batch", ReplayPlan.batch)

    verb(job["plan"], Accounts(), lambda: True)


def close_rerun(job: Job) -> None:
    from audit.close import close_run

    sample(job)
    close_run(job["stream"], job["run"], "test", 1, rerun=1)


JOBS: dict[str, Callable[[Job], None]] = {
    "work": work, "open": open_, "cut": cut, "go_on": go_on, "go_on_due": go_on_due,
    "pin_due": pin_due,
    "close": close, "close_due": close_due, "look_after": look_after,
    "enforce": enforce, "decide": decide, "span": span, "door": door, "request": request, "request_run": request_run,
    "dispatch": dispatch, "permit": permit, "sample": sample,
    "plan": plan, "run_plan": run_plan, "close_rerun": close_rerun,
}  # fmt: skip

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the test session ends us, by closing our standard input
    main()
