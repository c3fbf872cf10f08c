-- name: needed
-- How many approvals a plan about this stream, and window, needs by the contracts as they are now.
SELECT plan_approvals_needed(%(kind)s, %(stream)s, %(win)s) AS needed

-- name: given
-- The approvals of plans, each plan's in the order in which they were given.
SELECT plan_id, who, person, why, at FROM plan_approval WHERE plan_id = ANY(%(plans)s::bigint[]) ORDER BY plan_id, ordinal

-- name: give
-- One person's yes. The trigger plan_approval_is_given looks at everything again, holding the plan's row.
INSERT INTO plan_approval (plan_id, who, person, digest, why) VALUES (%(plan)s, %(who)s, %(person)s, %(digest)s, %(why)s)
