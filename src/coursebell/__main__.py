"""`coursebell` and `python -m coursebell`."""

import sys

from coursebell.cli.app import run


def main() -> None:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
