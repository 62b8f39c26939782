"""The page, the trainer and the gallery as Spaces of the Hugging Face Hub."""
