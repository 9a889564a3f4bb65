"""`python -m tema_lib`: the same as the command `tema`."""

import sys

from tema_lib.cli import main

if __name__ == "__main__":
    sys.exit(main())
