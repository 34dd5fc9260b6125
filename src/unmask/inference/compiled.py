"""A network as OpenVINO compiles it for a processor: the same scores in less time.

What it is compiled from takes seconds to make, and is kept for the next start in the user's cache.
This is the only file that imports openvino.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import unmask.models
import unmask.transforms
from unmask.errors import ConfigError, MissingExtraError
from unmask.faces.mtcnn import Compiler, OutputNet, RefineNet
from unmask.transforms.preprocess import InputSpec

DEVICE = "openvino"
"""As `--device` and a result's run name it."""
VIEWS = ("rgb", "native")
GRAPH = "network.xml"
KEPT = 8
"""Graphs, of weights and versions; older ones are removed."""
TELLTALE = "openvino_telemetry"
_CONVERTING = threading.Lock()


def runtime() -> Any:
    """The package, which nothing else waits for.

    It comes with another that tells its maker of every import and conversion; that is kept out, for
    nothing here may speak to another host.

    Raises:
        MissingExtraError: it is not installed.
    """
    sys.modules.setdefault(TELLTALE, None)  # type: ignore[arg-type]  # so that importing it fails
    try:
        import openvino
    except ImportError as error:
        raise MissingExtraError(f"--device {DEVICE}", "openvino", "openvino") from error
    return openvino


class CompiledNet:
    """One crop at a time, in float32: what a crop gets does not depend on those beside it.

    Args:
        model: on the processor, in evaluation mode; what becomes of it later changes nothing here.
        spec: the network's input contract.
        name: of the network, for messages.
        digest: of its weights; a graph that was kept under it is taken.
        threads: that may ask at once, each of which keeps a core busy.

    Raises:
        MissingExtraError: openvino is not installed.
        ConfigError: OpenVINO cannot run this network.
    """

    def __init__(
        self, model: nn.Module, spec: InputSpec, *, name: str, digest: str, threads: int
    ) -> None:
        core = runtime().Core()
        kept = kept_graphs() / _key(digest, spec)
        try:
            graph = core.read_model(kept / GRAPH)
        except RuntimeError:  # not there, or damaged
            graph = _converted(model, spec, name)
            _keep(graph, kept)
        self._infer = _Asked(core, graph, threads)

    @classmethod
    def of(
        cls, model: nn.Module, spec: InputSpec, *, name: str, digest: str, threads: int
    ) -> CompiledNet:
        """As the constructor; the same one for the same network as long as that is there."""
        if model not in _compiled:
            _compiled[model] = cls(model, spec, name=name, digest=digest, threads=threads)
        return _compiled[model]

    def predict(self, inputs: dict[str, Tensor]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """As `models.checkpoint.predict`: logits (N,) and embeddings (N, D)."""
        views = [inputs[view].contiguous().numpy() for view in VIEWS]
        found = [self._infer([view[i : i + 1] for view in views]) for i in range(len(views[0]))]
        logits, embeddings = zip(*found, strict=True)
        return np.concatenate(logits).astype(np.float64), np.concatenate(embeddings)


class _Asked:
    """A graph that is compiled, and asked by several threads."""

    def __init__(self, core: Any, graph: Any, threads: int) -> None:
        self._net = core.compile_model(
            graph,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "f32",
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": threads,
            },
        )
        self._own = threading.local()  # a request serves one thread

    def __call__(self, inputs: list[NDArray[np.float32]]) -> list[NDArray[Any]]:
        if not hasattr(self._own, "request"):
            self._own.request = self._net.create_infer_request()
        found = self._own.request.infer(inputs)
        return [one.copy() for one in found.values()]  # the next ones overwrite them


def face_compiler(threads: int) -> Compiler:
    """What `MTCNNDetector` takes to run its networks here.

    Args:
        threads: that may ask at once, each of which keeps a core busy.

    Raises:
        MissingExtraError: openvino is not installed; when it is called.
    """

    def compile_(net: RefineNet | OutputNet) -> Callable[[Tensor], Tensor]:
        runtime()
        graph = _graph(net, (torch.zeros(2, 3, net.size, net.size),))
        graph.inputs[0].get_node().set_partial_shape(
            runtime().PartialShape([-1, 3, net.size, net.size])
        )
        graph.validate_nodes_and_infer_types()
        infer = _Asked(runtime().Core(), graph, threads)
        return lambda batch: torch.from_numpy(infer([batch.contiguous().numpy()])[0])

    return compile_


_compiled: WeakKeyDictionary[nn.Module, CompiledNet] = WeakKeyDictionary()


class _Outputs(nn.Module):
    """A network's output as a plain tuple, which both views are part of."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, rgb: Tensor, native: Tensor) -> tuple[Tensor, Tensor]:
        found = self.model(rgb, native)
        idle = 0 * (rgb[:, 0, 0, 0] + native[:, 0, 0, 0])  # no view may be missing from the graph
        return found.logit.float() + idle, found.embedding.float()


def _converted(model: nn.Module, spec: InputSpec, name: str) -> Any:
    native = torch.zeros(1, 3, spec.native_size, spec.native_size)
    rgb = native if spec.rgb_size is None else torch.zeros(1, 3, spec.rgb_size, spec.rgb_size)
    try:
        graph = _graph(_Outputs(model).eval(), (rgb.clone(), native))
        for view, shape in zip(graph.inputs, (rgb.shape, native.shape), strict=True):
            view.get_node().set_partial_shape(runtime().PartialShape(list(shape)))
        graph.validate_nodes_and_infer_types()
    except Exception as error:  # of many kinds, by what the network is made of
        raise ConfigError(
            f"OpenVINO cannot run the model {name}: {str(error).strip().splitlines()[-1]}",
            "Use --device cpu.",
        ) from error
    return graph


def _graph(net: nn.Module, examples: tuple[Tensor, ...]) -> Any:
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    # tracing and warnings' filters are the process's: one thread at a time
    with _CONVERTING, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of shapes, which are fixed here
        traced = torch.jit.trace(net, examples, check_trace=False)  # type: ignore[no-untyped-call]
        end = FrontEndManager().load_by_framework("pytorch")
        decoder = TorchScriptPythonDecoder(traced)  # to be there as long as it is converted
        return end.convert(end.load(decoder))


def kept_graphs() -> Path:
    """Folder of the graphs that are kept: `$XDG_CACHE_HOME/unmask/openvino`, or ~/.cache/..."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "unmask" / "openvino"


def _keep(graph: Any, folder: Path) -> None:
    """Keep a graph, whole or not at all. Where that cannot be, it is made anew every time."""
    made: str | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = tempfile.mkdtemp(prefix="new-", dir=folder.parent)
        # halved weights would be others: norms are folded into them
        runtime().save_model(graph, Path(made) / GRAPH, compress_to_fp16=False)
        shutil.rmtree(folder, ignore_errors=True)  # one that could not be read
        os.replace(made, folder)
        for old in sorted(folder.parent.iterdir(), key=_age)[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
    except (OSError, RuntimeError):  # no room, no right, or another process was faster
        if made is not None:
            with suppress(OSError):
                shutil.rmtree(made)


def _age(folder: Path) -> float:
    """To sort by: the newest first; one that is gone is the oldest."""
    try:
        return -folder.stat().st_mtime
    except OSError:
        return 0.0


def _key(digest: str, spec: InputSpec) -> str:
    """Name of a graph: all that it depends on."""
    told = (digest, spec.model_dump_json(), _code(), torch.__version__, runtime().__version__)
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


@lru_cache
def _code() -> str:
    """Hash of the code that networks are made of."""
    digest = hashlib.sha256()
    for package in (unmask.models, unmask.transforms):
        for file in sorted(Path(package.__path__[0]).glob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()
