"""Memory is judged process by process, by the course it took: what grows is found, whoever stands beside it."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from trials.bench.ground import MeasureFailed
from trials.bench.memory import MIB, POINTS, Watch, fifths, thinned, thinned_times


def watch(**groups: Sequence[dict[int, float]]) -> Watch:
    """One that has looked already: MiB by pid, once a second."""
    made = Watch({name: [next(iter(samples[0]))] for name, samples in groups.items()})
    made._samples = {
        name: [{pid: int(size * MIB) for pid, size in each.items()} for each in samples]
        for name, samples in groups.items()
    }
    made._times = [float(number) for number in range(max(map(len, groups.values())))]
    made._names = {pid: f"p{pid}" for samples in groups.values() for each in samples for pid in each}
    return made


def test_growth_of_one_process_is_not_hidden_by_others() -> None:
    found = watch(
        workers=[{1: 90.0, 2: 200.0, 3: 100.0 + at} for at in range(100)], broker=[{9: 400.0} for _ in range(100)]
    ).document()
    assert (found["worst"], found["ratio"]) == ("workers: p3", pytest.approx(189.5 / 129.5, abs=0.001))
    assert found["groups"]["workers"]["ratio"] < found["ratio"]
    assert found["said"] == "worst process of each kind: workers 1.46, broker 1.00"
    assert len(found["times"]) == len(found["processes"]["workers"]["p3"]["course"]) == 50 <= POINTS


def test_warming_up_is_no_growth() -> None:
    assert fifths([(50 + min(at, 19)) * MIB for at in range(100)])["ratio"] == 1.0


def test_what_is_small_counts_as_sixteen_mib() -> None:
    assert fifths([MIB] * 50 + [2 * MIB] * 50)["ratio"] == 1.0
    assert fifths([MIB] * 50 + [32 * MIB] * 50)["ratio"] == 2.0


def test_backends_come_and_go_and_are_counted() -> None:
    samples: list[dict[int, float]] = [{1: 20.0} | ({2: 30.0} if at < 10 else {}) for at in range(100)]
    samples = [each | ({3: 20.0 + at} if at >= 40 else {}) for at, each in enumerate(samples)]
    group = watch(postgres=samples).document()["groups"]["postgres"]
    assert group["passing"] == {"processes": 1, "most_mib": 30.0}
    assert group["worst"] == "p3", "one that was there for most of the time is judged by its own time"


def test_a_process_of_one_job_is_counted_with_those_that_pass() -> None:
    """A slowed autovacuum worker holds what the table it has come to needs: 7 MiB of one, 32 of the next."""
    made = watch(postgres=[{1: 20.0, 2: 7.0 if at < 80 else 32.0} for at in range(100)])
    made._names[2] = "autovacuum worker passgate 2"
    group = made.document()["groups"]["postgres"]
    assert (group["worst_ratio"], group["passing"]) == (1.0, {"processes": 1, "most_mib": 32.0})


def test_a_worker_that_ended_fails_the_measure_by_name() -> None:
    with pytest.raises(MeasureFailed, match="workers.*p2"):
        watch(workers=[{1: 90.0, 2: 100.0}] * 99 + [{1: 90.0, 3: 100.0}]).document()


def test_courses_are_thinned_to_medians() -> None:
    assert len(thinned([MIB] * 1_001)) == len(thinned_times([0.0] * 1_001)) <= POINTS
    assert thinned([None] * 200 + [MIB] * 400 + [2 * MIB] * 600)[:: POINTS // 6] == [None, 1.0, 1.0, 2.0, 2.0, 2.0]


def test_it_looks_at_processes_and_at_what_is_there_in_the_end() -> None:
    with Watch({"this": [os.getpid()]}, every=30.0) as looked:
        pass
    found = looked.document()
    assert found["groups"]["this"]["samples"] >= 1
    assert found["groups"]["this"]["last_mib"] > 1
    assert any(name.endswith(f" {os.getpid()}") for name in found["processes"]["this"])
