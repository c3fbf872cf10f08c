"""What a person sets, by environment variables: the table of settings, their typed values, and what is wrong with them.

Standard library only: the command line looks at it before anything else is imported.
"""

from console.environment import table
from console.environment.faults import Fault, ReadEnvironment, UnknownSetting, faults, unknown
from console.environment.start import UnusableSettings, refuse_unusable

__all__ = [
    "Fault",
    "ReadEnvironment",
    "UnknownSetting",
    "UnusableSettings",
    "faults",
    "refuse_unusable",
    "table",
    "unknown",
]
