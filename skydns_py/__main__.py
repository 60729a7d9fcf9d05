"""``python -m skydns_py`` is the ``skydns`` command."""

from skydns_py.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
