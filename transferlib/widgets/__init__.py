"""Interactive pictures that work live and on a page without a kernel."""

from transferlib.widgets.curves import learning_curves
from transferlib.widgets.dial import similarity_dial
from transferlib.widgets.explorer import Explorer, Frame
from transferlib.widgets.network import cut_the_network, draw_network

__all__ = ["Explorer", "Frame", "cut_the_network", "draw_network", "learning_curves", "similarity_dial"]
