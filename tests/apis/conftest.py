"""Fixtures of this folder."""
from tests.cli.tiny import project

__all__ = ['project']
