"""Simplex diffusion: SSD-LM (Han et al., arXiv:2210.17432). A token is its row of logits, 1 at its
own place and -1 at all others, and the noise on them is Gaussian."""

import torch

from tinydiff.noises import View
from tinydiff.noises.gaussian import Codes
from tinydiff.processes.gaussian import Gaussian


class Simplex(Codes):
    name, about = "simplex", "Every token is a row of logits; noise blurs them."
    views = (View("corners", most=3, mapped=True),)

    def __init__(self, tokenizer, schedule):
        super().__init__(tokenizer, schedule)
        self.register_buffer("table", 2 * torch.eye(self.V) - 1, persistent=False)

    @property
    def D(self):
        return self.V

    def codes(self):
        return self.table

    def view(self, name, x, t, log_x0, new):
        """Where a row lies among the corners of the simplex, which stand in a circle."""
        return new.softmax(-1) @ self.token_map(name)

    def token_map(self, name):
        angle = torch.arange(self.V) * 2 * torch.pi / self.V
        return torch.stack([0.5 + angle.cos() / 2, 0.5 + angle.sin() / 2], -1)


class SimplexLM(Gaussian):
    name, title, paper = "ssd-lm", "Simplex (SSD-LM)", "arXiv:2210.17432"
    about = "Logits are blurred; the network says which token each row was."
    over, view_name, stored_as = Simplex, "corners", {}
    traits = (Gaussian.traits | Simplex.traits) - {"pieces"}

    def check(self):
        pass
