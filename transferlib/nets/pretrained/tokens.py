"""What a vision transformer does between its modules, as modules: patches become tokens, one of which is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

FIRST = "first token"


class TorchvisionEmbedding(nn.Module):
    """Patches of a picture as tokens, the class token in front, with their positions: torchvision's."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.conv_proj, self.class_token = whole.conv_proj, whole.class_token
        self.pos_embedding = whole.encoder.pos_embedding

    def forward(self, input: Tensor) -> Tensor:
        """(B, 3, R, R) → (B, 1 + places, width)."""
        tokens = self.conv_proj(input).flatten(2).transpose(1, 2)  # (B, places, width)
        first = self.class_token.expand(len(input), -1, -1)  # (B, 1, width)
        return torch.cat([first, tokens], 1) + self.pos_embedding


class TimmEmbedding(nn.Module):
    """Patches of a picture as tokens, the class token in front, with their positions: timm's."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.patch_embed, self.cls_token, self.pos_embed = whole.patch_embed, whole.cls_token, whole.pos_embed

    def forward(self, input: Tensor) -> Tensor:
        """(B, 3, R, R) → (B, 1 + places, width)."""
        first = self.cls_token.expand(len(input), -1, -1)  # (B, 1, width)
        return torch.cat([first, self.patch_embed(input)], 1) + self.pos_embed


class FirstToken(nn.Module):
    """What the first token, that of the class, has gathered."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, 1 + places, width) → (B, width)."""
        return input[:, 0]


EMBEDDINGS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "torchvision's tokens": TorchvisionEmbedding,
    "timm's tokens": TimmEmbedding,
}
# how these networks go, by a module that only they have: steps, and modules whose own steps are looked for
ROWS: dict[str, tuple[str, ...]] = {
    "encoder.pos_embedding": ("torchvision's tokens", "encoder.layers", "encoder.ln", FIRST, "heads"),
    "cls_token": ("timm's tokens", "blocks", "norm", FIRST, "fc_norm", "head"),
}


def row(whole: nn.Module) -> tuple[str, ...] | None:
    """The row of a network that reads tokens; None for another."""
    names = {name for name, _ in whole.named_parameters()}
    return next((row for name, row in ROWS.items() if name in names), None)
