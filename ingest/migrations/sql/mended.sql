-- An effect that went missing is written again by a plan that proves its window; each such is a row here, for good.

SELECT guard_append_only('mended_effect'::regclass);
GRANT SELECT, INSERT ON mended_effect TO passgate_app;
GRANT SELECT ON mended_effect TO passgate_auditor;
