"""The top: the ``gnnkit`` command. May import everything, and does so only inside the commands, to start quickly."""

from gnnkit.cli.app import app as app


def main() -> None:
    """Run the ``gnnkit`` command with the arguments of this process."""
    app(prog_name="gnnkit")
