import sys

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "console"

    def ready(self) -> None:
        from console import checks  # noqa: F401  importing registers them
        from console.environment import refuse_unusable

        if sys.argv[1:2] != ["check"]:  # Django's command: it lists what is wrong itself, with all else that is
            refuse_unusable()
