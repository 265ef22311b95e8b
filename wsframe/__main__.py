"""``python -m wsframe``."""

import sys

from wsframe.cli import main

if __name__ == "__main__":
    sys.exit(main())
