"""``python -m transferlib``."""

import sys

from transferlib.cli import main

sys.exit(main())
