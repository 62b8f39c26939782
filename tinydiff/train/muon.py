"""Muon (Jordan 2024, "Muon: an optimizer for hidden layers in neural networks"): the momentum of a
matrix, orthogonalised by Newton-Schulz iterations, is its step; scaled as in arXiv:2502.16982.

torch.optim.Muon iterates in bfloat16 whatever the hardware. Where bfloat16 is not multiplied fast,
that is most of a training step; here they can be done in float32.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Muon(torch.optim.Muon):
    """torch.optim.Muon, its state and update, in float32 where bfloat16 is slow.

    dtype: of the iterations; bfloat16 is torch's own step. The other arguments are
    torch.optim.Muon's, with the scale "match_rms_adamw", so that matrices share the learning rate
    of AdamW.
    """

    def __init__(self, params, *, dtype: torch.dtype, **settings):
        super().__init__(params, adjust_lr_fn="match_rms_adamw", **settings)
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure=None):
        if self.dtype == torch.bfloat16:
            return super().step(closure)
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.update(p, group)

    def update(self, p: Tensor, group: dict) -> None:
        state, momentum = self.state[p], group["momentum"]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(p)
        mean = state["momentum_buffer"].lerp_(p.grad, 1 - momentum)
        wanted = p.grad.lerp(mean, momentum) if group["nesterov"] else mean
        step = orthogonal(wanted, group["ns_steps"], group["ns_coefficients"], group["eps"])
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.add_(step, alpha=-group["lr"] * 0.2 * max(p.shape) ** 0.5)  # arXiv:2502.16982, eq. 4


def orthogonal(
    matrix: Tensor, steps: int, coefficients: tuple[float, float, float], eps: float
) -> Tensor:
    """Roughly the nearest matrix whose singular values are 1, by `steps` times

        x <- (a + b x x' + c (x x')^2) x,    begun at x / |x|.

    The factors are multiplied before they meet x: each is a polynomial of x x', which then becomes
    factor (x x') factor, and x is wider than x x'. That nearly halves the work.
    """
    a, b, c = coefficients
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonal(matrix.mT, steps, coefficients, eps).mT
    x = matrix / matrix.norm().clamp(min=eps)
    gram, eye, product = x @ x.mT, torch.eye(len(x), device=x.device), None
    for left in reversed(range(steps)):
        factor = torch.addmm(gram, gram, gram, beta=b, alpha=c).add_(eye, alpha=a)
        product = factor if product is None else factor @ product
        if left:
            gram = factor @ gram @ factor
    return product @ x
