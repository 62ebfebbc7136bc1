"""Coursebell: a learning registrar and gradebook that tells other systems of completions."""

from importlib.metadata import version

__version__ = version("coursebell")
