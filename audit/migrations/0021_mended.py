"""A rerun covers a window that failed by missing effects, once they stand again: see sql/mended.sql."""

from django.db import migrations

from audit.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("audit", "0020_lost"), ("ingest", "0023_mended")]

    operations = [migrations.RunSQL(sql_text("mended"), migrations.RunSQL.noop)]
