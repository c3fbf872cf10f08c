"""What the app role may do with the tables of Django, its sessions and its tokens."""

from django.db import migrations

GRANTS = """
DO $$
DECLARE t regclass;
BEGIN
    FOR t IN SELECT c.oid::regclass FROM pg_class c
              WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
                AND (c.relname LIKE 'auth\\_%' OR c.relname LIKE 'django\\_%' OR c.relname LIKE 'knox\\_%') LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO passgate_app', t);
    END LOOP;
    REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM passgate_app;
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO passgate_app;
END $$;
"""


class Migration(migrations.Migration):
    initial = True
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("sessions", "0001_initial"),
        ("knox", "0009_extend_authtoken_field"),
    ]

    operations = [migrations.RunSQL(GRANTS, migrations.RunSQL.noop)]
