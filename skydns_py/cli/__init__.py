"""The ``skydns`` command: one file a subcommand, ``main`` dispatches."""

import argparse
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What ``add_subparsers`` gives to each subcommand's ``add``; argparse has no public name for it."""
