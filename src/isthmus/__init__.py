"""Isthmus: which autoencoder, if any, serves your data and your purpose?"""

__version__ = "0.1.0"
