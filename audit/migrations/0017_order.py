"""Reruns whose events come out of a key's order, by somebody's consent: see sql/order.sql."""

from django.db import migrations, models

from audit.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("audit", "0016_covers")]

    operations = [
        migrations.AddField("rerun", "out_of_order", models.BooleanField(db_default=False)),
        migrations.RunSQL(sql_text("order"), migrations.RunSQL.noop),
    ]
