"""A window that a rerun opened is a context, too: see sql/covered_contexts.sql."""

from django.db import migrations

from audit.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("audit", "0021_mended")]

    operations = [migrations.RunSQL(sql_text("covered_contexts"), migrations.RunSQL.noop)]
