"""Interactive pictures that work live and on a page without a kernel.

The layer microscope is in ``transferlib.widgets.microscope``, which needs Captum.
"""

from transferlib.widgets.dial import similarity_dial
from transferlib.widgets.drawing import Drawing
from transferlib.widgets.explorer import Explorer, Frame
from transferlib.widgets.guess import draw_your_guess
from transferlib.widgets.learning import learning_curves
from transferlib.widgets.network import cut_the_network, draw_network, whose_networks
from transferlib.widgets.rate import turn_the_rate
