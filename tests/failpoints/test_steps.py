"""Between every two steps stands a failpoint: the list of them is read from the code, and so is what they must part."""

from __future__ import annotations

import ast

from tests.failpoints import steps


def test_between_every_two_steps_stands_a_failpoint() -> None:
    assert [str(x) for x in steps.missing(steps.guarded())] == []


def test_failpoints_have_names_of_their_own_that_are_plain_words() -> None:
    for name in steps.failpoints():
        assert name.replace(".", "").replace("_", "").isalpha(), name
        assert name.count(".") == 1, name


def test_the_rules_see_the_steps_they_are_about() -> None:
    """What the scan takes for a step: a verb's write, a verb that writes through others, a look-up that is none."""
    effects = steps.effects()
    for name in (
        "ingest.admit.lane.admit",
        "ingest.admit.lane.AdmissionTransaction._write_events",
        "ingest.publish.lane.PublishLane._publish",
        "ingest.publish.lane.PublishLane._fence",
        "ingest.kafka.producer._Transaction._commit",
        "ingest.publish.reconcile.Reconciliation.step",
        "ingest.lanes.partition_lane.PartitionLane._commit",
        "audit.cut.cut_run",
        "audit.go_on.go_on",
        "audit.close.judge",
        "audit.close.store",
    ):
        assert effects[name].changes, name
    assert effects["ingest.lanes.record_buffer.RecordBuffer.fill"].reads
    assert effects["ingest.admit.lane.AdmissionLane.step"].reads
    for name in ("ingest.admit.lane.AdmissionTransaction._look_up", "ingest.worker.work", "audit.cut.cuts_of"):
        assert not effects[name], name


def test_a_failpoint_taken_away_is_missed() -> None:
    """So each of them is asked for by a rule, and a step that lost its failpoint is found."""
    unasked = [
        name for name, where in steps.failpoints().items() if not _complains_without(name, steps.by_key()[where])
    ]
    assert unasked == []


def _complains_without(name: str, function: steps.Function) -> bool:
    class Remove(ast.NodeTransformer):
        def visit_Expr(self, node: ast.Expr) -> ast.AST:  # noqa: N802 - ast's name
            if steps.is_failpoint(node) and ast.literal_eval(node.value.args[0]) == name:  # type: ignore[attr-defined]
                return ast.copy_location(ast.Pass(), node)
            return node

    source = ast.parse(ast.unparse(function.node)).body[0]
    assert isinstance(source, ast.FunctionDef)
    without = Remove().visit(source)
    changed = steps.Function(function.module, function.name, without, function.within)
    return bool(steps.missing([changed]))
