"""``transferlib`` and ``python -m transferlib``: the command line, from the first moment on."""

from __future__ import annotations

import sys


def main() -> int:
    """Run a command; Ctrl-C is answered while torch is being imported, too."""
    try:
        from transferlib import cli
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
