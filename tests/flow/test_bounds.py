"""Bounds that fit each other: what a task does ends before the task, and what a lane does before its lease."""

from __future__ import annotations

from typing import Any

import pytest

from ingest.core.lease import LEASE_SECONDS, LONGEST_ATTEMPT, RECHECKS_A_LEASE
from ingest.streams import ContractUnusable, check_usable, parse
from tests.flow.test_usable import text

TASK = "task_time_limit"


def test_what_a_task_does_ends_before_the_task_is_ended(settings: Any) -> None:
    from audit import close, gaps
    from ingest import worker as lane_worker
    from ingest.publish import lane as publish
    from ingest.publish import reconcile

    limit = settings.CELERY[TASK]
    attempt = LONGEST_ATTEMPT + publish._FENCE_SECONDS
    assert lane_worker.SLICE_SECONDS + attempt + reconcile.STEP_SECONDS < limit / 2
    assert limit / 2 > gaps.SECONDS_IN_ALL + gaps.SECONDS + close.CLOSE_DUE_SECONDS
    assert settings.CELERY["broker_transport_options"]["visibility_timeout"] > limit


def test_a_step_of_every_lane_of_a_process_fits_a_lease() -> None:
    from ingest import worker as lane_worker
    from ingest.publish import reconcile

    assert reconcile.STEP_SECONDS * lane_worker.MOST_LANES < LEASE_SECONDS / 2
    assert LONGEST_ATTEMPT <= LEASE_SECONDS / 2


def test_beat_looks_more_often_than_leases_end(settings: Any) -> None:
    beat = {name: entry["schedule"] for name, entry in settings.CELERY["beat_schedule"].items()}
    assert beat["dispatch"] * 2 < LEASE_SECONDS
    assert beat["enforce"] < 10 * RECHECKS_A_LEASE  # of a contract that says nothing


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({"delivery_timeout": "16s"}, "bus.delivery_timeout"),
        ({"close": '[gate]\nrecheck = "1s"'}, "gate.recheck"),
    ],
)
def test_a_contract_whose_times_do_not_fit_is_refused(live: object, more: dict[str, str], key: str) -> None:
    contract = parse(text("unfit", **more), "unfit.toml", {})
    with pytest.raises(ContractUnusable) as refused:
        check_usable(contract)
    assert refused.value.expected.startswith(key)


def test_a_scan_may_last_longer_than_a_task(live: object) -> None:
    """It goes in steps."""
    long = text("fits", after='1s"\nscan_timeout = "1h')
    check_usable(parse(long, "fits.toml", {}))
