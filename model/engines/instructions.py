"""What this machine's processor can compute."""

import platform
from collections.abc import Callable, Mapping
from functools import cache

import torch

_X86 = ("x86_64", "AMD64")
_DOT_PRODUCTS = ("avx512_vnni", "avx_vnni")


@cache
def has_dot_products() -> bool:
    """Tell whether the processor sums products of 8 bits in 32 bits.

    x86 processors without VNNI sum pairs of them in 16 bits, which overflow if both factors have all 8 bits. Those of
    other families are not known to.
    """
    if platform.machine() not in _X86:
        return True
    tell: Callable[[], Mapping[str, object]] | None = getattr(torch.cpu, "get_capabilities", None)
    if tell is None:  # an older PyTorch, which tells of the one kind alone, if at all: 7 bits are right everywhere
        return bool(getattr(torch.cpu, "_is_vnni_supported", bool)())
    capabilities = tell()
    return any(capabilities.get(name) for name in _DOT_PRODUCTS)
