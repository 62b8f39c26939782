"""A student: a masked process whose loss is the cross-entropy to what a teacher says."""

import torch

from tinydiff.processes.masked import Masked


class Student(Masked):
    name, title, paper = "student", "Student (a toy)", "arXiv:1503.02531"
    about = "A network learns what another one says of hidden words."
    choices = {}  # its loss draws times of its own
    learns_from = True

    def loss(self, canvas, rng):
        t = canvas.time(self.times(len(canvas.tokens), rng))
        x = self.noise.corrupt(canvas.tokens, t, rng)
        with torch.no_grad():
            p = self.teacher.denoise(x, t, canvas.label).log_x0.exp()
        nats = -(p * self.denoise(x, t, canvas.label).log_x0.clamp_min(-100)).sum(-1)
        return torch.where(x == self.mask_id, nats.float(), 0).sum(1) / canvas.given.shape[1]
