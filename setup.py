"""Only what pyproject.toml cannot say: the optional extension, see skydns_py/dataplane/native/build.py."""

from setuptools import setup

setup(cffi_modules=["skydns_py/dataplane/native/build.py:ffi"])
