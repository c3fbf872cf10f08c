#!/usr/bin/env python3
"""Passgate's one command: sets itself up with the standard library alone, then runs `passgate` or a Django command.

This file stays readable by any Python 3 (and 2), so that an old one gets a sentence and not a syntax error.
"""

import sys

if sys.version_info < (3, 11):
    sys.exit("Passgate needs Python 3.11 or newer, and this is %d.%d: run python3.11 manage.py" % sys.version_info[:2])

from stack.bootstrap import main

if __name__ == "__main__":
    main()
