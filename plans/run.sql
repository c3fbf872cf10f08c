-- name: due
-- Plans that wait for their turn, and those that run: whoever ran one may have died.
SELECT id FROM plan WHERE state IN ('APPROVED', 'RUNNING') ORDER BY id LIMIT 100

-- name: running
-- A plan that runs, as it is before a step of it.
SELECT p.* FROM plan p WHERE p.id = %(plan)s AND p.state = 'RUNNING'

-- name: lately
-- How many items had their outcome since a second ago.
SELECT count(*) AS lately FROM plan_item
 WHERE plan_id = %(plan)s AND outcome IS NOT NULL AND at > clock_timestamp() - interval '1 second'

-- name: write_outcomes
-- One outcome for each; the trigger plan_item_transition refuses a second one.
UPDATE plan_item i SET outcome = x.outcome, reason = x.reason, at = clock_timestamp()
  FROM unnest(%(ordinals)s::integer[], %(outcomes)s::text[], %(reasons)s::text[]) AS x(ordinal, outcome, reason)
 WHERE i.plan_id = %(plan)s AND i.ordinal = x.ordinal
