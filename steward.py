"""The command line, when it is started from a checkout."""

from commands.main import main

raise SystemExit(main())
