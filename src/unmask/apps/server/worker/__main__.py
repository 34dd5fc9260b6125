"""`python -m unmask.apps.server.worker`: one worker, told what to do on standard input."""

import sys

from unmask.apps.server.worker.process import main

if __name__ == "__main__":
    sys.exit(main())
