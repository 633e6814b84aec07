"""Train, evaluate and use convolutional networks: `python launch.py --help`."""

import sys

from convnets.cli.command_line import main

if __name__ == "__main__":
    sys.exit(main())
