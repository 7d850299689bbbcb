"""The command line, when it is started from a checkout."""

from commands.main import main

if __name__ == "__main__":  # a proof's processes read this file too
    raise SystemExit(main())
