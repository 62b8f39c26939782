"""Simplex diffusion: SSD-LM (Han et al., arXiv:2210.17432). A token is its row of logits, 1 at its
own place and -1 at all others, and the noise on them is Gaussian."""

import torch

from tinydiff.noises.gaussian import Codes
from tinydiff.processes.gaussian import Gaussian


class Simplex(Codes):
    name, about = "simplex", "Every token is a row of logits; noise blurs them."

    def __init__(self, tokenizer, schedule):
        super().__init__(tokenizer, schedule)
        self.register_buffer("table", 2 * torch.eye(self.V) - 1, persistent=False)

    @property
    def D(self):
        return self.V

    def codes(self):
        return self.table


class SimplexLM(Gaussian):
    name, title, paper = "ssd-lm", "Simplex (SSD-LM)", "arXiv:2210.17432"
    about = "Logits are blurred; the network says which token each row was."
    over, view_name, stored_as = Simplex, "", {}
    traits = (Gaussian.traits | Simplex.traits) - {"pieces"}

    def check(self):
        pass
