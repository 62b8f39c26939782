"""Where models are kept: checkpoints, the Hugging Face Hub, and the catalogue of what there is."""
