"""`coursebell` and `python -m coursebell`."""

import gc
import sys


def main() -> None:
    gc.disable()  # what is loaded stays: looking for garbage in it is a tenth of starting
    from coursebell.cli.app import run  # noqa: PLC0415

    gc.enable()
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
