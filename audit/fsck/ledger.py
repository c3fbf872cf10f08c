"""Invariants that one statement each holds: rows against rows, where they are."""

from __future__ import annotations

from audit.fsck.looking import Check, in_sql
from ingest.db import statements

sql = statements("audit.fsck", "fsck")

CHECKS: tuple[Check, ...] = (
    in_sql("places_of_acked", "I1", sql.i1_places_of_acked),
    in_sql("places_in_attempts", "I1", sql.i1_places_in_attempts),
    in_sql("places_apart", "I1", sql.i1_places_apart),
    in_sql("places_once", "I1", sql.i1_places_once),
    in_sql("effects_unique", "I2", sql.i2_effects_unique),
    in_sql("effects_are_events", "I3", sql.i3_effects_are_events),
    in_sql("consumed_are_effects", "I3", sql.i3_consumed_are_effects),
    in_sql("effects_at_places", "I3", sql.i3_effects_at_places),
    in_sql("samples", "I4", sql.i4_samples),
    in_sql("samples_possible", "I4", sql.i4_samples_possible),
    in_sql("positions_explained", "I5", sql.i5_positions_explained),
    in_sql("batches_beyond", "I5", sql.i5_batches_beyond),
    in_sql("ranges_chain", "I5", sql.i5_ranges_chain),
    in_sql("reruns_apart", "I5", sql.i5_reruns_apart),
    in_sql("gaps_proven", "I5", sql.i5_gaps_proven),
    in_sql("gone", "I5", sql.i5_gone),
    in_sql("fence_evidence", "I6", sql.i6_fence_evidence),
    in_sql("contradictions", "I7", sql.i7_absent),
    in_sql("verdict_order", "I8", sql.i8_order),
    in_sql("pins", "I8", sql.i8_pins),
    in_sql("verdict_rows", "I9", sql.i9_verdicts),
    in_sql("verdict_numbers", "I9", sql.i9_numbers),
    in_sql("snapshots", "I9", sql.i9_snapshots),
    in_sql("generations", "I9", sql.i9_generations),
    in_sql("complete", "I9", sql.i9_complete),
    in_sql("open_gates", "I10", sql.i10_open_gates),
    in_sql("covers", "I10", sql.i10_covers),
    in_sql("granted", "I10", sql.i10_granted),
    in_sql("granted_after", "I10", sql.i10_granted_after),
    in_sql("truth_guarded", "I10", sql.i10_truth_guarded),
    in_sql("approvals", "I11", sql.i11_approvals),
    in_sql("plan_history", "I11", sql.i11_history),
    in_sql("waivers", "I11", sql.i11_waivers),
    in_sql("reruns", "I11", sql.i11_reruns),
    in_sql("refreshes", "I11", sql.i11_refreshes),
    in_sql("recheck_ends", "I11", sql.i11_recheck_ends),
    in_sql("decisions", "I11", sql.i11_decisions),
    in_sql("losses", "I11", sql.i11_losses),
    in_sql("mended", "I11", sql.i11_mended),
    in_sql("first_payloads", "I12", sql.i12_first_payloads),
    in_sql("kept_payloads", "I12", sql.i12_kept_payloads),
    in_sql("owners", "I13", sql.i13_owners),
    in_sql("fences", "I13", sql.i13_fences),
    in_sql("refs", "REFS", sql.refs),
    in_sql("receipts_have_rows", "REFS", sql.receipts_have_rows),
    in_sql("sums", "SUMS", sql.sums),
    in_sql("sums_of_bus", "SUMS", sql.sums_of_bus),
    in_sql("sums_of_attempts", "SUMS", sql.sums_of_attempts),
)
