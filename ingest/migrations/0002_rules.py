"""Triggers, roles' rights and partitions of the ledger: see sql/rules.sql."""

from django.db import migrations

from ingest.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("ingest", "0001_initial")]

    operations = [migrations.RunSQL(sql_text("rules"), migrations.RunSQL.noop)]
