"""`python -m labelmend` and `accelerate launch -m labelmend`."""

import sys

from labelmend.cli import main

sys.exit(main())
