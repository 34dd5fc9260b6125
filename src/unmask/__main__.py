"""`python -m unmask` is the command `unmask`."""

from unmask.apps.cli import main

if __name__ == "__main__":
    main()
