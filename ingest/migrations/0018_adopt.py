"""A ledger that is an older copy goes on as another installation, by a plan (plans/migrations/sql/adopt.sql)."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ingest", "0017_decide")]

    operations = [
        migrations.RemoveConstraint(model_name="install", name="install_is_one_row"),
        migrations.AddField(model_name="install", name="plan", field=models.BigIntegerField(null=True)),
        migrations.AlterField(model_name="install", name="install_id", field=models.UUIDField(unique=True)),
        migrations.AddConstraint(
            model_name="install",
            constraint=models.UniqueConstraint(fields=["plan"], name="install_of_one_plan"),
        ),
        migrations.AddConstraint(
            model_name="install",
            constraint=models.CheckConstraint(
                condition=models.Q(id=1, plan__isnull=True) | models.Q(id__gt=1, plan__isnull=False),
                name="install_of_a_plan",
            ),
        ),
    ]
