"""``python -m tr_core``: the command line's door."""

import sys

from tr_core.cli import main

sys.exit(main(sys.argv[1:]))
