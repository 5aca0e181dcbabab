"""`python -m piwsl_lab.cli` is the command `piwsl-lab`."""

import sys

from piwsl_lab.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
