"""`python -m weftwork`: see docs/debugging.md."""

import sys

from weftwork.scheduler.command.main import main

if __name__ == "__main__":
    sys.exit(main())
