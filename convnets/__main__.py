"""`python -m convnets`: the command line, where the package is installed or in the folder of the checkout."""

import sys

from convnets.cli.command_line import main

if __name__ == "__main__":
    sys.exit(main())
