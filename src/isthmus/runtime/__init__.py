"""A model that was exported, without torch: numpy and onnxruntime score rows and files.

A graph holds all that decides: how columns are laid out, the network, the threshold. Here columns are found by name,
texts of numbers and dates are read, and rows go through in blocks. Nothing else of isthmus is imported, and nothing but
ONNX's own operations is run: a graph with any other, or with tensors in other files, is refused.
"""

from isthmus.runtime.graph import ABOUT, Graph, Refused, load

__all__ = ["ABOUT", "Graph", "Refused", "load"]
