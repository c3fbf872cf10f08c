"""A token that may seal a run may cut one: the act has that name now."""

from django.db import migrations

_ACTS = "UPDATE token_scope SET acts = array_replace(acts, 'seal', 'cut') WHERE 'seal' = ANY(acts)"


class Migration(migrations.Migration):
    dependencies = [("console", "0003_refusals")]

    operations = [migrations.RunSQL(_ACTS)]
