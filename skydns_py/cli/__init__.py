"""The ``skydns`` command: one file a subcommand, ``main`` dispatches."""

import argparse
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What ``add_subparsers`` gives to each subcommand's ``add``; argparse has no public name for it."""


def add_kubernetes(parser: argparse.ArgumentParser, purpose: str) -> None:
    """The flags that name the Kubernetes API as the source; ``purpose`` is what is done, as "serve"."""
    parser.add_argument(
        "--kubeconfig",
        metavar="FILE",
        default="",
        help=f"{purpose} what the Kubernetes API says, reached as this file's current context",
    )
    parser.add_argument(
        "--in-cluster", action="store_true", help="the same from within a pod, as its service account"
    )
