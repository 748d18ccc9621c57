"""A saved model behind HTTP: rows in a request, answers in the reply.

What waits while the model works is answered together at its next turn, so that many small requests cost one pass of the
network. A turn is as large as what came meanwhile; nobody waits for others to come.
"""

from isthmus.serve.application import application
from isthmus.serve.listen import LOCAL, serve
from isthmus.serve.turns import CSV, JSON, Limits

__all__ = ["CSV", "JSON", "LOCAL", "Limits", "application", "serve"]
