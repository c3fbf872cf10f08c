"""Importing this module sets Django up, with the settings of the running stack where the environment says nothing.

Commands import it before anything of the ledger, so that their other imports stand where imports stand.
"""

import os

from console.cli.main import set_up_django

BEFORE = dict(os.environ)
"""The environment as the caller gave it: what a command that is run for them gets, without the stack's passwords."""

set_up_django()
