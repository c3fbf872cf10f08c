"""Importing this module sets Django up, with the settings of the running stack where the environment says nothing.

Commands import it before anything of the ledger, so that their other imports stand where imports stand.
"""

from console.cli.main import set_up_django

set_up_django()
