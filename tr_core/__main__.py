"""``python -m tr_core``, also installed as ``token-recycling``: the command line.

This is the engine's only file that knows ``viz``: it passes one function to the command line. So
the engine can be installed without it.
"""

import sys

from tr_core.cli.main import main
from tr_core.cli.shared import ToHtml
from tr_core.errors import SettingsError


def load_html() -> ToHtml:
    """Import what ``--html`` needs, only when requested.

    Raises:
        SettingsError: the package ``viz``, or one that it needs, is not there.
    """
    try:
        from viz.export import to_html
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"--html needs the package {error.name}, which is not installed: run it in a checkout"
            " of Token Recycling Explorer, with its requirements.txt installed; or save the run"
            " with --trace."
        ) from error
    return to_html


def door() -> int:
    """Run the command line with this process's arguments; returns its exit status."""
    return main(sys.argv[1:], load_html=load_html)


if __name__ == "__main__":
    sys.exit(door())
