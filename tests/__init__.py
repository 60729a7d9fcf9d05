"""The suite. Test modules import shared helpers as ``from tests import needs``."""
