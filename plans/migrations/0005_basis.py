"""A generation of a basis, and an end of re-checks, are what their running plan binds: see sql/basis.sql."""

from django.db import migrations

from plans.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("plans", "0004_decide"), ("audit", "0014_basis")]

    operations = [migrations.RunSQL(sql_text("basis"), migrations.RunSQL.noop)]
