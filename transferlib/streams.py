"""Streams of random numbers that belong to a purpose, so that a run gives the same numbers whoever trains it.

Nothing is drawn from a global generator. A stream is named by what it is for, such as (study seed, split, target,
"order", epoch), and treatments that share the name share the numbers: that is what pairs them.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def stream_seed(*name: object) -> int:
    """The seed of the stream with this name, an integer in 0..2**62."""
    text = "/".join(str(part) for part in name)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 2


def generator(*name: object) -> torch.Generator:
    """A CPU generator at the start of the named stream."""
    return torch.Generator().manual_seed(stream_seed(*name))


def _shift_right(x: Tensor, bits: int) -> Tensor:
    # torch shifts int64 arithmetically; the mask makes the shift logical, as the published mixer has it
    return (x >> bits).bitwise_and_((1 << (64 - bits)) - 1)


def hashed_uniform(seed: int, count: int, device: torch.device) -> Tensor:
    """``count`` numbers in [0, 1), float32, the same on every device.

    Dropout needs masks at each step: a generator of the device would give other masks on each kind of device, and
    drawing on the host would keep a GPU waiting. So each number is its index, mixed by SplitMix64
    (Steele, Lea and Flood, 2014), in integers, which every device computes alike.
    """
    x = torch.arange(1, count + 1, dtype=torch.int64, device=device)
    x.mul_(-7046029254386353131).add_(seed)  # 0x9E3779B97F4A7C15 as a signed integer: products wrap
    x = (x ^ _shift_right(x, 30)).mul_(-4658895280553007687)  # 0xBF58476D1CE4E5B9
    x = (x ^ _shift_right(x, 27)).mul_(-7723592293110705685)  # 0x94D049BB133111EB
    x = x ^ _shift_right(x, 31)
    return _shift_right(x, 40).float() * 2.0**-24
