"""Triggers, the gate's rule, row security and roles' rights: see sql/rules.sql."""

from django.db import migrations

from audit.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial"), ("ingest", "0002_rules")]

    operations = [migrations.RunSQL(sql_text("rules"), migrations.RunSQL.noop)]
