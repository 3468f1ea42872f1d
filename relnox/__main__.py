"""`python -m relnox`."""

import sys

from relnox.cli import main

sys.exit(main())
