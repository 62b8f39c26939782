"""The Hugging Face Hub: pull() a checkpoint that anybody made, push() one of ours.

Pulling trusts nothing: sizes are looked at before a byte of weights is fetched, the commit is pinned, no token of ours is
sent, and only config.json and model.safetensors are ever read.
"""

from __future__ import annotations

import re
from pathlib import Path

from tinydiff.checkpoint import MAX_CONFIG, MAX_WEIGHTS, CheckpointError

REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}")
LIMITS = {"config.json": MAX_CONFIG, "model.safetensors": MAX_WEIGHTS}
OPTIONAL = ("metrics.jsonl", "evaluation.json")


def is_repo_id(text: str) -> bool:
    return bool(REPO.fullmatch(text)) and ".." not in text and "--" not in text


def pull(repo_id: str, revision: str | None = None) -> Path:
    """The folder of a public checkpoint on the Hub. Raises CheckpointError in one sentence; never waits over 10 s to ask."""
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    if not is_repo_id(repo_id):
        raise CheckpointError(f"{repo_id!r} is not a Hub id: it has the form 'user/name'.")
    try:
        info = HfApi(token=False).model_info(repo_id, revision=revision, files_metadata=True, timeout=10)
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", "an error")
        raise CheckpointError(f"The Hub answers {status} for {repo_id!r}: there is no public model of that name.") from None
    except Exception as error:
        raise CheckpointError(f"The Hub cannot be reached ({type(error).__name__}): try again, or use a local one.") from None
    sizes = {file.rfilename: file.size or 0 for file in info.siblings}
    for name, limit in LIMITS.items():
        if name not in sizes:
            raise CheckpointError(f"{repo_id!r} has no {name}, so it is not a checkpoint of tinydiff.")
        if sizes[name] > limit:
            raise CheckpointError(f"{name} of {repo_id!r} has {sizes[name]:,} bytes, over the {limit:,} that are allowed.")
    wanted = [*LIMITS, *(name for name in OPTIONAL if 0 < sizes.get(name, 0) < MAX_CONFIG * 8)]
    try:
        paths = [hf_hub_download(repo_id, name, revision=info.sha, token=False) for name in wanted]
    except Exception as error:
        raise CheckpointError(f"{repo_id!r} could not be fetched ({type(error).__name__}): try again later.") from None
    return Path(paths[0]).parent


def push(folder: str | Path, repo_id: str, *, private: bool = False, token: str | None = None, inside: str = "") -> str:
    """Upload a checkpoint folder with a token, or else this machine's login; the address of the model. Raises CheckpointError."""
    from huggingface_hub import HfApi

    if not is_repo_id(repo_id):
        raise CheckpointError(f"{repo_id!r} is not a Hub id: it has the form 'user/name'.")
    try:
        api = HfApi(token=token)
        url = api.create_repo(repo_id, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repo_id, folder_path=folder, path_in_repo=inside or None, ignore_patterns=["resume.*", "*.partial"]
        )
    except Exception as error:
        raise CheckpointError(f"The push to {repo_id!r} failed ({type(error).__name__}): log in with `hf auth login`.") from None
    return str(url)
