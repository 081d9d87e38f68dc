"""``python -m gateway.cli`` is ``inr-gateway``."""

import sys

from gateway.cli.main import main

sys.exit(main())
