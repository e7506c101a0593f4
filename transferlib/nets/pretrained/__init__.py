"""Other people's networks, cut into eight parts: one of torchvision or timm by its name, or any module of yours."""

from transferlib.nets.pretrained.cutting import cut
from transferlib.nets.pretrained.modules import from_module
from transferlib.nets.pretrained.named import is_named, named
from transferlib.nets.pretrained.preprocessing import Preprocessing
from transferlib.nets.pretrained.spec import Part, PretrainedSpec
from transferlib.nets.pretrained.weights import Pretrained, pretrained, read
