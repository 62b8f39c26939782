"""The page's tabs; what they are made of, and how strangers reach them. To be imported before
gradio, which then loads sooner."""

import sys
from importlib.abc import MetaPathFinder
from importlib.util import find_spec


def no_stubs(*_) -> None:
    """In the place of what Gradio does for every class of components as it is loaded, which is half
    of the time that it takes: it reads the class's source and writes an editor's stub (.pyi) beside
    it.
    """


class WithoutStubs(MetaPathFinder):
    """Puts `no_stubs` into gradio.component_meta as that is loaded, and does nothing else."""

    def find_spec(self, name, path, target=None):
        if name != "gradio.component_meta":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        load = spec.loader.exec_module

        def loaded(module):
            load(module)
            module.create_or_modify_pyi = no_stubs

        spec.loader.exec_module = loaded
        return spec


if "gradio.component_meta" not in sys.modules:
    sys.meta_path.insert(0, WithoutStubs())
