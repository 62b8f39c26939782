"""python -m tinydiff"""

import sys

from tinydiff.cli.commands import main

if __name__ == "__main__":
    sys.exit(main())
