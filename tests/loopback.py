"""A stand-in for the Hugging Face Hub on 127.0.0.1, for the real huggingface_hub client. Standard
library only.

with Hub() as hub: done = hub.run("-c", "from huggingface_hub import HfApi;
    HfApi().create_repo('tester/x')", home=tmp_path, token="hf_test")

It speaks what the client (2.x) uses to create, upload, tag, list, download and delete repositories
of models, data sets and Spaces. Every request is noted in `hub.log`, its Authorization header too,
and `hub.lie(pattern, answer)` makes it answer any path as a broken or hostile server would: see the
answers `status`, `whole`, `endless`, `redirects`, `drip`, `slow_head`, `silence`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from tests import programs
from tests.programs import ROOT

# endings that are stored apart (LFS)
LARGE = (
    ".safetensors",
    ".bin",
    ".pt",
    ".png",
    ".gif",
    ".parquet",
)
WHEN = "2026-01-01T00:00:00.000Z"
JSON, BYTES = "application/json", "application/octet-stream"


# ---------------------------------------------------------------- what is stored


@dataclass(frozen=True)
class Blob:
    data: bytes
    large: bool  # stored apart, as LFS files are

    @property
    def oid(self) -> str:
        """git's name of it, or of an LFS file its SHA-256."""
        return sha256(self.data) if self.large else git_oid(self.data)

    def entry(self, path: str) -> dict:
        """A file as the tree of a repository lists it."""
        lfs = (
            {"lfs": {"oid": self.oid, "size": len(self.data), "pointerSize": 130}}
            if self.large
            else {}
        )
        return {
            "type": "file",
            "oid": git_oid(self.data),
            "size": len(self.data),
            "path": path,
            **lfs,
        }

    def sibling(self, path: str) -> dict:
        """A file as the description of a repository lists it, with sizes."""
        lfs = (
            {"lfs": {"sha256": self.oid, "size": len(self.data), "pointerSize": 130}}
            if self.large
            else {}
        )
        return {"rfilename": path, "size": len(self.data), "blobId": git_oid(self.data), **lfs}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class Commit:
    files: dict[str, Blob]
    title: str
    parent: str | None


@dataclass
class Repo:
    """A repository: its commits by their hashes, and what points at them."""

    kind: str  # "model", "dataset" or "space"
    id: str
    private: bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)  # "heads/main" and "tags/v1" -> hash
    space: dict = field(default_factory=dict)  # sdk and hardware of a Space
    secrets: dict[str, str] = field(default_factory=dict)  # of a Space
    variables: dict[str, str] = field(default_factory=dict)

    def resolve(self, revision: str) -> str | None:
        """The hash that a branch, a tag or a hash means."""
        names = (revision, f"heads/{revision}", f"tags/{revision}", revision.removeprefix("refs/"))
        return next(
            (self.refs[n] for n in names if n in self.refs),
            revision if revision in self.commits else None,
        )

    def commit(self, files: dict[str, Blob], title: str = "", branch: str = "main") -> str:
        """Add a commit with all these files; its hash."""
        parent = self.refs.get(f"heads/{branch}")
        said = json.dumps(
            [self.id, parent, title, time.time_ns(), sorted((p, b.oid) for p, b in files.items())]
        )
        sha = hashlib.sha1(said.encode()).hexdigest()
        self.commits[sha] = Commit(files, title, parent)
        self.refs[f"heads/{branch}"] = sha
        return sha

    @property
    def head(self) -> Commit:
        return self.commits[self.refs["heads/main"]]

    def files(self, revision: str = "main") -> dict[str, bytes]:
        """What stands there, by path."""
        return {
            path: blob.data for path, blob in self.commits[self.resolve(revision)].files.items()
        }


# ---------------------------------------------------------------- answers


@dataclass
class Answer:
    """What is sent back. `body` is sent with its length; where there are `parts`, they are sent one
    by one instead. With the code 0 the parts are everything that is sent.
    """

    code: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    parts: Iterator[bytes] | None = None


@dataclass(frozen=True)
class Request:
    """What came in. `path` is as it was sent, the query too; `token` is the Authorization header
    without "Bearer"."""

    method: str
    path: str
    token: str
    body: bytes
    code: int = 0  # what was answered

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.path).query)


Lie = Callable[[Request], Answer]


def reply(data: object, code: int = 200, **headers: str) -> Answer:
    return Answer(code, json.dumps(data).encode(), {"Content-Type": JSON, **headers})


def refusal(code: int, what: str, words: str = "") -> Answer:
    """An error as the Hub tells it."""
    said = {"X-Error-Code": what, "X-Error-Message": words or what}
    return Answer(
        code, json.dumps({"error": words or what}).encode(), {"Content-Type": JSON, **said}
    )


def status(code: int, what: str = "", **headers: str) -> Lie:
    """Always this status; `status(403, "GatedRepo")` is a gated repository."""

    def lie(request: Request) -> Answer:
        answer = refusal(code, what or f"Error{code}")
        answer.headers |= {name.replace("_", "-"): value for name, value in headers.items()}
        return answer

    return lie


def whole(body: bytes, claimed: int | None = None, **headers: str) -> Lie:
    """This body, whatever was asked; `claimed` is the length that is told of it."""

    def lie(request: Request) -> Answer:
        told = {} if claimed is None else {"Content-Length": str(claimed), "Connection": "close"}
        return Answer(200, body, {"Content-Type": BYTES, "ETag": '"lie"', **told, **headers})

    return lie


def redirects(request: Request) -> Answer:
    """To itself, without end."""
    return Answer(307, b"", {"Location": request.path})


def endless(piece: bytes = b" " * 65536, pause: float = 0.0) -> Lie:
    """A body that does not end, `pause` seconds between its pieces."""

    def pieces() -> Iterator[bytes]:
        for _ in range(100_000):
            yield piece
            time.sleep(pause)

    return lambda request: Answer(
        200, b"", {"Content-Type": BYTES, "ETag": '"lie"', "Connection": "close"}, pieces()
    )


def drip(request: Request) -> Answer:
    """A byte now and then: never so slow that a timeout between two reads would end it."""
    return endless(b" ", 0.3)(request)


def slow_head(request: Request) -> Answer:
    """The head of an answer, a byte now and then, without end."""

    def pieces() -> Iterator[bytes]:
        for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 10_000:
            yield bytes([byte])
            time.sleep(0.3)

    return Answer(0, headers={"Connection": "close"}, parts=pieces())


def silence(request: Request) -> Answer:
    """Nothing at all for a minute."""
    time.sleep(60)
    return Answer(500)


# ---------------------------------------------------------------- the server


class Hub:
    """The server. tokens: whose token is whose, {token: user}; a user may write to the repositories
    under their name."""

    def __init__(self, tokens: dict[str, str] | None = None):
        self.tokens = tokens or {"hf_test": "tester"}
        self.repos: dict[tuple[str, str], Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.log: list[Request] = []
        self.lies: list[tuple[re.Pattern, Lie]] = []
        self.lock = threading.RLock()
        handler = type("Bound", (Handler,), {"hub": self})
        self.server = Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> Hub:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def add(
        self, id: str, files: dict[str, bytes], *, kind: str = "model", private: bool = False
    ) -> str:
        """Make a repository with these files, or add a commit to it that holds these alone; the
        commit's hash."""
        repo = self.repos.setdefault((kind, id), Repo(kind, id, private))
        blobs = {path: Blob(data, path.endswith(LARGE)) for path, data in files.items()}
        self.blobs |= {blob.oid: blob.data for blob in blobs.values() if blob.large}
        return repo.commit(blobs, "added")

    def lie(self, pattern: str, answer: Lie) -> None:
        """From now on a request whose path matches the regular expression (re.search) is answered
        so; the last lie wins."""
        self.lies.insert(0, (re.compile(pattern), answer))

    def model(self, id: str) -> Repo:
        return self.repos["model", id]

    def space(self, id: str) -> Repo:
        return self.repos["space", id]

    def sent_tokens(self) -> set[str]:
        """Every token that was ever sent."""
        return {request.token for request in self.log} - {""}

    def environment(self, home: Path, token: str | None = None) -> dict[str, str]:
        """What a process needs to take this for the Hub, with nothing of this machine's login;
        `home` holds its cache."""
        own = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HF_", "HUGGING", "TRACKIO"))
        }
        own |= {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        own |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "NO_PROXY": "127.0.0.1,localhost"}
        return own | ({"HF_TOKEN": token} if token else {})

    def run(
        self, *arguments: str, home: Path, token: str | None = None
    ) -> subprocess.CompletedProcess:
        """A program (programs.py) that takes this for the Hub, from the root of this repository."""
        return programs.run(*arguments, env=self.environment(home, token))


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # clients may go as they like
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection. What a request means is in ROUTES."""

    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def handle_any(self) -> None:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        request = Request(self.command, self.path, token, self.body())
        lie = next((lie for pattern, lie in self.hub.lies if pattern.search(self.path)), None)
        try:
            self.send(request, lie(request) if lie else self.honest(request))
        except (BrokenPipeError, ConnectionResetError):  # whoever asked has heard enough
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def honest(self, request: Request) -> Answer:
        path = urlsplit(request.path).path
        for methods, pattern, answer in ROUTES:
            if request.method in methods.split() and (found := re.fullmatch(pattern, path)):
                named = {k: unquote(v) for k, v in found.groupdict().items() if v is not None}
                if answer is download:
                    named["range_"] = self.headers.get("Range") or ""
                with self.hub.lock:
                    return answer(self.hub, request, **named)
        return refusal(404, "NotFound", f"the loopback has no route {request.method} {path}")

    def send(self, request: Request, answer: Answer) -> None:
        self.hub.log.append(
            Request(request.method, request.path, request.token, request.body, answer.code)
        )
        if answer.code:
            self.send_head(answer)
        if self.command == "HEAD":
            return
        for part in answer.parts or [answer.body]:
            self.wfile.write(part)
        self.close_connection = self.close_connection or "Connection" in answer.headers

    def send_head(self, answer: Answer) -> None:
        self.send_response(answer.code)
        length = {} if answer.parts else {"Content-Length": str(len(answer.body))}
        for name, value in {**length, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()


# ---------------------------------------------------------------- what requests mean


class Refused(Exception):
    """Raised inside a route; carries the answer."""

    def __init__(self, answer: Answer):
        self.answer = answer


def route(function):
    """A route in which Refused is an answer."""

    def answered(hub: Hub, request: Request, **named) -> Answer:
        try:
            return function(hub, request, **named)
        except Refused as refused:
            return refused.answer

    return answered


def user_of(hub: Hub, request: Request) -> str:
    if request.token not in hub.tokens:
        raise Refused(refusal(401, "Unauthorized", "Invalid username or password."))
    return hub.tokens[request.token]


def repo_of(hub: Hub, request: Request, kind: str, id: str, write: bool = False) -> Repo:
    repo, user, owner = hub.repos.get((kind, id)), hub.tokens.get(request.token), id.split("/")[0]
    if repo is None or (repo.private and user != owner):
        raise Refused(refusal(404 if user else 401, "RepoNotFound", "Repository not found"))
    if write and user != owner:
        raise Refused(
            refusal(403 if user else 401, "Forbidden", f"You have no write access to {id}")
        )
    return repo


def commit_of(repo: Repo, revision: str) -> tuple[str, Commit]:
    sha = repo.resolve(revision)
    if sha is None:
        raise Refused(refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}"))
    return sha, repo.commits[sha]


def address(hub: Hub, kind: str, id: str) -> str:
    return f"{hub.url}/{'' if kind == 'model' else kind + 's/'}{id}"


@route
def whoami(hub: Hub, request: Request) -> Answer:
    user = user_of(hub, request)
    access = {"type": "access_token", "accessToken": {"displayName": "test", "role": "write"}}
    return reply(
        {
            "type": "user",
            "id": "1",
            "name": user,
            "fullname": user,
            "email": None,
            "orgs": [],
            "auth": access,
        }
    )


@route
def create(hub: Hub, request: Request) -> Answer:
    asked, user = json.loads(request.body), user_of(hub, request)
    kind, owner = asked.get("type") or "model", asked.get("organization") or user
    id = f"{owner}/{asked['name']}"
    if owner != user:
        return refusal(
            403,
            "Forbidden",
            f"You don't have the rights to create a {kind} under the namespace {owner!r}",
        )
    if (kind, id) in hub.repos:
        return reply({"error": "You already created this repo", "url": address(hub, kind, id)}, 409)
    if kind == "space" and not asked.get("sdk"):
        return refusal(400, "BadRequest", "A Space needs an sdk")
    repo = Repo(kind, id, asked.get("visibility") == "private" or bool(asked.get("private")))
    repo.space = {
        name: asked[name] for name in ("sdk", "hardware", "sleepTimeSeconds") if name in asked
    }
    repo.secrets = {pair["key"]: pair["value"] for pair in asked.get("secrets") or ()}
    repo.variables = {pair["key"]: pair["value"] for pair in asked.get("variables") or ()}
    hub.repos[kind, id] = repo
    repo.commit(
        {".gitattributes": Blob(b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n", False)},
        "initial commit",
    )
    return reply({"url": address(hub, kind, id), "name": id, "id": "1"})


@route
def delete(hub: Hub, request: Request) -> Answer:
    asked = json.loads(request.body)
    kind, owner = asked.get("type") or "model", asked.get("organization") or user_of(hub, request)
    repo = repo_of(hub, request, kind, f"{owner}/{asked['name']}", write=True)
    del hub.repos[kind, repo.id]
    return reply({})


@route
def settings(hub: Hub, request: Request, kind: str, id: str) -> Answer:
    repo, asked = repo_of(hub, request, kind, id, write=True), json.loads(request.body)
    repo.private = (
        asked.get("visibility", "private" if asked.get("private", repo.private) else "public")
        == "private"
    )
    return reply({"private": repo.private})


@route
def valid_yaml(hub: Hub, request: Request) -> Answer:
    return reply({"errors": [], "warnings": []})


@route
def describe(hub: Hub, request: Request, kind: str, id: str, revision: str = "main") -> Answer:
    repo = repo_of(hub, request, kind, id)
    sha, commit = commit_of(repo, revision)
    sized = "blobs" in request.query
    siblings = [
        blob.sibling(path) if sized else {"rfilename": path}
        for path, blob in sorted(commit.files.items())
    ]
    told = {
        "_id": "1",
        "id": id,
        "modelId": id,
        "author": id.split("/")[0],
        "sha": sha,
        "private": repo.private,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "lastModified": WHEN,
        "createdAt": WHEN,
        "siblings": siblings,
    }
    return reply(
        told | ({"sdk": repo.space.get("sdk"), "runtime": running(repo)} if kind == "space" else {})
    )


@route
def tree(hub: Hub, request: Request, kind: str, id: str, revision: str, path: str = "") -> Answer:
    _, commit = commit_of(repo_of(hub, request, kind, id), revision)
    deep = request.query.get("recursive", ["false"])[0].lower() in ("true", "1")
    start = path.rstrip("/") + "/" if path else ""
    files, folders = [], set()
    for name, blob in sorted(commit.files.items()):
        if not name.startswith(start):
            continue
        *parents, _ = name.removeprefix(start).split("/")
        folders |= {
            start + "/".join(parents[:n])
            for n in range(1, (len(parents) if deep else min(1, len(parents))) + 1)
        }
        if deep or not parents:
            files.append(blob.entry(name))
    if path and not files and not folders:
        return refusal(404, "EntryNotFound", f"{path} does not exist")
    listed = [
        {"type": "directory", "oid": git_oid(name.encode()), "size": 0, "path": name}
        for name in sorted(folders)
    ]
    return reply(listed + files)


@route
def paths_info(hub: Hub, request: Request, kind: str, id: str, revision: str) -> Answer:
    _, commit = commit_of(repo_of(hub, request, kind, id), revision)
    text = request.body.decode()
    asked = json.loads(text)["paths"] if text.startswith("{") else parse_qs(text).get("paths", [])
    return reply([commit.files[path].entry(path) for path in asked if path in commit.files])


@route
def references(hub: Hub, request: Request, kind: str, id: str) -> Answer:
    repo = repo_of(hub, request, kind, id)

    def under(start: str) -> list[dict]:
        return [
            {"name": name.removeprefix(start), "ref": f"refs/{name}", "targetCommit": sha}
            for name, sha in repo.refs.items()
            if name.startswith(start)
        ]

    return reply({"branches": under("heads/"), "tags": under("tags/"), "converts": []})


@route
def make_reference(hub: Hub, request: Request, kind: str, id: str, what: str, name: str) -> Answer:
    repo, asked = repo_of(hub, request, kind, id, write=True), json.loads(request.body or b"{}")
    key, source = (
        (f"heads/{name}", asked.get("startingPoint") or "main")
        if what == "branch"
        else (f"tags/{asked['tag']}", name)
    )
    if key in repo.refs:
        return refusal(409, "Conflict", "Reference already exists")
    repo.refs[key], _ = commit_of(repo, source)
    return reply({})


@route
def drop_reference(hub: Hub, request: Request, kind: str, id: str, what: str, name: str) -> Answer:
    repo = repo_of(hub, request, kind, id, write=True)
    found = repo.refs.pop(f"{'heads' if what == 'branch' else 'tags'}/{name}", None)
    return reply({}) if found else refusal(404, "RevisionNotFound", name)


@route
def before_upload(hub: Hub, request: Request, kind: str, id: str, revision: str) -> Answer:
    sha, commit = commit_of(repo_of(hub, request, kind, id, write=True), revision)
    answers = []
    for file in json.loads(request.body)["files"]:
        large = file["path"].endswith(LARGE) or file["size"] > 10_000_000
        known = {"oid": commit.files[file["path"]].oid} if file["path"] in commit.files else {}
        answers.append(
            {
                "path": file["path"],
                "uploadMode": "lfs" if large else "regular",
                "shouldIgnore": False,
                **known,
            }
        )
    return reply({"files": answers, "commitOid": sha})


@route
def large_files(hub: Hub, request: Request, id: str, kind: str = "model") -> Answer:
    repo_of(hub, request, kind, id, write=True)
    answers = []
    for file in json.loads(request.body)["objects"]:
        there = f"{hub.url}/_lfs/{file['oid']}"
        actions = {"upload": {"href": there}, "verify": {"href": f"{there}/verify", "header": {}}}
        new = {} if file["oid"] in hub.blobs else {"actions": actions}
        answers.append({"oid": file["oid"], "size": file["size"], **new})
    return reply(
        {"transfer": "basic", "objects": answers},
        **{"Content-Type": "application/vnd.git-lfs+json"},
    )


@route
def put_large(hub: Hub, request: Request, oid: str) -> Answer:
    if sha256(request.body) != oid:
        return refusal(422, "BadDigest", "The SHA-256 differs")
    hub.blobs[oid] = request.body
    return Answer()


@route
def verify_large(hub: Hub, request: Request, oid: str) -> Answer:
    return reply({}) if oid in hub.blobs else refusal(404, "NotFound")


@route
def make_commit(hub: Hub, request: Request, kind: str, id: str, revision: str) -> Answer:
    repo = repo_of(hub, request, kind, id, write=True)
    sha, commit = commit_of(repo, revision)
    files, title = dict(commit.files), ""
    for line in request.body.splitlines():
        if not line.strip():
            continue
        said = json.loads(line)
        what, value = said["key"], said["value"]
        if what == "header":
            title = value["summary"]
            if value.get("parentCommit") not in (None, sha):
                return refusal(412, "PreconditionFailed", "A commit has happened since.")
        elif what == "file":
            files[value["path"]] = Blob(base64.b64decode(value["content"]), False)
        elif what == "lfsFile":
            if value["oid"] not in hub.blobs:
                return refusal(400, "BadRequest", f"There is no LFS file {value['oid']}")
            files[value["path"]] = Blob(hub.blobs[value["oid"]], True)
        elif what == "deletedFile" and files.pop(value["path"], None) is None:
            return refusal(404, "EntryNotFound", "A file with this name doesn't exist")
        elif what == "deletedFolder":
            files = {
                path: blob
                for path, blob in files.items()
                if not path.startswith(value["path"].rstrip("/") + "/")
            }
    new = repo.commit(files, title, revision)
    return reply(
        {
            "success": True,
            "commitOid": new,
            "commitUrl": f"{address(hub, kind, id)}/commit/{new}",
            "hookOutput": "",
        }
    )


@route
def download(
    hub: Hub, request: Request, id: str, revision: str, path: str, range_: str, kind: str = "model"
) -> Answer:
    sha, commit = commit_of(repo_of(hub, request, kind, id), revision)
    head = {"X-Repo-Commit": sha, "Accept-Ranges": "bytes", "Content-Type": BYTES}
    if path not in commit.files:
        answer = refusal(404, "EntryNotFound", "Entry not found")
        answer.headers |= head
        return answer
    blob = commit.files[path]
    head["ETag"] = f'"{blob.oid}"'
    if blob.large:  # the Hub sends its clients on to another host
        head |= {"X-Linked-Etag": head["ETag"], "X-Linked-Size": str(len(blob.data))}
        there = hub.url.replace("127.0.0.1", "localhost")
        return Answer(302, b"", head | {"Location": f"{there}/_cdn/{blob.oid}"})
    return partly(blob.data, head, range_)


def partly(data: bytes, head: dict[str, str], range_: str) -> Answer:
    """All of it, or the range that was asked for."""
    if not (found := re.fullmatch(r"bytes=(\d+)-(\d*)", range_)):
        return Answer(200, data, head)
    start, stop = int(found[1]), int(found[2] or len(data) - 1) + 1
    return Answer(
        206,
        data[start:stop],
        head | {"Content-Range": f"bytes {start}-{min(stop, len(data)) - 1}/{len(data)}"},
    )


@route
def stored(hub: Hub, request: Request, oid: str) -> Answer:
    """A large file from the host that keeps those."""
    return (
        Answer(200, hub.blobs[oid], {"ETag": f'"{oid}"', "Content-Type": BYTES})
        if oid in hub.blobs
        else refusal(404, "NotFound")
    )


@route
def listing(hub: Hub, request: Request, kind: str) -> Answer:
    return reply(
        [
            {
                "_id": "1",
                "id": repo.id,
                "modelId": repo.id,
                "private": False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
            }
            for repo in hub.repos.values()
            if repo.kind == kind and not repo.private
        ]
    )


def running(repo: Repo) -> dict:
    """The state of a Space."""
    wanted = repo.space.get("hardware", "cpu-basic")
    return {
        "stage": "RUNNING",
        "hardware": {"current": wanted, "requested": wanted},
        "storage": None,
        "gcTimeout": None,
    }


@route
def runtime(hub: Hub, request: Request, id: str) -> Answer:
    return reply(running(repo_of(hub, request, "space", id)))


@route
def set_runtime(hub: Hub, request: Request, id: str, what: str) -> Answer:
    repo = repo_of(hub, request, "space", id, write=True)
    if what == "hardware":
        repo.space["hardware"] = json.loads(request.body)["flavor"]
    return reply(running(repo))


@route
def keep(hub: Hub, request: Request, id: str, what: str) -> Answer:
    """Set, list or delete a secret or a variable of a Space; the values of secrets are told to
    nobody."""
    repo = repo_of(hub, request, "space", id, write=True)
    kept = getattr(repo, what)
    if request.method == "POST":
        asked = json.loads(request.body)
        kept[asked["key"]] = asked["value"]
    if request.method == "DELETE":
        kept.pop(json.loads(request.body)["key"], None)
    return reply(
        {
            key: {"key": key, **({} if what == "secrets" else {"value": value})}
            for key, value in kept.items()
        }
    )


ON = r"/api/(?P<kind>model|dataset|space)s/(?P<id>[^/]+/[^/]+)"
AT = r"/(?:(?P<kind>dataset|space)s/)?(?P<id>[^/]+/[^/]+)"
SPACE = r"/api/spaces/(?P<id>[^/]+/[^/]+)"
OID = r"(?P<oid>[0-9a-f]{64})"
REVISION = r"(?P<revision>[^/]+)"
ROUTES = [
    ("GET", r"/api/whoami-v2", whoami),
    ("POST", r"/api/repos/create", create),
    ("DELETE", r"/api/repos/delete", delete),
    ("POST", r"/api/validate-yaml", valid_yaml),
    ("PUT", rf"{ON}/settings", settings),
    ("POST", rf"{ON}/preupload/{REVISION}", before_upload),
    ("POST", rf"{ON}/commit/{REVISION}", make_commit),
    ("GET", rf"{ON}/tree/{REVISION}(?:/(?P<path>.+))?", tree),
    ("POST", rf"{ON}/paths-info/{REVISION}", paths_info),
    ("GET", rf"{ON}/refs", references),
    ("POST", rf"{ON}/(?P<what>branch|tag)/(?P<name>.+)", make_reference),
    ("DELETE", rf"{ON}/(?P<what>branch|tag)/(?P<name>.+)", drop_reference),
    ("GET POST DELETE", rf"{SPACE}/(?P<what>secrets|variables)", keep),
    ("GET", rf"{SPACE}/runtime", runtime),
    ("POST", rf"{SPACE}/(?P<what>hardware|sleeptime|pause|restart)", set_runtime),
    ("GET", rf"{ON}(?:/revision/{REVISION})?", describe),
    ("GET", r"/api/(?P<kind>model|dataset|space)s", listing),
    ("POST", rf"{AT}\.git/info/lfs/objects/batch", large_files),
    ("PUT", rf"/_lfs/{OID}", put_large),
    ("POST", rf"/_lfs/{OID}/verify", verify_large),
    ("GET HEAD", rf"/_cdn/{OID}", stored),
    ("GET HEAD", rf"{AT}/resolve/{REVISION}/(?P<path>.+)", download),
]
