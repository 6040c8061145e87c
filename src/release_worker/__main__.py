"""`release-worker`, and `python -m release_worker`."""

import sys

from release_worker.errors import NotConfigured


def main() -> None:
    """Run the command line, or say in one line what it takes to have one."""
    try:
        from release_worker.cli.main import main as run_command_line
    except NotConfigured as error:
        sys.exit(f"error: {error}")
    run_command_line()


if __name__ == "__main__":
    main()
