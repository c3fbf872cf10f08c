-- name: free
-- Of each plan the most of a day, how many of them its requester has used today, and its own.
SELECT p.id, f.most, f.used, f.records FROM unnest(%(plans)s::bigint[]) AS p(id) CROSS JOIN LATERAL plan_free(p.id) f
