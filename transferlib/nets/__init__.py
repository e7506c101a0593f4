"""Networks of exactly 8 layers that describe themselves, in which a layer carries all that follows its weights."""

from transferlib.nets.alexnet import AlexNetSpec, Conv, FullyConnected
from transferlib.nets.geometry import Grid, ReceptiveField
from transferlib.nets.initialisation import draw_weights, he
from transferlib.nets.registry import NETWORKS, network, register
from transferlib.nets.resnet import ResNetSpec
from transferlib.nets.stack import LAYERS, Layer, NetworkSpec, Stack, as_recorded, outline
from transferlib.nets.vit import ViTSpec
