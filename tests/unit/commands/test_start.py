"""What a start does not wait for."""

import subprocess
import sys


def test_a_server_with_a_journal_of_its_own_does_not_load_the_library_of_nats() -> None:
    asks = "import sys, commands.server, commands.delivering; print('nats' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", asks], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
