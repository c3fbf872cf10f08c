-- name: gate_decisions
SELECT forget_gate_decisions(%(older)s, %(most)s) AS n

-- name: foreign_bytes
SELECT forget_foreign_bytes(%(older)s, %(most)s) AS n
